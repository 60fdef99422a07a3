"""The one task of an event loop that sends its metrics: it lives as long as there are triggers."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import socket
from contextlib import suppress
from types import TracebackType

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.settings import Settings
from asyncrun.triggers.metrics.airflow_stats import find_backend, send
from asyncrun.triggers.metrics.sampling import Ledger, take_samples

log = logging.getLogger(__name__)


class Reporter:
    """Sends the metrics of one event loop. Nothing that goes wrong here reaches anybody else."""

    def __init__(self) -> None:
        self._users = 0
        self._nobody = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self._is_off = False  # in Airflow
        self._ledger: Ledger | None = None
        self._complained = False

    def needed(self, settings: Settings) -> _Needed:
        """
        A trigger that lives as long: metrics are sent every ``metrics_interval``, and when the last one has left.

        Never waits.
        """
        return _Needed(self, settings)

    def enter(self, settings: Settings) -> None:
        """For the blocks of ``needed``."""
        self._users += 1
        self._nobody.clear()
        if not self._is_off and (self._task is None or self._task.done()):
            self._task = asyncio.get_running_loop().create_task(
                self._run(settings.metrics_interval), name="asyncrun metrics", context=contextvars.Context()
            )

    def leave(self) -> None:
        """For the blocks of ``needed``."""
        self._users -= 1
        if not self._users:
            self._nobody.set()

    async def finish(self) -> None:
        """Wait for the last sending, when the last trigger has left."""
        if self._task is not None:
            await asyncio.wait([self._task])

    async def _run(self, interval: float) -> None:
        while self._users:
            try:
                ledger = self._ledger = self._ledger or _open_ledger()
                if ledger is None:
                    self._is_off = True
                    return
                await self._pause(interval)
                await asyncio.to_thread(send, ledger.settle(take_samples(), last=not self._users))
            except Exception:  # metrics are for looking at: a backend that fails must not end anything
                if not self._complained:
                    self._complained = True
                    log.warning("Metrics of asyncrun could not be sent; this is said once", exc_info=True)
                await self._pause(interval)

    async def _pause(self, interval: float) -> None:
        with suppress(TimeoutError):
            async with asyncio.timeout(interval):
                await self._nobody.wait()


class _Needed:
    """A block of ``needed``."""

    __slots__ = ("_reporter", "_settings")

    def __init__(self, reporter: Reporter, settings: Settings) -> None:
        self._reporter, self._settings = reporter, settings

    def __enter__(self) -> None:
        self._reporter.enter(self._settings)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._reporter.leave()


def _open_ledger() -> Ledger | None:
    backend = find_backend()
    return None if backend is None else Ledger(socket.gethostname(), tagged=backend.tagged)


reporter = PerLoop(Reporter)
"""``reporter()`` is the reporter of the running event loop."""
