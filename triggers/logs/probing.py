"""Which log streams exist: found out by few calls. No I/O."""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence

from asyncrun.triggers.logs.streams import STREAMS_PER_CALL, Stream


class Prober:
    """
    Finds out which streams exist, by few calls: one missing stream fails the whole call.

    The size of a group follows from what was seen: where most are missing, one by one is cheapest; where most exist,
    a hundred at once. A stream that is missing waits longer each time.

    :param urgent_wait: longest wait, in seconds, for a stream whose run has ended.
    """

    def __init__(self, *, first_wait: float, longest_wait: float, urgent_wait: float) -> None:
        self._first, self._longest, self._urgent = first_wait, longest_wait, urgent_wait
        self._waiting: dict[Stream, None] = {}
        self._again: deque[Stream] = deque()  # of a refused group: any of them may exist
        self._width = STREAMS_PER_CALL

    def add(self, stream: Stream, now: float) -> None:
        """A stream of which nothing is known yet."""
        stream.probe_at, stream.probe_wait = now, 0.0
        self._waiting[stream] = None

    def refused(self, group: Sequence[Stream], now: float) -> bool:
        """
        A call with these streams was refused.

        :return: whether it was a single one: then it is known to be the cause, and waits.
        """
        self._width = max(1, len(group) // 4)
        if len(group) == 1:
            self.wait(group[0], now)
            return True
        self._again.extendleft(reversed(group))
        return False

    def wait(self, stream: Stream, now: float) -> None:
        """It is missing; ask again later."""
        longest = self._urgent if stream.urgent else self._longest
        stream.probe_wait = min(longest, max(self._first, stream.probe_wait * 2))
        stream.probe_at = now + stream.probe_wait
        self._waiting[stream] = None

    def present(self, group: Sequence[Stream]) -> None:
        """A call with these streams was answered: all of them exist."""
        self._width = min(STREAMS_PER_CALL, max(self._width, len(group) * 2))

    def next_group(self, now: float) -> list[Stream]:
        """What to ask now; empty if nothing is due."""
        if self._again:
            return [self._again.popleft() for _ in range(min(self._width, len(self._again)))]
        # Who was never asked, or is likely to exist by now, comes before those that were missing many times.
        due = sorted(
            (s for s in self._waiting if s.probe_at <= now), key=lambda s: (not s.urgent, s.probe_wait, s.probe_at)
        )
        group = due[: self._width]
        for stream in group:
            del self._waiting[stream]
        return group

    def hurry(self, stream: Stream, now: float) -> None:
        """There is reason to believe that it exists by now, or somebody waits for it."""
        stream.probe_wait = 0.0
        stream.probe_at = min(stream.probe_at, now)

    def forget(self, stream: Stream) -> None:
        """It is not followed any more."""
        self._waiting.pop(stream, None)
        if stream in self._again:
            self._again.remove(stream)

    def due_at(self) -> float:
        """When there is something to ask next; infinity if never."""
        if self._again:
            return 0.0
        return min((stream.probe_at for stream in self._waiting), default=float("inf"))
