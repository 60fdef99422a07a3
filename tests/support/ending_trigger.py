"""The smallest triggers that end all in the same second, when a file appears."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from airflow.triggers.base import BaseTrigger, TriggerEvent

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.diagnosis import Diagnosis
from asyncrun.model.event import CompletionEvent, EcsCompletionEvent
from asyncrun.model.outcome import Outcome, Verdict
from asyncrun.model.refs import EcsTaskRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import RunTrigger
from asyncrun.triggers.tasklog import TaskLog

_LOOK = 0.2  # s


class EndingTrigger(RunTrigger):
    """
    Ends as ours do.

    :param watch: ``number``; ``lines`` that it logs first; ``go``, the file it waits for; ``in_triggerer``: whether it
        ends without a worker.
    """

    def open_run(self, settings: Settings, task_log: TaskLog) -> _Ending:
        return _Ending(self.watch["number"], self.watch["lines"], Path(self.watch["go"]), task_log)

    def end_in_triggerer(self) -> bool:
        return bool(self.watch["in_triggerer"])

    def push_result(self) -> bool:
        return False

    def deferred_at(self) -> float:
        return 0.0

    def run_identity(self) -> str:
        return str(self.watch["number"])


class PlainTrigger(BaseTrigger):
    """Ends in the same second, too, and as any other trigger does: at once."""

    def __init__(self, watch: dict[str, Any]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch

    def serialize(self) -> tuple[str, dict[str, Any]]:
        return f"{type(self).__module__}.{type(self).__qualname__}", {"watch": self.watch}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        async with _signals().watched(Path(self.watch["go"])) as appeared:
            await appeared.wait()
        yield TriggerEvent("over")


class _Ending:
    def __init__(self, number: int, lines: int, go: Path, task_log: TaskLog) -> None:
        self._number, self._lines, self._go, self._task_log = number, lines, go, task_log

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        pass

    async def completion(self) -> CompletionEvent:
        for line in range(self._lines):
            self._task_log.say("info", f"line {line} of run {self._number}")
        async with _signals().watched(self._go) as appeared:
            await appeared.wait()
        return EcsCompletionEvent(
            ref=EcsTaskRef(cluster="default", task_arn=f"arn:aws:ecs:us-east-1:1:task/default/{self._number}"),
            outcome=Outcome(verdict=Verdict.SUCCEEDED),
            diagnosis=Diagnosis(summary=f"run {self._number} has ended"),
        )

    async def stop(self, reason: str) -> None:
        raise AssertionError("nothing is stopped here")


class _Signals:
    """One look at the file for all: a thousand would be a load of their own."""

    def __init__(self) -> None:
        self._appeared = asyncio.Event()
        self._waiting = 0
        self._task: asyncio.Task[None] | None = None

    @asynccontextmanager
    async def watched(self, go: Path) -> AsyncIterator[asyncio.Event]:
        self._waiting += 1
        if self._task is None:
            self._task = asyncio.create_task(self._look(go), name="go")
        try:
            yield self._appeared
        finally:
            self._waiting -= 1

    async def _look(self, go: Path) -> None:
        while not await asyncio.to_thread(go.exists):  # noqa: ASYNC110 - it comes from another process
            await asyncio.sleep(_LOOK)
        self._appeared.set()


_signals = PerLoop(_Signals)
