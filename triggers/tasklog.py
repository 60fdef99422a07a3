"""asyncrun's own words in a task's log: through the emitter, like a container's lines, so they never block the loop."""

from __future__ import annotations

import dataclasses
import time
from functools import lru_cache
from types import TracebackType
from typing import Self

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import Sink, open_sink
from asyncrun.triggers.logs.emitter import emitter

LOGGER = "asyncrun"
_FINISH_LIMIT = 30.0  # s; the log socket of a triggerer in trouble may not drain at all


@lru_cache(maxsize=1)
def _at_once(settings: Settings) -> Settings:
    """For words of ours: each keeps its own time."""
    return dataclasses.replace(settings, log_slot=1)


class TaskLog:
    """
    What asyncrun says in one task's log. An async context manager: leaving it waits until all of it has left this
    process, unless it is left by a cancellation.

    :param trigger_id: whose task it is; None in a worker and in ``dag.test()``.
    """

    def __init__(self, trigger_id: int | None, settings: Settings) -> None:
        self.sink: Sink = open_sink(trigger_id)
        self._slot = settings.log_slot
        self._run_log = emitter().open(self.sink, (LOGGER,), _at_once(settings))

    def say(self, level: str, text: str) -> None:
        """One message, which may have several lines. Never waits."""
        now = int(time.time() * 1000)
        # Records of containers stand at the beginnings of their slots. In the same millisecond this could come to stand
        # between two triggerers' equal records of one line, and Airflow's reader would show that line twice.
        stamp = now - now % self._slot + self._slot * 4 // 5
        self._run_log.add(LogLine(stamp, LOGGER, level, line) for line in text.splitlines() or [""])
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
