"""A user's kill deletes the pod; a move to another triggerer never does (D6, D11)."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.local.kube import Fault
from asyncrun.model.refs import PodRef, RunRecord
from tests.support.deferral import TI_ID, RunningTrigger
from tests.support.kube_lab import KubeLab
from tests.support.supervisor import Supervisor
from tests.support.triggers import call, hears, said
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("loop_closed")


class Deferral(RunningTrigger):
    """A deferred task: its pod, and Airflow's own trigger runner with the trigger."""

    def __init__(self, kube: KubeLab, airflow: Supervisor, ref: PodRef, **fields: Any) -> None:
        super().__init__(airflow, kube.trigger(TRIGGER_ID, ref, **fields))
        self.kube, self.ref = kube, ref

    def note(self, ref: PodRef, *, ti_id: str = TI_ID, state: str | None) -> None:
        """The worker's XCom, and the state in Airflow's database."""
        self.note_record(RunRecord(ref=ref, ti_id=ti_id).to_dict(), state)

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
    assert await deferred.deletes() == 0


async def test_with_on_kill_action_keep_pod_it_goes_on(
    kube: KubeLab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    made = await deferral(kube, airflow, task_log, on_kill_action="keep_pod")
    made.note(made.ref, state="failed")
    await made.cancel_as_user()
    assert await call(kube.exists, made.ref)
    assert await made.deletes() == 0
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
