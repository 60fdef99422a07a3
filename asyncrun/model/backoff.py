"""How something that failed for a passing reason is repeated."""

from __future__ import annotations

import random
from collections.abc import Callable

import msgspec

_MOST_DOUBLINGS = 30


class Backoff(msgspec.Struct, frozen=True, kw_only=True):
    """
    Waits that double, with jitter: those who failed together must not come back together. In seconds.

    :param first: the first wait, before jitter.
    :param longest: the longest one.
    """

    first: float
    longest: float

    def wait(self, failures: int, jitter: Callable[[], float] = random.random) -> float:
        """
        The wait after so many failures in a row: between half of what is due and all of it.

        :param jitter: a number in [0, 1).
        """
        due = min(self.longest, self.first * 2.0 ** min(failures - 1, _MOST_DOUBLINGS))
        return due * (0.5 + jitter() / 2)
