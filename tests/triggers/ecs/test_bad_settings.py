"""A mistake in ``[asyncrun]`` is said, and takes no run away from the triggerer: neither its end nor its stop."""

from __future__ import annotations

import asyncio
import logging
import time
from types import SimpleNamespace
from typing import Any

import pytest

from asyncrun.clients import config
from asyncrun.model.ecs_watch import EcsClusterWatch
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.ecs import EcsClusterTrigger
from tests.support.memory_aws import MemoryAws, at
from tests.support.supervisor import Supervisor
from tests.support.triggers import TARGET, completion, event_of, said, trigger
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

WRONG = {"LOG_RATE": "2OO", "POLL_INTERVAL": "soon"}
SAID = [
    "[asyncrun] poll_interval = 'soon' in Airflow's configuration cannot work: expected a number of s, at least 0.1 "
    "and at most 3600. What already runs goes on with the default: 1",
    "[asyncrun] log_rate = '2OO' in Airflow's configuration cannot work: expected a whole number of lines/s, at least "
    "1 and at most 1000000. What already runs goes on with the default: 200",
]


@pytest.fixture(autouse=True)
def mistakes(settings: pytest.MonkeyPatch) -> None:
    for name, value in WRONG.items():
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name}", value)
    settings.setattr(config, "_said", set())


@pytest.mark.looptime
async def test_the_end_is_reported_and_every_task_log_says_what_is_wrong(
    memory: MemoryAws, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture
) -> None:
    arns = [memory.put(number) for number in (1, 2)]
    at(2, lambda: memory.finish(1))
    at(2, lambda: memory.finish(2))
    made = [trigger(number, arn) for number, arn in enumerate(arns, start=1)]
    await asyncio.gather(*(event_of(one) for one in made))
    for number in (1, 2):
        assert said(task_log, number).splitlines()[:2] == SAID
        errors = [one["event"] for one in task_log.records("asyncrun") if one["trigger_id"] == number
                  and one["level"] == "error"]  # fmt: skip
        assert [line for event in errors for line in event.splitlines()] == SAID
    process_log = [one for one in caplog.records if one.name == config.__name__]
    assert [(one.levelno, one.getMessage()) for one in process_log] == [(logging.ERROR, text) for text in SAID]


@pytest.mark.looptime
async def test_the_deadline_stops_the_run(memory: MemoryAws, task_log: TaskLogReader) -> None:
    end = await completion(memory.put(1), deadline=time.time() + 5, deadline_reason="execution_timeout=0:00:05")
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)


async def test_a_user_kill_stops_the_run(memory: MemoryAws, airflow: Supervisor, task_log: TaskLogReader) -> None:
    arn = memory.put(1)
    made: Any = trigger(1, arn)
    made.task_instance = SimpleNamespace(id="ti", dag_id="d", run_id="r", task_id="t", map_index=-1)
    await made.on_kill()
    await finish_all()
    assert memory.tasks[arn]["lastStatus"] == "STOPPED"


@pytest.mark.looptime
async def test_who_waits_for_a_state_is_told_of_it(memory: MemoryAws, task_log: TaskLogReader) -> None:
    watch = EcsClusterWatch(target=TARGET, deferred_at=time.time(), cluster="default", desired=("ACTIVE",))
    made = EcsClusterTrigger(watch.to_dict())
    made.trigger_id = 1
    event = await event_of(made)
    assert event.payload["status"] == "success"
    assert said(task_log, 1).splitlines()[:2] == SAID
