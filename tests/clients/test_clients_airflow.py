"""The safe messages to Airflow, over a real TriggerCommsDecoder and a supervisor of ours at the socket's other end."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import suppress
from typing import Any

import msgspec
import pytest

from asyncrun.clients.airflow import read_xcom, task_state, write_xcom
from asyncrun.model.errors import Unavailable

WHERE: dict[str, Any] = {"dag_id": "d", "task_id": "t", "run_id": "r"}


class Supervisor:
    """
    Answers requests as Airflow's supervisor frames them.

    :ivar asked: bodies of the requests.
    :ivar silent: read requests and answer nothing.
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.silent = False
        self.states: dict[str, dict[str, str]] = {}
        self.xcoms: dict[tuple[Any, ...], Any] = {}
        self.failing = False

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError):
            while True:
                (length,) = struct.unpack(">I", await reader.readexactly(4))
                number, body, *_ = msgspec.msgpack.decode(await reader.readexactly(length))
                self.asked.append(body)
                if self.silent:
                    continue
                error = {"type": "ErrorResponse", "error": "API_SERVER_ERROR", "detail": {"status_code": 500}}
                frame = [number, None, error] if self.failing else [number, self.answer(body), None]
                data = msgspec.msgpack.encode(frame)
                writer.write(struct.pack(">I", len(data)) + data)

    def answer(self, body: dict[str, Any]) -> dict[str, Any]:
        place = tuple(body.get(name) for name in ("dag_id", "run_id", "task_id", "map_index", "key"))
        match body["type"]:
            case "GetTaskStates":
                return {"type": "TaskStatesResult", "task_states": self.states}
            case "GetXCom":
                return {"type": "XComResult", "key": body["key"], "value": self.xcoms.get(place)}
            case "SetXCom":
                self.xcoms[place] = body["value"]
                return {"type": "OKResponse", "ok": True}
        raise AssertionError(f"the triggerer never answers {body['type']}")


@pytest.fixture
async def supervisor(no_leaked_tasks: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    from airflow.jobs.triggerer_job_runner import TriggerCommsDecoder
    from airflow.sdk.execution_time import task_runner

    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    comms = TriggerCommsDecoder(async_writer=writer, async_reader=reader, socket=ours)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", comms, raising=False)
    await comms.start_reader()
    served = Supervisor()
    their_reader, their_writer = await asyncio.open_connection(sock=theirs)
    serving = asyncio.create_task(served.serve(their_reader, their_writer), name="supervisor")
    yield served
    writer.close()
    their_writer.close()
    comms._reader_task.cancel()
    await asyncio.wait({comms._reader_task, serving})
    for end in (writer, their_writer):
        with suppress(OSError):
            await end.wait_closed()
    # What was asked and not waited for any more is cancelled with the reader; let its tasks end.
    async with asyncio.timeout(5):
        while any("asend" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_state_of_a_task(supervisor: Supervisor) -> None:
    supervisor.states = {"r": {"t": "deferred", "m_3": "failed"}}
    assert await task_state("d", "r", "t") == "deferred"
    assert await task_state("d", "r", "m", 3) == "failed"
    assert await task_state("d", "r", "gone") is None
    assert await task_state("d", "another", "t") is None
    asked = supervisor.asked[1]
    assert (asked["dag_id"], asked["map_index"], asked["task_ids"], asked["run_ids"]) == ("d", 3, ["m"], ["r"])


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
        children = [group.create_task(task_state("d", "r", "t"), name=f"child-{n}") for n in range(40)]
    assert {child.result() for child in children} == {"deferred"}


async def test_silence_is_unavailable(supervisor: Supervisor) -> None:
    supervisor.silent = True
    with pytest.raises(Unavailable) as caught:
        await task_state("d", "r", "t", limit=0.1)
    assert str(caught.value) == (
        "Airflow did not answer within 0.1 s when it was asked for the state of task t in run r of DAG d."
    )


async def test_error_of_airflow_is_unavailable(supervisor: Supervisor) -> None:
    supervisor.failing = True
    with pytest.raises(Unavailable) as caught:
        await write_xcom("k", 1, **WHERE)
    assert str(caught.value) == (
        "Airflow gave no useful answer when it was asked for the writing of XCom k of task t (AirflowRuntimeError)."
    )


async def test_cancelled_question_leaves_the_channel_usable(supervisor: Supervisor) -> None:
    supervisor.silent = True
    question = asyncio.create_task(task_state("d", "r", "t"), name="question")
    while not supervisor.asked:  # noqa: ASYNC110
        await asyncio.sleep(0.01)
    question.cancel()
    await asyncio.wait({question})
    assert question.cancelled()
    supervisor.silent = False
    supervisor.states = {"r": {"t": "running"}}
    assert await task_state("d", "r", "t") == "running"


async def test_without_a_supervisor_it_is_unavailable(monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.sdk.execution_time import task_runner

    monkeypatch.delattr(task_runner, "SUPERVISOR_COMMS", raising=False)
    with pytest.raises(Unavailable, match=r"^Airflow gave no useful answer when it was asked for XCom k of task t"):
        await read_xcom("k", **WHERE)
