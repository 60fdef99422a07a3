"""Which log streams exist: found out by few calls. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from asyncrun.triggers.logs.choosing import SOONER, STREAMS_PER_CALL
from asyncrun.triggers.logs.streams import Stream

_STEP = 4  # the next group is that many times smaller after a refusal, and larger after a success
_ASKED_AGAIN_AFTER = 1.0  # s
# After a refused call others are needed more for a while, and there is a pause in any case.
_REFUSED_SHARE, _REFUSED_PAUSE = 2.0, 0.05  # -, s
_NEWLY_MISSING = 4.0  # s; a stream whose wait is longer is not expected to appear when others do


class Prober:
    """
    Finds out which streams exist, by few calls: one missing stream fails the whole call.

    Runs start together, and so do their streams: when one is found after many misses, all may be there, and as many as
    possible are asked for at once (a *leap*). A group that is refused goes to the end of the queue, and smaller ones
    are asked for: so the streams that exist are read soon, and the missing ones, which are left over, are found one
    by one. A stream that is known to be missing waits longer each time, and in the end is asked for alone; of all such
    one is asked for in ``first_wait`` at most.

    :param urgent_wait: longest wait, in seconds, for a stream whose run has ended.
    """

    def __init__(self, *, first_wait: float, longest_wait: float, urgent_wait: float) -> None:
        self._first, self._longest, self._urgent = first_wait, longest_wait, urgent_wait
        self._waiting: dict[Stream, None] = {}
        self._width = self._leap = STREAMS_PER_CALL
        self._appearing = False  # all of the group that was answered last exist
        self._refused_at = float("-inf")
        self._doubts_at = 0.0  # one that most likely does not exist is asked for then, and not sooner

    def add(self, stream: Stream, at: float) -> None:
        """A stream of which nothing is known yet; it is asked for from then on."""
        stream.probe_at, stream.probe_wait = at, 0.0
        self._waiting[stream] = None

    def refused(self, group: Sequence[Stream], now: float) -> bool:
        """
        A call with these streams was refused.

        :return: whether it was a single one: then it is known to be the cause, and waits.
        """
        if len(group) == 1 and self.is_doubtful(group[0]):  # as expected: that says nothing about others
            self.wait(group[0], now)
            return True
        self._refused_at = now
        self._width = max(1, len(group) // _STEP)
        if self._appearing:  # where some never appear, leaps must become smaller
            self._leap = self._width
        self._appearing = False
        if len(group) == 1:
            self.wait(group[0], now)
            return True
        for stream in group:
            stream.probe_at = now
            self._waiting[stream] = None
        return False

    def present(self, group: Sequence[Stream]) -> None:
        """A call with these streams was answered: all of them exist."""
        self._refused_at = float("-inf")
        self._appearing = True
        self._width = self._leap = min(STREAMS_PER_CALL, max(self._leap, len(group) * _STEP))

    def wait(self, stream: Stream, now: float) -> None:
        """It is missing; ask again later."""
        longest = self._urgent if stream.urgent else self._longest
        stream.probe_wait = min(longest, max(self._first, stream.probe_wait * 2))
        stream.probe_at = now + stream.probe_wait
        self._waiting[stream] = None

    def need(self, now: float) -> float:
        """How much a call is needed, see ``choosing``; nothing is due where it is less than 1."""
        likely, doubtful = self._due_since()
        if likely <= now:  # first lines are waited for; but where most are missing, those that exist come first
            return 1 + min(SOONER * (now - likely), _REFUSED_SHARE * (now - self._refused_at)) / self._first
        return max(0.0, 1 + (now - doubtful) / self._longest) if doubtful <= now else 0.0

    def due_at(self) -> float:
        """When there is something to ask next; infinity if never."""
        return min(self._due_since())

    def next_group(self, now: float) -> list[Stream]:
        """
        What to ask now; empty if nothing is due.

        Those that most likely do not exist are asked one by one: together with others they would only spoil the call.
        """
        # Who was never asked, or is likely to exist by now, comes before those that were missing many times.
        due = sorted(
            (stream for stream in self._waiting if self._due(stream) <= now),
            key=lambda stream: (not stream.urgent, stream.probe_wait, stream.probe_at),
        )
        group = [stream for stream in due if not self.is_doubtful(stream)][: self._width]
        if not group and due and self._doubts_at <= now:
            self._doubts_at = now + self._first
            group = due[:1]
        for stream in group:
            del self._waiting[stream]
        return group

    @staticmethod
    def is_doubtful(stream: Stream) -> bool:
        """Whether it was missing so often that it most likely never wrote anything."""
        return stream.probe_wait > _NEWLY_MISSING

    def hurry(self, stream: Stream, now: float) -> None:
        """There is reason to believe that it exists by now, or somebody waits for it."""
        stream.probe_wait = 0.0
        stream.probe_at = min(stream.probe_at, now)

    def forget(self, stream: Stream) -> None:
        """It is not followed any more."""
        self._waiting.pop(stream, None)

    def _due_since(self) -> tuple[float, float]:
        """Since when, or from when on, a stream is due: of those that are likely to exist, and of all others."""
        likely = doubtful = float("inf")
        for stream in self._waiting:
            if self.is_doubtful(stream):
                doubtful = min(doubtful, stream.probe_at)
            else:
                likely = min(likely, self._due(stream))
        return max(likely, self._refused_at + _REFUSED_PAUSE), max(doubtful, self._doubts_at)

    def _due(self, stream: Stream) -> float:
        if not self._appearing or self.is_doubtful(stream):
            return stream.probe_at
        return min(stream.probe_at, stream.probe_at - stream.probe_wait + _ASKED_AGAIN_AFTER)
