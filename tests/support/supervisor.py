"""Airflow's supervisor at the other end of a real TriggerCommsDecoder."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Callable
from concurrent.futures import Executor, Future
from contextlib import asynccontextmanager, suppress
from typing import Any

import msgspec
import pytest


class Supervisor:
    """
    Answers requests as Airflow's supervisor frames them.

    :ivar asked: bodies of the requests.
    :ivar silent: read requests and answer nothing.
    :ivar failing: answer with an error.
    :ivar states: by run id, then task id (mapped: ``<task id>_<index>``).
    :ivar xcoms: by (dag, run, task, map index, key).
    """

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.silent = self.failing = False
        self.states: dict[str, dict[str, str]] = {}
        self.xcoms: dict[tuple[Any, ...], Any] = {}

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer until the connection ends."""
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

    def answer(self, body: dict[str, Any]) -> dict[str, Any] | None:
        """What the triggerer's supervisor says to that."""
        place = tuple(body.get(name) for name in ("dag_id", "run_id", "task_id", "map_index", "key"))
        match body["type"]:
            case "GetTaskStates":
                return {"type": "TaskStatesResult", "task_states": self._states(body)}
            case "GetXCom":
                return {"type": "XComResult", "key": body["key"], "value": self.xcoms.get(place)}
            case "SetXCom":
                self.xcoms[place] = body["value"]
                return {"type": "OKResponse", "ok": True}
            case "TriggerStateChanges":
                return {"type": "TriggerStateSync", "to_create": [], "to_cancel": []}
            case "MaskSecret":
                return None
        raise AssertionError(f"the triggerer never answers {body['type']}")

    def _states(self, body: dict[str, Any]) -> dict[str, dict[str, str]]:
        """As Airflow's API picks them; the supervisor does not pass on a map index below zero."""

        def asked(name: str) -> bool:
            task_id, _, index = name.rpartition("_")
            if body["map_index"] is not None and body["map_index"] >= 0:
                return task_id in body["task_ids"] and index == str(body["map_index"])
            return name in body["task_ids"] or (task_id in body["task_ids"] and index.isdigit())

        return {
            run: {name: state for name, state in states.items() if asked(name)}
            for run, states in self.states.items()
            if run in body["run_ids"]
        }


@asynccontextmanager
async def supervised(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Make this event loop a triggerer's, as far as messages to Airflow go."""
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
        while any("asend" in repr(task) for task in asyncio.all_tasks()):  # noqa: ASYNC110 - not ours
            await asyncio.sleep(0.01)


class SlowLine(Executor):
    """
    Stands where ``clients.airflow`` has its threads, for virtual time: whatever is asked is answered by a supervisor
    that takes ``delay`` seconds for each message, and serves one after the other.

    Between the SDK's functions and the supervisor only the socket is missing.
    """

    def __init__(self, supervisor: Supervisor, delay: float) -> None:
        from airflow.jobs.triggerer_job_runner import ToTriggerRunner
        from airflow.sdk.execution_time import xcom  # noqa: F401 - importing is too slow for an event loop
        from pydantic import TypeAdapter

        self._supervisor, self._delay, self._free_at = supervisor, delay, 0.0
        self._answers: TypeAdapter[Any] = TypeAdapter(ToTriggerRunner)

    def submit(self, work: Callable[..., Any], /, *arguments: Any, **named: Any) -> Future[Any]:  # type: ignore[override]
        loop, answer = asyncio.get_running_loop(), Future[Any]()
        self._free_at = max(loop.time(), self._free_at) + self._delay

        def serve() -> None:
            try:
                answer.set_result(work(*arguments, **named))
            except Exception as error:  # noqa: BLE001 - as an executor does
                answer.set_exception(error)

        if not self._supervisor.silent:
            loop.call_at(self._free_at, serve)
        return answer

    def send(self, message: Any) -> Any:
        """For the SDK, as its ``SUPERVISOR_COMMS``."""
        from airflow.sdk.exceptions import AirflowRuntimeError
        from airflow.sdk.execution_time.comms import ErrorResponse, ErrorType

        self._supervisor.asked.append(body := message.model_dump())
        if self._supervisor.failing:
            raise AirflowRuntimeError(ErrorResponse(error=ErrorType.API_SERVER_ERROR))
        return self._answers.validate_python(self._supervisor.answer(body))


def in_virtual_time(monkeypatch: pytest.MonkeyPatch, delay: float) -> Supervisor:
    """A supervisor that takes ``delay`` seconds of virtual time for each message."""
    from airflow.sdk.execution_time import task_runner

    from asyncrun.clients import airflow

    supervisor = Supervisor()
    line = SlowLine(supervisor, delay)
    monkeypatch.setattr(airflow, "_threads", lambda: line)
    monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", line, raising=False)
    return supervisor
