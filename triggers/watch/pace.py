"""When a poller's next round is due: a regular rhythm, early rounds for newcomers, and backoff. No I/O, no clock."""

from __future__ import annotations

import random
from collections.abc import Callable

_EARLY_ROUNDS = 3.0
_EARLY_ROUNDS_EARNED = 0.2


class Pace:
    """
    The rhythm of one poller. All times are the event loop's, in seconds.

    Early rounds ask for newcomers only. Three may follow each other; each regular round earns a fifth of another, so
    that newcomers that keep coming do not make a second rhythm.

    :param pause: newcomers are collected for that long, so that a burst of them shares a call.
    :param longest: upper bound of the backoff.
    :param jitter: a number in [0, 1), drawn for each backoff: pollers of other triggerers must not march in step.
    """

    def __init__(self, *, pause: float, longest: float, jitter: Callable[[], float] = random.random) -> None:
        self.pause, self.longest = pause, longest
        self.next_at = 0.0
        self._jitter = jitter
        self._level = 0
        self._early = _EARLY_ROUNDS

    def resume(self, now: float) -> None:
        """The first object came after a time without any."""
        self.next_at = max(self.next_at, now + self.pause)

    def due(self, fresh_since: float | None) -> float:
        """
        When to start the next round; it is a regular one from ``next_at`` on.

        :param fresh_since: when the first newcomer came that was never asked for, None if there is none.
        """
        if fresh_since is None or self._level or self._early < 1:
            return self.next_at
        return min(self.next_at, fresh_since + self.pause)

    def went_well(self, next_at: float, *, early: bool) -> None:
        """
        A round was answered.

        :param next_at: when the next one is due if this was a regular one.
        """
        if early:
            self._early -= 1
        else:
            self._level = 0
            self._early = min(_EARLY_ROUNDS, self._early + _EARLY_ROUNDS_EARNED)
            self.next_at = next_at

    def failed(self, next_at: float, now: float, *, wholly: bool) -> None:
        """
        A round was not answered: back off with full jitter.

        :param next_at: not before then.
        :param wholly: no call of it was answered. Otherwise the service is there, and the backoff does not grow.
        """
        self._level = self._level + 1 if wholly else 1
        delay = min(self.longest, 2.0 ** min(self._level, 30))
        self.next_at = max(next_at, now + delay * self._jitter())

    def again(self, now: float) -> None:
        """What made the round fail was mended: try at once."""
        self.next_at = now + self.pause
