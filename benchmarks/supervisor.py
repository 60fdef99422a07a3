"""Airflow's own supervisor of a triggerer, without its database: triggers come from a list, everything is noted."""

from __future__ import annotations

import time
import uuid
from collections.abc import Generator
from typing import Any

import attrs
import psutil
from airflow.executors.workloads.task import TaskInstanceDTO
from airflow.executors.workloads.trigger import RunTrigger
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor, messages
from airflow.models.trigger import Trigger
from airflow.sdk.execution_time.comms import (
    ErrorResponse,
    GetConnection,
    GetTaskStates,
    GetXCom,
    SetXCom,
    TaskStatesResult,
    XComResult,
)
from airflow.triggers.base import TriggerEvent

_SAMPLE = 0.5  # s
_ANSWER = 0.005  # s that an answer to a trigger's question takes


@attrs.define(kw_only=True)
class BenchSupervisor(TriggerRunnerSupervisor):
    """
    Forks the real ``TriggerRunner`` and speaks with it as Airflow does.

    :param loop_cost: seconds that one turn of the loop takes besides, in place of the real one's questions to its
        database; each turn reads 4 KiB of log. A real one made 16 to 85 turns a second on two cores, by how busy these
        were; the default makes 40 at most.
    """

    loop_cost: float = 0.025

    records: list[tuple[float, bytes]] = attrs.field(factory=list, init=False)
    fired: list[tuple[float, int, Any]] = attrs.field(factory=list, init=False)
    broken: list[tuple[float, int, str]] = attrs.field(factory=list, init=False)
    finished: dict[int, float] = attrs.field(factory=dict, init=False)
    samples: list[tuple[float, float, int]] = attrs.field(factory=list, init=False)
    questions: dict[str, int] = attrs.field(factory=dict, init=False)
    xcoms: dict[str, Any] = attrs.field(factory=dict, init=False)
    _sampled_at: float = attrs.field(default=0.0, init=False)
    _watched: Any = attrs.field(default=None, init=False)

    def add(self, number: int, classpath: str, kwargs: dict[str, Any]) -> None:
        """One more trigger, handed over at the runner's next sync."""
        ti = TaskInstanceDTO(
            id=uuid.uuid4(),
            dag_version_id=uuid.uuid4(),
            task_id=f"run_{number}",
            dag_id="bench",
            run_id="bench",
            try_number=1,
            pool_slots=1,
            priority_weight=1,
        )
        encrypted = Trigger.encrypt_kwargs(kwargs)
        self.creating_triggers.append(RunTrigger(id=number, classpath=classpath, encrypted_kwargs=encrypted, ti=ti))

    def turn(self) -> None:
        """One turn of the loop."""
        self.run_once()
        now = time.time()
        if now - self._sampled_at >= _SAMPLE:
            self._sampled_at = now
            self._watched = self._watched or psutil.Process(self.pid)
            times = self._watched.cpu_times()
            self.samples.append((now, times.user + times.system, self._watched.memory_info().rss))

    # What the real one does with its database, as its docstring asks of a subclass without one.

    def load_triggers(self) -> None:
        time.sleep(self.loop_cost)

    def heartbeat(self) -> None:
        pass

    def clean_unused(self) -> None:
        pass

    def metric_tags(self) -> dict[str, str]:
        return {"hostname": "bench"}

    def on_trigger_event(self, trigger_id: int, event: TriggerEvent) -> None:
        self.fired.append((time.time(), trigger_id, {"kind": type(event).__name__, "payload": event.payload}))

    def on_trigger_failure(self, trigger_id: int, exc: list[str] | None) -> None:
        self.broken.append((time.time(), trigger_id, "".join(exc or ["no event"])))

    def _process_log_messages_from_subprocess(self) -> Generator[None, bytes | bytearray, None]:
        while True:
            line = yield
            self.records.append((time.time(), bytes(line)))

    def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
        name = type(msg).__name__
        self.questions[name] = self.questions.get(name, 0) + 1
        if isinstance(msg, messages.TriggerStateChanges):
            for number in msg.finished or ():
                self.finished[number] = time.time()
            super()._handle_request(msg, log, req_id)
            return
        time.sleep(_ANSWER)
        self.send_msg(self._answer(msg), request_id=req_id, error=None)

    def _answer(self, msg: Any) -> Any:
        if isinstance(msg, SetXCom):
            self.xcoms[f"{msg.task_id}/{msg.key}"] = msg.value
            return None
        if isinstance(msg, GetXCom):
            return XComResult(key=msg.key, value=self.xcoms.get(f"{msg.task_id}/{msg.key}"))
        if isinstance(msg, GetTaskStates):
            return TaskStatesResult(task_states={})
        if isinstance(msg, GetConnection):
            return ErrorResponse(error="CONNECTION_NOT_FOUND", detail={"conn_id": msg.conn_id})
        return ErrorResponse(detail={"message": f"the harness does not answer {type(msg).__name__}"})
