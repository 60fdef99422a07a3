"""Which log streams exist: found out by few calls. No I/O."""

from __future__ import annotations

from collections.abc import Sequence

from asyncrun.triggers.logs.passes import STREAMS_PER_CALL
from asyncrun.triggers.logs.streams import Stream

_STEP = 4  # the next group is that many times smaller after a refusal, and larger after a success
_ASKED_AGAIN_AFTER = 1.0  # s
_NEWLY_MISSING = 4.0  # s; a stream whose wait is longer is not expected to appear when others do


class Prober:
    """
    Finds out which streams exist, by few calls: one missing stream fails the whole call.

    Runs start together, and so do their streams: when one is found after many misses, all may be there, and as many as
    possible are asked for at once (a *leap*). A group that is refused goes to the end of the queue, and smaller ones
    are asked for: so the streams that exist are read soon, and the missing ones, which are left over, are found one
    by one. A stream that is known to be missing waits longer each time, and in the end is asked for alone.

    :param urgent_wait: longest wait, in seconds, for a stream whose run has ended.
    """

    def __init__(self, *, first_wait: float, longest_wait: float, urgent_wait: float) -> None:
        self._first, self._longest, self._urgent = first_wait, longest_wait, urgent_wait
        self._waiting: dict[Stream, None] = {}
        self._width = self._leap = STREAMS_PER_CALL
        self._appearing = False  # all of the group that was answered last exist

    def add(self, stream: Stream, now: float) -> None:
        """A stream of which nothing is known yet."""
        stream.probe_at, stream.probe_wait = now, 0.0
        self._waiting[stream] = None

    def refused(self, group: Sequence[Stream], now: float) -> bool:
        """
        A call with these streams was refused.

        :return: whether it was a single one: then it is known to be the cause, and waits.
        """
        if len(group) == 1 and self.is_doubtful(group[0]):  # as expected: that says nothing about others
            self.wait(group[0], now)
            return True
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
        self._appearing = True
        self._width = self._leap = min(STREAMS_PER_CALL, max(self._leap, len(group) * _STEP))

    def wait(self, stream: Stream, now: float) -> None:
        """It is missing; ask again later."""
        longest = self._urgent if stream.urgent else self._longest
        stream.probe_wait = min(longest, max(self._first, stream.probe_wait * 2))
        stream.probe_at = now + stream.probe_wait
        self._waiting[stream] = None

    def next_group(self, now: float, *, doubtful: bool = True) -> list[Stream]:
        """
        What to ask now; empty if nothing is due.

        :param doubtful: those too that most likely do not exist. They are asked one by one: together with others they
            would only spoil the call.
        """
        # Who was never asked, or is likely to exist by now, comes before those that were missing many times.
        due = sorted(
            (stream for stream in self._waiting if self._is_due(stream, now)),
            key=lambda stream: (not stream.urgent, stream.probe_wait, stream.probe_at),
        )
        group = [stream for stream in due if not self.is_doubtful(stream)][: self._width]
        if not group and doubtful:
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

    def due_at(self) -> float:
        """When there is something to ask next; infinity if never."""
        return min((stream.probe_at for stream in self._waiting), default=float("inf"))

    def _is_due(self, stream: Stream, now: float) -> bool:
        if stream.probe_at <= now:
            return True
        asked_at = stream.probe_at - stream.probe_wait
        return self._appearing and not self.is_doubtful(stream) and now - asked_at >= _ASKED_AGAIN_AFTER
