"""One value for each event loop: the triggerer has one loop, workers and tests make and end many."""

from __future__ import annotations

import asyncio
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

T = TypeVar("T")


class PerLoop(Generic[T]):
    """
    Call it for the running event loop's value.

    A running loop belongs to one thread, so each thread looks after its own and no lock is needed.

    :param make: makes the value of a loop that has none yet.
    """

    def __init__(self, make: Callable[[], T]) -> None:
        self._make = make
        self._thread = threading.local()

    def __call__(self) -> T:
        """The value of the running event loop."""
        loop = asyncio.get_running_loop()
        values = self._values()
        if loop not in values:
            # Weak keys are not enough: what a value holds (tasks, futures) refers to its loop.
            for closed in [one for one in values if one.is_closed()]:
                del values[closed]
            values[loop] = self._make()
        return values[loop]

    def _values(self) -> weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T]:
        found: weakref.WeakKeyDictionary[asyncio.AbstractEventLoop, T] | None = getattr(self._thread, "values", None)
        if found is None:
            found = self._thread.values = weakref.WeakKeyDictionary()
        return found
