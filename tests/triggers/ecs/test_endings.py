"""How a watched ECS task ends, and what is said of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.model.diagnosis import Cause
from asyncrun.model.outcome import Verdict
from asyncrun.triggers.ecs import EcsTaskTrigger
from tests.support.lab import Lab, container, logging_to
from tests.support.triggers import call, completion, event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

LINES = "for i in 1 2 3; do echo line $i; done"


async def test_a_success_ends_in_the_triggerer_with_every_line_in_the_log(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    assert isinstance(await event_of(trigger(TRIGGER_ID, arn)), TaskSuccessEvent)
    assert task_log.lines("main") == ["line 1", "line 2", "line 3"]
    assert all(one["trigger_id"] == TRIGGER_ID for one in task_log.records())
    assert task_log.said().endswith("container 'main' exited with 0")


async def test_a_failure_carries_exit_code_diagnosis_and_the_last_lines(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES + "; exit 3", **logging_to()))
    end = await completion(arn, number_logs_exception=2)
    assert (end.outcome.verdict, end.outcome.exit_code, end.outcome.code) == (
        Verdict.FAILED, 3, "EssentialContainerExited",
    )  # fmt: skip
    assert end.diagnosis.cause is Cause.EXIT_CODE
    assert end.last_lines == ("line 2", "line 3")
    assert end.result is None  # of a failure nobody wants it
    assert "container 'main' exited with code 3" in task_log.said()


async def test_several_containers_are_told_apart_and_the_first_essential_one_decides(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(
        lab.run,
        container("echo from side; sleep 60", name="side", essential=False, **logging_to()),
        container("echo from main", name="main", **logging_to()),
    )
    end = await completion(arn)
    assert (end.outcome.verdict, end.outcome.decided_by, end.result) == (Verdict.SUCCEEDED, "main", "from main")
    assert task_log.lines("side") == ["[side] from side"]
    assert task_log.lines("main") == ["[main] from main"]


async def test_a_task_stopped_by_somebody_else_says_so(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo here; sleep 60", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await task_log.shows("main", "here")
    await call(lab.ecs.stop_task, task=arn, reason="by an operator")
    end = await watching
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.STOPPED, Cause.USER)
    assert "by an operator" in end.diagnosis.summary


async def test_a_spot_interruption_is_an_eviction(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo here; sleep 60", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await task_log.shows("main", "here")
    await call(lab.aws.control.interrupt, arn)
    end = await watching
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.EVICTED, Cause.SPOT)


@pytest.mark.parametrize(
    ("definition", "cause"),
    [
        ({"image": "repo/does-not-exist"}, Cause.IMAGE),
        ({"secrets": [{"name": "S", "valueFrom": "arn:aws:ssm:us-east-1:1:parameter/missing"}]}, Cause.SECRET),
        (logging_to("/nowhere"), Cause.LOG_GROUP),
    ],
    ids=["image", "secret", "log group"],
)
async def test_a_task_that_cannot_start_tells_why(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch, definition: dict[str, Any], cause: Cause
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_DRAIN_LIMIT", "0.5")
    arn = await call(lab.run, container("true", **{**logging_to(), **definition}))
    end = await completion(arn)
    assert (end.outcome.verdict, end.diagnosis.cause) == (Verdict.NEVER_STARTED, cause)
    assert end.diagnosis.next_step


async def test_out_of_memory_tells_the_limit(lab: Lab, task_log: TaskLogReader) -> None:
    grow = container(name="main", memory=64, **logging_to())
    grow.update(entryPoint=["python3", "-c"], command=["x = bytearray(300 << 20); import time; time.sleep(30)"])
    arn = await call(lab.run, grow)
    end = await completion(arn)
    assert end.diagnosis.cause is Cause.OUT_OF_MEMORY
    assert "(container limit 64 MiB)" in end.diagnosis.summary


# D2
async def test_a_task_that_stays_missing_is_lost_with_an_explanation(lab: Lab, task_log: TaskLogReader) -> None:
    end = await completion("arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32)
    assert end.outcome.verdict is Verdict.LOST
    assert "ECS no longer knows the task" in end.diagnosis.summary
    assert "MISSING for" in end.diagnosis.summary


async def test_a_watch_that_cannot_be_read_fails_in_run_and_never_in_the_constructor() -> None:
    from asyncrun.model.errors import MalformedAnswer

    garbage = EcsTaskTrigger({"no": "watch"}, of="another release")
    assert garbage.serialize() == ("asyncrun.triggers.ecs.EcsTaskTrigger", {"watch": {"no": "watch"}})
    with pytest.raises(MalformedAnswer, match="the trigger's arguments cannot be read"):
        await event_of(garbage)
