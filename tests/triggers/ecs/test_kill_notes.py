"""What a cancelled trigger makes of the note by which an attempt says which run is its own. In virtual time."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers.background import finish_all
from tests.support.memory_aws import MemoryAws, arn_of
from tests.support.supervisor import Supervisor, in_virtual_time
from tests.support.triggers import trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = [pytest.mark.usefixtures("loop_closed", "settings"), pytest.mark.looptime]

TI_ID = "0199b3f2-0000-7000-8000-000000000001"
NOTE = {
    "ref": {"cluster": "default", "task_arn": arn_of(1)}, "ti_id": TI_ID, "try_number": 1, "links": {"task_url": "t"},
}  # fmt: skip


@pytest.fixture
def airflow(monkeypatch: pytest.MonkeyPatch) -> Supervisor:
    return in_virtual_time(monkeypatch, 0.1)


async def stopped_after_kill(memory: MemoryAws, airflow: Supervisor, note: Any, state: str) -> bool:
    """Whether a trigger that is cancelled as killed stops its run."""
    memory.put(1)
    airflow.states = {"r": {"t": state}}
    airflow.xcoms["d", "r", "t", -1, RUN_XCOM_KEY] = note
    made = trigger(TRIGGER_ID, arn_of(1))
    made.task_instance = SimpleNamespace(  # type: ignore[assignment]
        id=TI_ID, dag_id="d", run_id="r", task_id="t", map_index=-1
    )
    await made.on_kill()
    await finish_all()
    return bool(memory.tasks[arn_of(1)]["lastStatus"] == "STOPPED")


@pytest.mark.parametrize(
    "note",
    [
        NOTE,
        {**NOTE, "version": 1},
        {**NOTE, "version": 2, "added": [1]},
        {**NOTE, "ref": {**NOTE["ref"], "region": "us-east-1"}},  # type: ignore[dict-item]
        {**NOTE, "ref": {**NOTE["ref"], "cluster": "arn:aws:ecs:us-east-1:123456789012:cluster/default"}},  # type: ignore[dict-item]
    ],
    ids=["first release", "this one", "newer", "ref with more", "cluster told in another way"],
)
async def test_a_trigger_that_moves_stops_nothing_whichever_release_noted_the_run(
    memory: MemoryAws, airflow: Supervisor, task_log: TaskLogReader, note: dict[str, Any]
) -> None:
    assert not await stopped_after_kill(memory, airflow, note, "deferred")
    assert "Nothing is stopped: the container run was moved" in task_log.said()


async def test_a_trigger_whose_attempt_has_another_run_now_stops_its_own(
    memory: MemoryAws, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    other = {**NOTE, "ref": {"cluster": "default", "task_arn": arn_of(2)}}
    assert await stopped_after_kill(memory, airflow, other, "deferred")


ODD = ["x", 7, [], {}, {"ti_id": TI_ID}, {**NOTE, "ref": None}, {**NOTE, "ref": {"cluster": "default"}}]


@pytest.mark.parametrize("state", ["deferred", "running"])
@pytest.mark.parametrize("note", ODD, ids=repr)
async def test_a_note_that_cannot_be_read_decides_nothing_and_that_is_said(
    memory: MemoryAws, airflow: Supervisor, task_log: TaskLogReader, note: Any, state: str
) -> None:
    assert not await stopped_after_kill(memory, airflow, note, state)
    said = task_log.said()
    assert "Airflow does not say whether the task was killed, so nothing is stopped" in said
    assert f"ECS task {arn_of(1)} may still be running. The XCom that names the container run cannot be read" in said


async def test_a_note_that_cannot_be_read_does_not_matter_where_the_state_decides(
    memory: MemoryAws, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    assert await stopped_after_kill(memory, airflow, "x", "failed")
