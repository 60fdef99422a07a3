"""asyncrun's own words in a task's log: through the emitter, like a container's lines, so they never block the loop."""

from __future__ import annotations

import time
from types import TracebackType
from typing import Self

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import Sink, open_sink
from asyncrun.triggers.logs.emitter import emitter

LOGGER = "asyncrun"
_FINISH_LIMIT = 30.0  # s; the log socket of a triggerer in trouble may not drain at all


class TaskLog:
    """
    What asyncrun says in one task's log. An async context manager: leaving it waits until all of it has left this
    process, unless it is left by a cancellation.

    :param trigger_id: whose task it is; None in a worker and in ``dag.test()``.
    """

    def __init__(self, trigger_id: int | None, settings: Settings) -> None:
        self.sink: Sink = open_sink(trigger_id)
        self._run_log = emitter().open(self.sink, (LOGGER,), settings)

    def say(self, level: str, text: str) -> None:
        """One message, which may have several lines. Never waits."""
        now = int(time.time() * 1000)
        self._run_log.add(LogLine(now, LOGGER, level, line) for line in text.splitlines() or [""])
        self._run_log.settle(LOGGER)  # nothing joins it: it goes out at once

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        try:
            if kind is None or issubclass(kind, Exception):
                await self._run_log.finish(_FINISH_LIMIT)
        finally:
            self._run_log.close()
