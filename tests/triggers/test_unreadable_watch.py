"""A row in Airflow's database that cannot be read: said, and nothing crashes."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner

from asyncrun.triggers.background import finish_all
from asyncrun.triggers.ecs import EcsTaskTrigger
from tests.support.lab import Lab
from tests.support.supervisor import supervised
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


def made_of(garbage: Any) -> EcsTaskTrigger:
    trigger = EcsTaskTrigger(garbage)
    trigger.trigger_id = TRIGGER_ID
    trigger.task_instance = SimpleNamespace(  # type: ignore[assignment]
        id="0199b3f2-0000-7000-8000-000000000001", dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1,
        context_carrier=None,
    )  # fmt: skip
    return trigger


@pytest.mark.parametrize("garbage", [None, "x", 7, [], {}, {"ref": None}, {"ref": {"cluster": 1}, "target": {}}])
async def test_a_kill_of_a_run_that_cannot_be_read_says_what_was_not_done(
    lab: Lab, task_log: TaskLogReader, monkeypatch: pytest.MonkeyPatch, garbage: Any
) -> None:
    async with supervised(monkeypatch):
        await made_of(garbage).on_kill()
    said = task_log.said()
    assert "Nothing is stopped, because it cannot be read which container run was watched here" in said
    assert "It may still be running: the trigger's arguments cannot be read" in said
    assert {record["level"] for record in task_log.records("asyncrun")} == {"error"}


async def test_airflows_runner_survives_the_kill_of_a_trigger_that_cannot_be_read(
    lab: Lab, task_log: TaskLogReader, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with supervised(monkeypatch):
        runner = TriggerRunner()
        task = asyncio.create_task(runner.run_trigger(TRIGGER_ID, made_of({"ref": None})), name="trigger")
        runner.triggers[TRIGGER_ID] = {"task": task, "is_watcher": False, "name": "t", "events": 0}
        runner.to_cancel.append(TRIGGER_ID)
        await runner.cancel_triggers()
        await asyncio.wait([task], timeout=20)
        assert task.done()
        await finish_all()
    assert not [record for record in caplog.records if "asyncrun kill" in record.getMessage()]
