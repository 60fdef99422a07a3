"""When Airflow's supervisor is done with an end, held against Airflow's own runner: its private ways may change."""

from __future__ import annotations

import asyncio
import gc
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.triggers.base import BaseTrigger, TriggerEvent

from asyncrun.clients import airflow_supervisor
from asyncrun.clients.airflow_supervisor import Noticing, can_tell, supervisor_turn
from tests.support.supervisor import Supervisor, supervised


@pytest.fixture
async def supervisor(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    async with supervised(monkeypatch) as served:
        yield served


class EndsAtOnce(BaseTrigger):
    """Notices its own end."""

    def __init__(self, noticed: list[Noticing]) -> None:
        super().__init__()
        self.noticed = noticed

    def serialize(self) -> tuple[str, dict[str, Any]]:
        raise AssertionError("it is not stored")

    async def run(self) -> AsyncIterator[TriggerEvent]:
        task = asyncio.current_task()
        assert task is not None
        self.noticing = Noticing(task, self.noticed.append, never)
        del task
        await asyncio.sleep(0.01)
        yield TriggerEvent("over")


def never(_: Noticing) -> None:
    raise AssertionError("it is not overdue")


def runner_with(*triggers: BaseTrigger) -> TriggerRunner:
    """Airflow's own, with these triggers running."""
    from airflow.sdk.execution_time import task_runner

    runner = TriggerRunner()
    runner.comms_decoder = task_runner.SUPERVISOR_COMMS
    for number, trigger in zip(itertools.count(1), triggers, strict=False):
        trigger.task_instance = None
        runner.triggers[number] = {
            "task": asyncio.create_task(runner.run_trigger(number, trigger), name=f"trigger {number}"),
            "is_watcher": False,
            "name": f"ID {number}",
            "events": 0,
        }
    return runner


async def all_done(runner: TriggerRunner) -> None:
    await asyncio.wait([details["task"] for details in runner.triggers.values()])


async def test_an_end_is_noticed_in_the_step_in_which_the_runner_tells_it(supervisor: Supervisor) -> None:
    noticed: list[Noticing] = []
    gc.disable()
    try:
        runner = runner_with(EndsAtOnce(noticed), EndsAtOnce(noticed), EndsAtOnce(noticed))
        await all_done(runner)
        await asyncio.sleep(0.1)
        assert noticed == [], "they have ended, and the runner has not looked"
        telling = asyncio.create_task(tell(runner), name="sync")
        while not noticed:  # noqa: ASYNC110 - step by step
            await asyncio.sleep(0)
        assert len(noticed) == 3, "those of one message are noticed in one step"
        assert await supervisor_turn()
        await telling
    finally:
        gc.enable()
    assert [one["type"] for one in supervisor.asked] == ["TriggerStateChanges", "MaskSecret"]
    assert supervisor.asked[0]["finished"] == [1, 2, 3]


async def tell(runner: TriggerRunner) -> None:
    """As its ``arun`` does once a second."""
    await runner.sync_state_to_supervisor(await runner.cleanup_finished_triggers())


async def test_the_question_masks_nothing(supervisor: Supervisor) -> None:
    from airflow.sdk._shared.secrets_masker import _secrets_masker
    from airflow.sdk.execution_time.comms import MaskSecret
    from airflow.sdk.execution_time.request_handlers import handle_mask_secret

    assert await supervisor_turn()
    (asked,) = supervisor.asked
    before = set(_secrets_masker().patterns)
    handle_mask_secret(MaskSecret(**{name: value for name, value in asked.items() if name != "type"}))
    assert set(_secrets_masker().patterns) == before


async def test_a_supervisor_that_reports_an_error_has_been_round(supervisor: Supervisor) -> None:
    supervisor.failing = True
    assert await supervisor_turn()


async def test_a_supervisor_that_does_not_answer_cannot_be_told(
    supervisor: Supervisor, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(airflow_supervisor, "_ANSWER_LIMIT", 0.05)
    supervisor.silent = True
    assert not await supervisor_turn()


async def test_outside_of_a_triggerer_nothing_can_be_told() -> None:
    assert not can_tell()
    assert not await supervisor_turn()


async def test_in_a_triggerer_it_can(supervisor: Supervisor) -> None:
    assert can_tell()


async def test_a_task_that_somebody_keeps_is_overdue_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(airflow_supervisor, "_OVERDUE", 0.05)
    noticed: list[Noticing] = []
    overdue: list[Noticing] = []
    task = asyncio.create_task(asyncio.sleep(0), name="kept")
    noticing = Noticing(task, noticed.append, overdue.append)
    await task
    assert overdue == []
    await asyncio.sleep(0.1)
    assert (overdue, noticed) == ([noticing], [])
    noticing.notice()
    assert noticed == [noticing]
    del task
    gc.collect()
    await asyncio.sleep(0)
    assert noticed == [noticing], "once only"


async def test_a_task_whose_loop_is_closed_is_noticed_by_nobody() -> None:
    noticed: list[Noticing] = []

    def elsewhere() -> None:
        loop = asyncio.new_event_loop()
        task = loop.create_task(asyncio.sleep(0), name="elsewhere")
        keep.append(Noticing(task, noticed.append, never))
        loop.run_until_complete(task)
        loop.close()

    keep: list[Noticing] = []
    await asyncio.to_thread(elsewhere)
    gc.collect()
    assert noticed == []
