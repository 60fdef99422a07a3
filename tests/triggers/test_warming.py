"""Airflow's API client is made when the first run opens, and nobody waits for that."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from types import SimpleNamespace

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers import warming
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.ecs import EcsTaskTrigger, run_inline
from asyncrun.triggers.heap import Heap
from asyncrun.triggers.kill import TaskId
from tests.support.lab import Lab, container, logging_to
from tests.support.supervisor import supervised
from tests.support.triggers import event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


def with_task_instance(arn: str) -> EcsTaskTrigger:
    """A trigger that knows whose it is, as Airflow tells it."""
    made = trigger(TRIGGER_ID, arn)
    made.task_instance = SimpleNamespace(  # type: ignore[assignment]
        id="0199b3f2-0000-7000-8000-000000000001", dag_id="d", run_id="r", task_id="t", map_index=-1
    )
    return made


async def test_the_first_run_asks_airflow_at_once_and_the_next_ones_do_not(
    lab: Lab, task_log: TaskLogReader, monkeypatch: pytest.MonkeyPatch
) -> None:
    arn = str(await asyncio.to_thread(lab.run, container("sleep 60", **logging_to())))
    async with supervised(monkeypatch) as airflow:
        runs = [asyncio.create_task(event_of(with_task_instance(arn)), name=f"run {number}") for number in range(3)]
        async with asyncio.timeout(20):
            while not airflow.asked:  # noqa: ASYNC110 - the other side of a socket
                await asyncio.sleep(0.02)
        await asyncio.to_thread(lab.ecs.stop_task, task=arn)
        await asyncio.wait(runs)
        assert [(body["type"], body["key"]) for body in airflow.asked] == [("GetXCom", RUN_XCOM_KEY)]


async def test_an_airflow_that_does_not_answer_holds_up_no_run(lab: Lab, task_log: TaskLogReader) -> None:
    """There is no supervisor at all here."""
    arn = str(await asyncio.to_thread(lab.run, container("echo hello", **logging_to())))
    assert isinstance(await event_of(with_task_instance(arn)), TaskSuccessEvent)
    await finish_all()
    assert task_log.lines("main") == ["hello"]
    assert "Airflow" not in task_log.said()


async def test_a_worker_does_not_ask(lab: Lab, task_log: TaskLogReader, monkeypatch: pytest.MonkeyPatch) -> None:
    arn = str(await asyncio.to_thread(lab.run, container("echo hello", **logging_to())))
    async with supervised(monkeypatch) as airflow:
        await run_inline(with_task_instance(arn))
        assert airflow.asked == []


@pytest.fixture
def heap(monkeypatch: pytest.MonkeyPatch) -> Iterator[Heap]:
    made = Heap()
    monkeypatch.setattr(warming, "heap", made)
    yield made
    made.release()


@pytest.mark.parametrize(("process", "setting", "frozen"), [("client", "on", True), ("client", "off", False),
                                                            ("", "on", False)])  # fmt: skip
async def test_the_triggerers_heap_is_kept_from_full_collections_unless_that_is_off(
    process: str, setting: str, frozen: bool, settings: pytest.MonkeyPatch, heap: Heap
) -> None:
    settings.setenv("_AIRFLOW_PROCESS_CONTEXT", process)
    settings.setenv("AIRFLOW__ASYNCRUN__FREEZE_HEAP", setting)
    for number in range(3):
        warming.warm_up(TaskId(dag_id="d", run_id="r", task_id="t", map_index=-1, ti_id=f"{number}"))
    assert gc.get_freeze_count() == 0, "not in the first step of a trigger"
    await finish_all()
    assert (gc.get_freeze_count() > 10_000) == frozen
