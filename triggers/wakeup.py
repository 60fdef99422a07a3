"""Waiting with a time limit, without cancelling anybody."""

from __future__ import annotations

import asyncio


class Wakeup:
    """
    Wakes one waiting task, once for any number of reasons.

    ``asyncio.timeout`` ends a wait by cancelling the task. If a user's kill arrives in the same step of the loop, that
    second cancellation replaces the first one's message, by which the triggerer knows that it was a kill. Here a timer
    only wakes the waiter.
    """

    __slots__ = ("_is_set", "_waiter")

    def __init__(self) -> None:
        self._is_set = False
        self._waiter: asyncio.Future[None] | None = None

    def set(self) -> None:
        """Wake the waiter, or let the next one pass."""
        self._is_set = True
        self._wake()

    async def wait(self, seconds: float | None = None) -> bool:
        """
        Wait until ``set`` was called since the last ``wait`` returned.

        :param seconds: the longest wait; None: no limit.
        :return: False if the time was up first.
        """
        if self._waiter is not None:
            raise RuntimeError("two tasks wait for one wake-up")
        if not self._is_set and (seconds is None or seconds > 0):
            loop = asyncio.get_running_loop()
            self._waiter = loop.create_future()
            timer = None if seconds is None else loop.call_later(seconds, self._wake)
            try:
                await self._waiter
            finally:
                self._waiter = None
                if timer is not None:
                    timer.cancel()
        was_set, self._is_set = self._is_set, False
        return was_set

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)


def is_due(moment: float) -> bool:
    """
    Whether that time of the event loop has come.

    asyncio runs a timer up to a tick of its clock too early; whoever waits in a loop must not spin until then.
    """
    return moment <= asyncio.get_running_loop().time() + 0.001
