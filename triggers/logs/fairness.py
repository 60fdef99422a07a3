"""Whose record is written next, and how fast: what keeps the runs of one triggerer from hurting one another's logs."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Collection
from typing import Generic, Protocol, TypeVar

# What a run wrote counts half after that time, s: long enough to tell loud from quiet at one line a second, short
# enough that a start-up banner is soon forgiven.
HALF_LIFE = 10.0
# Weights grow by two each half-life; floats hold 2**1023.
_REBASE_AFTER = 500 * HALF_LIFE


class Served(Protocol):
    """
    Somebody who waits for turns.

    :ivar served: what it was given so far; kept by ``FairQueue`` alone.
    """

    served: float


T = TypeVar("T", bound=Served)


class FairQueue(Generic[T]):
    """
    Who was given least of late comes first (least attained service, with forgetting).

    So one who rarely has anything waits for one turn of another at most, however many have much; and of many who begin
    at once, as when a triggerer takes over, those with little are done first. Instead of letting what was given decay,
    later gifts weigh more: the order is the same, and nothing has to be touched as time passes.

    :param clock: seconds.
    :param everybody: who was ever charged and may come again; may change.
    """

    def __init__(self, clock: Callable[[], float], everybody: Collection[T]) -> None:
        self._clock, self._everybody = clock, everybody
        self._epoch = clock()
        self._heap: list[tuple[float, int, T]] = []
        self._numbers = itertools.count()  # among equals, who came first

    def __bool__(self) -> bool:
        return bool(self._heap)

    def push(self, one: T) -> None:
        """It waits; it must not wait already."""
        heapq.heappush(self._heap, (one.served, next(self._numbers), one))

    @property
    def first(self) -> T:
        """
        Who comes next.

        :raises IndexError: nobody waits.
        """
        return self._heap[0][2]

    def pop(self) -> T:
        """
        The same, who waits no longer.

        :raises IndexError: nobody waits.
        """
        return heapq.heappop(self._heap)[2]

    def charge(self, one: T, amount: float) -> None:
        """It was given that much. Not while it waits: its place would not be its own any more."""
        age = self._clock() - self._epoch
        if age > _REBASE_AFTER:
            self._rebase(age)
            age = 0.0
        one.served += amount * 2.0 ** (age / HALF_LIFE)

    def _rebase(self, age: float) -> None:
        """Make weights small again; the order stays."""
        shrink = 2.0 ** max(-1000.0, -age / HALF_LIFE)
        for one in self._everybody:
            one.served *= shrink
        self._epoch += age
        self._heap = [(served * shrink, number, one) for served, number, one in self._heap]


class TokenBucket:
    """
    A rate that may be exceeded for a moment.

    :param burst: seconds' worth that may come at once.
    :param clock: seconds.
    """

    def __init__(self, burst: float, clock: Callable[[], float]) -> None:
        self._burst, self._clock = burst, clock
        self._paid_until = clock()

    def take(self, amount: float, rate: float) -> None:
        """Take it now, even if it is more than there is: ``wait`` tells for how long nothing more should be taken."""
        self._paid_until = max(self._paid_until, self._clock() - self._burst) + amount / rate

    @property
    def wait(self) -> float:
        """Seconds until something may be taken again; 0 or less: now."""
        return self._paid_until - self._clock()
