"""
Python's garbage collector, kept from stopping every trigger.

A full collection looks at every object of the process: in a triggerer 230,000 of Airflow's own and 100-200 for each
run, 0.12-0.5 s in which no trigger goes on (measured, Airflow 3.3.2), again and again while runs begin. What it looks
for is next to nothing: hardly any of that becomes garbage in cycles, and everything else is freed without it. So what
has survived a full collection is *frozen* (``gc.freeze``): later ones leave it out. It is still freed as soon as
nothing refers to it. Left to itself Python waits with a full collection until there are 60,000-80,000 new objects
(80 ms); so one is made sooner, in a step of its own, and finds few. Where one step of the event loop makes that many,
as the loading of a client does, they are frozen without having been looked at.

What a process of somebody else's must know:

- What is frozen and then becomes garbage in cycles, as runs of other providers may, is not freed until it is
  thawed. That is done when three times as many objects are frozen as were known to be alive, so memory is bounded by
  that, and the full collection that follows is as long as they would all be without this.
- ``gc.get_objects()`` does not show what is frozen; debuggers may want ``freeze_heap = off``.
- ``gc.freeze`` and ``gc.unfreeze`` are the process's; who else calls them does no harm here.
"""

from __future__ import annotations

import asyncio
import gc
import os
import time
from collections.abc import Callable, Mapping

LONG = 0.01
"""Seconds: a full collection that took as long has found enough to be frozen. A tick that nobody notices."""
_GROWTH = 3
_SOON, _MANY = 1, 4
"""Collections of the middle generation, each of which lets through at most some 7,700 new objects: until there is a
full one, and until that would take too long."""
_COUNT_EVERY = 32
"""Freezings: counting what is frozen takes some ms."""


class Heap:
    """
    What is frozen of this process.

    Invariant: at most ``_GROWTH`` times the objects that were alive at the last look at all of them are frozen, or all
    are thawed and wait for the next full collection.

    :param clock: seconds.
    """

    def __init__(self, clock: Callable[[], float] = time.perf_counter) -> None:
        self._clock = clock
        self._began = 0.0
        self._alive = 0
        self._thawed = False
        self._loop: asyncio.AbstractEventLoop | None = None
        self._grown = self._freezings = 0
        self.longest = 0.0
        """Seconds: of the full collections since ``keep``."""
        self.thaws = 0

    def keep(self) -> None:
        """
        Freeze what is there, now and from now on. Takes as long as one full collection: some 0.1 s.

        Before it everything is collected, since garbage would be frozen, too. Called in an event loop, it has full
        collections made there. Harmless when repeated.
        """
        if self._alive:
            return
        self._loop = asyncio._get_running_loop()  # noqa: SLF001 - the documented one raises where there is none
        gc.collect()
        gc.freeze()
        self._alive = gc.get_freeze_count()
        gc.callbacks.append(self._collection)

    def release(self) -> None:
        """As if it had never been; for tests."""
        if self._alive:
            gc.callbacks.remove(self._collection)
            gc.unfreeze()
            self._alive = 0

    def _collection(self, phase: str, info: Mapping[str, int]) -> None:
        """Called before and after each collection, by the thread that needed memory. Must not fail."""
        if info["generation"] == 1 and phase == "stop":
            self._grown += 1
            if self._loop is not None and not self._loop.is_closed():
                self._let_through(self._loop)
        if info["generation"] < 2:
            return
        if phase == "start":
            self._began = self._clock()
            return
        lasted = self._clock() - self._began
        self.longest = max(self.longest, lasted)
        if lasted >= LONG or self._thawed or self._grown >= _SOON:
            self._freeze()

    def _let_through(self, loop: asyncio.AbstractEventLoop) -> None:
        if self._grown == _SOON:
            loop.call_soon_threadsafe(self._collect)
        elif self._grown >= _MANY:
            self._freeze()

    def _collect(self) -> None:
        if self._alive and self._grown >= _SOON:
            gc.collect()

    def _freeze(self) -> None:
        gc.freeze()
        self._grown = 0
        self._freezings += 1
        if not self._thawed and self._freezings % _COUNT_EVERY:
            return
        frozen = gc.get_freeze_count()
        if self._thawed:
            self._thawed, self._alive = False, frozen
        elif frozen > _GROWTH * self._alive:
            self._thawed = True
            self.thaws += 1
            gc.unfreeze()


def is_triggerer() -> bool:
    """Whether this is the process in which Airflow runs triggers, and not somebody's own that runs one of ours."""
    return os.environ.get("_AIRFLOW_PROCESS_CONTEXT") == "client"  # set by TriggerRunner.run and in task processes
