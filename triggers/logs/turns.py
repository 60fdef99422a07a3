"""Whose call is next, where the log groups of an account share one budget of calls."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Hashable
from contextlib import asynccontextmanager
from weakref import WeakValueDictionary

from asyncrun.clients.per_loop import PerLoop

_LATENCY = 1.0  # s that a call may take without keeping the budget from being used up


class Turns:
    """
    Few calls at a time, and whoever needs his most comes next.

    The call budget itself (``asyncrun.clients.budget``) serves who came first: fifty groups would stand in line there
    for half a minute each with what they wanted to ask when they came. So only as many may stand there, or wait for
    their answer, as use the budget up, and what to ask is decided when a turn begins.

    Invariant: somebody waits only while no turn is free.

    :param rate: calls/s that the budget allows.
    """

    def __init__(self, rate: float) -> None:
        self._free = math.ceil(rate * _LATENCY) + 1
        self._waiting: dict[asyncio.Future[None], Callable[[], float]] = {}

    @asynccontextmanager
    async def turn(self, need: Callable[[], float]) -> AsyncIterator[None]:
        """
        Wait for a turn, and have it until the block ends.

        :param need: how much it is needed, asked whenever a turn becomes free: the highest is next.
        """
        if self._free:
            self._free -= 1
        else:
            await self._wait(need)
        try:
            yield
        finally:
            self._next()

    async def _wait(self, need: Callable[[], float]) -> None:
        turn = asyncio.get_running_loop().create_future()
        self._waiting[turn] = need
        try:
            await turn
        except asyncio.CancelledError:
            if self._waiting.pop(turn, None) is None:  # it was given to us in the same step of the loop
                self._next()
            raise

    def _next(self) -> None:
        waiting = [turn for turn in self._waiting if not turn.done()]  # done: it is being cancelled
        if not waiting:
            self._free += 1
            return
        turn = max(waiting, key=lambda one: self._waiting[one]())
        del self._waiting[turn]
        turn.set_result(None)


_turns: PerLoop[WeakValueDictionary[Hashable, Turns]] = PerLoop(WeakValueDictionary)


def turns_for(key: Hashable, rate: float) -> Turns:
    """
    The turns of all who reach one account and region with the same credentials, in the running event loop.

    :param rate: calls/s; whoever is the first to ask decides, as with the budget.
    """
    turns = _turns().get(key)
    if turns is None:
        turns = _turns()[key] = Turns(rate)
    return turns
