"""The safe messages to Airflow, over a real TriggerCommsDecoder and a supervisor of ours at the socket's other end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.clients.airflow import read_xcom, task_states, write_xcom
from asyncrun.clients.airflow_states import TaskKey, state_questions
from asyncrun.model.errors import Unavailable
from tests.support.supervisor import Supervisor, in_virtual_time, supervised

ONE = TaskKey("d", "r", "t", -1)
WHERE: dict[str, Any] = {"dag_id": "d", "task_id": "t", "run_id": "r"}


@pytest.fixture
async def supervisor(no_leaked_tasks: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    async with supervised(monkeypatch) as served:
        yield served


async def states(*keys: TaskKey, **named: float) -> dict[TaskKey, str | None]:
    found: dict[TaskKey, str | None] = {}
    for question in state_questions(keys):
        found |= await task_states(question, **named)
    return found


async def test_states_of_tasks(supervisor: Supervisor) -> None:
    supervisor.states = {"r": {"t": "deferred", "m_3": "failed", "m_4": "running"}}
    keys = [
        TaskKey("d", "r", "t", -1), TaskKey("d", "r", "m", 3), TaskKey("d", "r", "gone", -1),
        TaskKey("d", "another", "t", -1),
    ]  # fmt: skip
    assert await states(*keys) == dict(zip(keys, ["deferred", "failed", None, None], strict=True))
    assert [(one["map_index"], one["task_ids"], one["run_ids"]) for one in supervisor.asked] == [
        (None, ["gone", "t"], ["r"]), (3, ["m"], ["r"]), (None, ["t"], ["another"]),
    ]  # fmt: skip


async def test_xcom_is_written_and_read_back(supervisor: Supervisor) -> None:
    value = {"arn": "a", "try": 2, "list": [1, None]}
    await write_xcom("k", value, **WHERE)
    await write_xcom("k", "mapped", **WHERE, map_index=4)
    assert await read_xcom("k", **WHERE) == value
    assert await read_xcom("k", **WHERE, map_index=4) == "mapped"
    assert await read_xcom("other", **WHERE) is None


async def test_works_from_child_tasks_of_a_trigger_and_many_at_once(supervisor: Supervisor) -> None:
    supervisor.states = {"r": {"t": "deferred"}}
    async with asyncio.TaskGroup() as group:
        children = [group.create_task(states(ONE), name=f"child-{n}") for n in range(40)]
    assert [child.result() for child in children] == [{ONE: "deferred"}] * 40


async def test_silence_is_unavailable(supervisor: Supervisor) -> None:
    supervisor.silent = True
    with pytest.raises(Unavailable) as caught:
        await states(ONE, limit=0.1)
    assert str(caught.value) == (
        "Airflow did not answer within 0.1 s when it was asked for the state of task t in run r of DAG d."
    )


@pytest.mark.looptime
async def test_the_limit_counts_from_the_sending_however_many_wait_before(
    no_leaked_tasks: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    supervisor = in_virtual_time(monkeypatch, 1.0)
    supervisor.states = {"r": {"t": "deferred"}}
    found = await asyncio.gather(*(states(ONE, limit=4.5) for _ in range(100)))
    assert found == [{ONE: "deferred"}] * 100
    assert asyncio.get_running_loop().time() >= 100


async def test_answers_that_never_come_take_nobodys_place(supervisor: Supervisor) -> None:
    supervisor.silent = True
    silent = await asyncio.gather(*(states(ONE, limit=0.1) for _ in range(9)), return_exceptions=True)
    assert [type(one) for one in silent] == [Unavailable] * 9
    supervisor.silent = False
    supervisor.states = {"r": {"t": "deferred"}}
    assert await states(ONE) == {ONE: "deferred"}


async def test_error_of_airflow_is_unavailable(supervisor: Supervisor) -> None:
    supervisor.failing = True
    with pytest.raises(Unavailable) as caught:
        await write_xcom("k", 1, **WHERE)
    assert str(caught.value) == (
        "Airflow gave no useful answer when it was asked for the writing of XCom k of task t (AirflowRuntimeError)."
    )


async def test_cancelled_question_leaves_the_channel_usable(supervisor: Supervisor) -> None:
    supervisor.silent = True
    question = asyncio.create_task(states(ONE), name="question")
    while not supervisor.asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    question.cancel()
    await asyncio.wait({question})
    assert question.cancelled()
    supervisor.silent = False
    supervisor.states = {"r": {"t": "running"}}
    assert await states(ONE) == {ONE: "running"}


async def test_without_a_supervisor_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    with pytest.raises(Unavailable, match=r"^Airflow gave no useful answer when it was asked for XCom k of task t"):
        await read_xcom("k", **WHERE)
