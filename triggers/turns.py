"""Turns at a fixed rate, for work that its own callers must spread over time."""

from __future__ import annotations

import asyncio


class Turns:
    """One event loop's turns for one kind of work."""

    def __init__(self) -> None:
        self._next = 0.0

    def take(self, rate: float) -> float:
        """
        Book the next turn.

        :param rate: turns per second, at most.
        :return: when it is, in the event loop's time; whoever took it waits for that moment.
        """
        turn = max(asyncio.get_running_loop().time(), self._next)
        self._next = turn + 1 / rate
        return turn
