"""How many logs of pods this event loop follows at once, and whose turn it is beyond that."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Callable

import msgspec

from asyncrun.clients.per_loop import PerLoop

TURNS = 8
"""Logs that are read at the same time by those that cannot follow."""


class SlotStatistics(msgspec.Struct, frozen=True):
    """
    :param following: containers with a connection of their own.
    :param in_turns: those that are read in turns meanwhile.
    """

    following: int
    in_turns: int


class Slot:
    """One container's place: ``granted`` or waiting in the queue. Ends with ``close``."""

    __slots__ = ("_owner", "granted", "wake")

    def __init__(self, owner: FollowSlots, wake: Callable[[], object]) -> None:
        self._owner, self.wake = owner, wake
        self.granted = False

    def close(self) -> None:
        """Give the place to the next one. Harmless when repeated."""
        self._owner.leave(self)


class FollowSlots:
    """
    At most ``limit`` connections; who comes later waits in a queue, first come, first served.

    Invariant: nobody waits while a place is free.
    """

    def __init__(self) -> None:
        self._granted: set[Slot] = set()
        self._queue: OrderedDict[Slot, None] = OrderedDict()
        self._limit = 1
        self.turns = asyncio.Semaphore(TURNS)
        """For those in the queue: whoever reads holds it, first come, first served."""

    def ask(self, limit: int, wake: Callable[[], object]) -> Slot:
        """
        Take a place, or stand in the queue for one.

        :param limit: the configured number; a process has one configuration.
        :param wake: called when the place is granted later.
        """
        self._limit = max(1, limit)
        slot = Slot(self, wake)
        self._queue[slot] = None
        self._grant(quietly=slot)
        return slot

    def leave(self, slot: Slot) -> None:
        """For slots."""
        self._queue.pop(slot, None)
        self._granted.discard(slot)
        slot.granted = False
        self._grant()

    def statistics(self) -> SlotStatistics:
        """How many there are now."""
        return SlotStatistics(len(self._granted), len(self._queue))

    def _grant(self, quietly: Slot | None = None) -> None:
        while self._queue and len(self._granted) < self._limit:
            slot, _ = self._queue.popitem(last=False)
            self._granted.add(slot)
            slot.granted = True
            if slot is not quietly:
                slot.wake()


follow_slots = PerLoop(FollowSlots)
"""The running event loop's places for followed logs, of whatever API server: each is a descriptor of its process."""


def slot_statistics() -> SlotStatistics:
    """The running event loop's."""
    return follow_slots().statistics()
