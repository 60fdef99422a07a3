"""A user's kill deletes the pod; a move to another triggerer never does (D6, D11)."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner

from asyncrun.local.kube import Fault
from asyncrun.model.refs import RUN_XCOM_KEY, PodRef, RunRecord
from asyncrun.triggers.background import finish_all
from tests.support.kube_lab import KubeLab
from tests.support.supervisor import Supervisor
from tests.support.triggers import call, hears, said
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("loop_closed")

TI_ID = "0199b3f2-0000-7000-8000-000000000001"
PLACE = ("d", "r", "t", -1, RUN_XCOM_KEY)


class Deferral:
    """A deferred task: its pod, and Airflow's own trigger runner with the trigger."""

    def __init__(self, kube: KubeLab, airflow: Supervisor, ref: PodRef, **fields: Any) -> None:
        self.kube, self.airflow, self.ref = kube, airflow, ref
        made = kube.trigger(TRIGGER_ID, ref, **fields)
        made.task_instance = SimpleNamespace(  # type: ignore[assignment]
            id=TI_ID, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, context_carrier=None
        )
        self.runner = TriggerRunner()
        self.task = asyncio.create_task(self.runner.run_trigger(TRIGGER_ID, made), name="trigger")
        self.runner.triggers[TRIGGER_ID] = {"task": self.task, "is_watcher": False, "name": "t", "events": 0}

    def note(self, ref: PodRef, *, ti_id: str = TI_ID, state: str | None) -> None:
        """The worker's XCom, and the state in Airflow's database."""
        self.airflow.xcoms[PLACE] = RunRecord(ref=ref, ti_id=ti_id).to_dict()
        self.airflow.states = {"r": {"t": state}} if state else {}

    async def cancel_as_user(self) -> None:
        """What the runner does with triggers that are no longer in the database; again at each sync, after a second."""
        for _ in range(2):
            self.runner.to_cancel.append(TRIGGER_ID)
            await self.runner.cancel_triggers()
            await asyncio.wait([self.task], timeout=1.0)
        await asyncio.wait([self.task], timeout=10)
        assert self.task.done()
        await finish_all()

    async def deletes(self) -> int:
        return (await call(self.kube.kube.control.counts)).counts.get("delete pods", 0)


async def deferral(kube: KubeLab, airflow: Supervisor, task_log: TaskLogReader, **fields: Any) -> Deferral:
    ref = await call(kube.create, {"run": 120, "lines": 1})
    made = Deferral(kube, airflow, ref, **fields)
    await hears(task_log, TRIGGER_ID, "base 0", "base")
    return made


@pytest.fixture
async def deferred(kube: KubeLab, airflow: Supervisor, task_log: TaskLogReader) -> Deferral:
    """A deferred task whose pod runs and has been heard of."""
    return await deferral(kube, airflow, task_log)


@pytest.mark.parametrize("state", ["failed", "success", "skipped", "scheduled", None])
async def test_a_task_that_was_marked_or_cleared_has_its_pod_deleted(deferred: Deferral, state: str | None) -> None:
    deferred.note(deferred.ref, state=state)
    await deferred.cancel_as_user()
    await deferred.kube.gone(deferred.ref)


async def test_a_trigger_that_moves_to_another_triggerer_deletes_nothing(
    deferred: Deferral, task_log: TaskLogReader
) -> None:
    deferred.note(deferred.ref, state="deferred")
    await deferred.cancel_as_user()
    assert await call(deferred.kube.exists, deferred.ref)
    assert await deferred.deletes() == 0
    assert "Nothing is stopped: the container run was moved" in said(task_log, TRIGGER_ID)


async def test_a_pod_that_a_later_try_has_taken_over_goes_on(deferred: Deferral) -> None:
    deferred.note(deferred.ref, ti_id="another", state="deferred")
    await deferred.cancel_as_user()
    assert await call(deferred.kube.exists, deferred.ref)


async def test_with_on_kill_action_keep_pod_it_goes_on(
    kube: KubeLab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    made = await deferral(kube, airflow, task_log, on_kill_action="keep_pod")
    made.note(made.ref, state="failed")
    await made.cancel_as_user()
    assert await call(kube.exists, made.ref)
    assert airflow.asked == [] or all(one["type"] == "GetXCom" for one in airflow.asked)  # the warming up


async def test_a_killed_pod_that_is_to_be_kept_at_its_end_is_deleted_all_the_same(
    kube: KubeLab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    """As upstream: ``on_finish_action`` is about ends, ``on_kill_action`` about kills."""
    made = await deferral(kube, airflow, task_log, on_finish_action="keep_pod")
    made.note(made.ref, state="failed")
    await made.cancel_as_user()
    await kube.gone(made.ref)


async def test_a_delete_that_is_not_answered_at_first_is_repeated(deferred: Deferral) -> None:
    await call(deferred.kube.kube.control.add_faults, Fault(operation="delete pods", status=503, count=3))
    deferred.note(deferred.ref, state="failed")
    await deferred.cancel_as_user()
    await deferred.kube.gone(deferred.ref)
