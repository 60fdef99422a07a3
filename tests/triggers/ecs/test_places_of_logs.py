"""Where the full log of a container is said to be: part of records, so it may not depend on what is known by then."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.model.ecs import parse_task
from asyncrun.model.ecs_definition import parse_definition
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.outcome import Outcome, Verdict
from asyncrun.model.refs import EcsTaskRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.ecs_log import EcsRunLog
from asyncrun.triggers.tasklog import TaskLog
from tests.support.lab import container, logging_to
from tests.support.memory_aws import MemoryAws, arn_of
from tests.support.triggers import TARGET
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = [pytest.mark.usefixtures("settings", "loop_closed"), pytest.mark.looptime]

PLAN = parse_definition(
    {
        "taskDefinitionArn": "d:1",
        "containerDefinitions": [
            container(name="first", **logging_to(prefix=None)), container(name="later", **logging_to(prefix=None)),
        ],
    }
)  # fmt: skip
FLOOD = [f"line {number}" for number in range(2000)]


def state(**runtime_ids: str | None) -> Any:
    containers = [{"name": name, "lastStatus": "RUNNING", "runtimeId": one} for name, one in runtime_ids.items()]
    return parse_task({"taskArn": arn_of(1), "lastStatus": "RUNNING", "containers": containers})


async def test_ec2_without_a_prefix_is_told_where_lines_are_skipped_whenever_its_stream_became_known(
    memory: MemoryAws, task_log: TaskLogReader
) -> None:
    watch = EcsTaskWatch(
        ref=EcsTaskRef(cluster="default", task_arn=arn_of(1)), target=TARGET, deferred_at=memory.written / 1000
    )
    memory.lines = {"id-1": ["one"], "id-2": FLOOD}
    told = []
    for looks in ([state(first="id-1", later=None)], []):  # one container runs first; or both run already
        async with TaskLog(TRIGGER_ID, Settings()) as words:
            log = EcsRunLog(watch, Settings(log_rate=10), words)
            for one in (*looks, state(first="id-1", later="id-2")):
                log.look(one, PLAN, memory)  # type: ignore[arg-type]
            await log.drain(Outcome(verdict=Verdict.SUCCEEDED, finished_at=memory.written / 1000 - 100))
            log.close()
        skipped = [line for line in task_log.lines("later") if "the full log" in line]
        told.append(skipped[-1])
    assert told[0] == told[1]
    assert "the full log: CloudWatch log group /lab, the stream that is named by its runtime id" in told[0]
