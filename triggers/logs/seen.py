"""Which events of a stream were handed over, in 16 bytes each. No I/O."""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right

from asyncrun.clients.api import LogEvent

MOST = 200_000
"""Events of one stream that are remembered at most: 3 MiB, some 20 s of the fastest log that AWS takes in."""


class Seen:
    """
    Events of one stream by time and id; old ones are forgotten.

    Invariant: every event at or after ``horizon_ms`` that was added is remembered, in the order of (time, hash of id).

    :param horizon_ms: events before it count as seen.
    """

    __slots__ = ("_hashes", "_times", "forgotten", "horizon_ms")

    def __init__(self, horizon_ms: int) -> None:
        self._times, self._hashes = array("q"), array("q")
        self.horizon_ms = horizon_ms
        self.forgotten = 0
        """How many were remembered, and are no more."""

    def add(self, event: LogEvent) -> bool:
        """Remember this event; whether it is new."""
        time_ms = event.time_ms
        if time_ms < self.horizon_ms:
            return False
        # FilterLogEvents always gives an id; without one, what tells two events apart is all that they say.
        ident = hash(event.event_id or (event.ingested_ms, event.message))
        first = bisect_left(self._times, time_ms)
        at = bisect_left(self._hashes, ident, first, bisect_right(self._times, time_ms, first))
        if at < len(self._times) and self._times[at] == time_ms and self._hashes[at] == ident:
            return False
        self._times.insert(at, time_ms)
        self._hashes.insert(at, ident)
        return True

    def since(self, time_ms: int) -> int:
        """How many events would be read again from there on; more, if that is before the horizon."""
        if time_ms < self.horizon_ms:
            return len(self._times) + self.forgotten
        return len(self._times) - bisect_left(self._times, time_ms)

    @property
    def first_ms(self) -> int:
        """The time of the earliest event that is remembered; the horizon if there is none."""
        return self._times[0] if self._times else self.horizon_ms

    def nth_last(self, count: int) -> int:
        """The time of the event that so many from the end is; the horizon if there are fewer."""
        return self._times[-count] if count <= len(self._times) else self.horizon_ms

    def forget(self, before_ms: int) -> bool:
        """
        Forget what is older, and more if that is too little to bound the memory.

        :return: whether it had to be more.
        """
        self._forget(bisect_left(self._times, before_ms))
        over = len(self._times) - MOST
        return over > 0 and self._forget(over)

    def _forget(self, count: int) -> bool:
        if count <= 0:
            return False
        horizon = self._times[count - 1] + 1
        if horizon > self._times[-1] and count < len(self._times):
            return False  # all of one millisecond: more of it may come
        count = bisect_left(self._times, horizon)
        del self._times[:count], self._hashes[:count]
        self.horizon_ms = horizon
        self.forgotten += count
        return True

    def __len__(self) -> int:
        return len(self._times)
