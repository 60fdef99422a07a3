"""The bookkeeping of CloudWatch log streams: what was read, what may be asked together. No I/O."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence
from typing import Protocol

from asyncrun.clients.api import LogEvent
from asyncrun.model.errors import NotFound

STREAMS_PER_CALL = 100  # FilterLogEvents' limit

# Streams this far apart are not asked together: FilterLogEvents has one start for all, and would read the span between
# again for those that are ahead.
_APART_MS = 60_000
# A stream's final pass reads back that many times the overlap; event ids are remembered for as long.
FINAL_OVERLAPS = 4
_MOST_IDS = 50_000
# Of an overlap: a full overlap is read that often, and rounds between go on at the last event.
_DEEP_SHARE = 3
# An event is readable at most that long after it was written, if it is not late: one flush of the driver, and its way.
_FLUSHED_MS = 7_000


class Follower(Protocol):
    """Who a stream's events are for."""

    @property
    def full(self) -> bool:
        """Whether it wants no more for now."""

    def events(self, events: Sequence[LogEvent]) -> None:
        """New events, sorted by time as far as CloudWatch does."""

    def read(self, began_ms: int, *, final: bool) -> None:
        """All that CloudWatch showed at ``began_ms`` was handed over; ``final``: with the long overlap."""

    def exists(self) -> None:
        """The stream was found."""

    def unreadable(self) -> None:
        """Nothing more will come: reading is refused."""

    def say(self, level: str, message: str) -> None:
        """A line for the run's own task log."""


class Way(enum.Enum):
    """The API that reads a stream, from its first line to its last: their events cannot be matched."""

    OPEN = "no line was read yet"
    FILTER = "FilterLogEvents"
    GET = "GetLogEvents"
    REFUSED = "neither"


def is_about_group(error: NotFound) -> bool:
    """
    Whether the log group is missing, and not a stream of it.

    AWS has one code for both, so its words decide; only what we say and how we search differ by it.
    """
    text = str(error).lower()
    return "log group" in text and "log stream" not in text


class SeenIds:
    """Event ids of one stream, forgotten by time."""

    __slots__ = ("_count", "_seconds", "horizon_ms")

    def __init__(self) -> None:
        self._seconds: dict[int, set[str]] = {}
        self._count = 0
        self.horizon_ms = 0  # what is older was read, and its ids forgotten

    def is_new(self, event: LogEvent) -> bool:
        """Whether this event was not seen before; remembers it."""
        if event.time_ms < self.horizon_ms:
            return False
        ids = self._seconds.setdefault(event.time_ms // 1000, set())
        # FilterLogEvents always gives an id; without one, what tells two events apart is all that they say.
        ident = event.event_id or f"{event.time_ms}/{event.ingested_ms}/{event.message}"
        if ident in ids:
            return False
        ids.add(ident)
        self._count += 1
        if self._count > _MOST_IDS and len(self._seconds) > 1:
            self.forget_before((min(self._seconds) + 1) * 1000)
        return True

    def forget_before(self, time_ms: int) -> None:
        """Forget ids of whole seconds before that time; older events count as seen from now on."""
        second = time_ms // 1000
        for old in [known for known in self._seconds if known < second]:
            self._count -= len(self._seconds.pop(old))
        self.horizon_ms = max(self.horizon_ms, second * 1000)

    def __len__(self) -> int:
        return self._count


class Stream:
    """One followed log stream."""

    __slots__ = (
        "final_wanted",
        "follower",
        "found",
        "heavy",
        "last_deep_ms",
        "last_ms",
        "name",
        "position_ms",
        "probe_at",
        "probe_wait",
        "refused_later",
        "seen",
        "since_ms",
        "token",
        "told",
        "urgent",
        "way",
    )

    def __init__(self, name: str, follower: Follower, since_ms: int) -> None:
        self.name, self.follower, self.since_ms = name, follower, since_ms
        self.position_ms = since_ms  # everything that CloudWatch showed from before was handed over
        self.last_ms: int | None = None  # the latest event's time
        self.last_deep_ms = 0
        self.seen = SeenIds()
        self.way = Way.OPEN
        self.found = False
        self.heavy = False  # gave more than its follower could take: asked alone until it is read to its end
        self.final_wanted = False
        self.refused_later = False  # a page of it after the first was refused
        self.urgent = False  # its run has ended: somebody waits for its last lines
        self.told: set[str] = set()
        self.token: str | None = None  # GetLogEvents
        self.probe_at = 0.0
        self.probe_wait = 0.0

    def say_once(self, kind: str, level: str, message: str) -> None:
        """A message for the run's task log; each kind is said once."""
        if kind not in self.told:
            self.told.add(kind)
            self.follower.say(level, message)

    def tell_read(self, began_ms: int, *, final: bool) -> None:
        """All that CloudWatch showed at that time was handed over, be it nothing because the stream is missing."""
        if final:
            self.final_wanted = False
        self.follower.read(began_ms, final=final)

    def tell_found(self) -> None:
        """The stream exists."""
        if not self.found:
            self.found = True
            self.follower.exists()

    def start_ms(self, overlap_ms: int, *, deep: bool) -> int:
        """
        From where to read next.

        Every pass could go back by the whole overlap, but at 1,000 lines/s that is 15,000 events to find 1,000: so
        most go on at the latest event (the driver sends a stream's lines in order), and a deep one finds what was late.
        """
        if self.final_wanted:
            return max(self.since_ms, self.position_ms - FINAL_OVERLAPS * overlap_ms)
        start = self.position_ms - overlap_ms
        if not deep and self.last_ms is not None:
            # A quiet stream has its latest event long ago; its next one will be as old as a flush, and must not drag
            # the whole batch back further than that.
            start = max(start, min(self.position_ms, max(self.last_ms, self.position_ms - _FLUSHED_MS)))
        return max(self.since_ms, start)

    def deep_is_due(self, now_ms: int, overlap_ms: int) -> bool:
        """Whether the next pass should go back by the whole overlap."""
        return self.final_wanted or now_ms - self.last_deep_ms >= overlap_ms // _DEEP_SHARE

    def take(self, events: Iterable[LogEvent]) -> list[LogEvent]:
        """The events that were not seen before."""
        fresh = [event for event in events if event.time_ms >= self.since_ms and self.seen.is_new(event)]
        if fresh:
            latest = max(event.time_ms for event in fresh)
            self.last_ms = latest if self.last_ms is None else max(self.last_ms, latest)
        return fresh

    def pass_done(self, began_ms: int, overlap_ms: int, *, deep: bool) -> None:
        """A pass was read to its end. A quiet stream moves on with the clock, or it would read everything again."""
        self.position_ms = max(self.position_ms, began_ms)
        if deep:
            self.last_deep_ms = began_ms
        self.heavy = self.refused_later = False
        self.seen.forget_before(self.position_ms - (FINAL_OVERLAPS + 1) * overlap_ms)


def batches(streams: Iterable[Stream], overlap_ms: int) -> list[list[Stream]]:
    """Which streams are asked together: neighbours by position, so that who catches up does not drag others back."""
    out: list[list[Stream]] = []
    alone = [[stream] for stream in streams if stream.heavy]
    # Then by the last event, so that the quiet ones are asked together and do not drag busy ones back.
    rest = sorted(
        (s for s in streams if not s.heavy),
        key=lambda s: (s.start_ms(overlap_ms, deep=True), s.start_ms(overlap_ms, deep=False), s.name),
    )
    first = 0
    for stream in rest:
        start = stream.start_ms(overlap_ms, deep=True)
        if not out or len(out[-1]) >= STREAMS_PER_CALL or start - first > _APART_MS:
            out.append([])
            first = start
        out[-1].append(stream)
    return out + alone


class Pass:
    """One reading of a batch to its end, over several pages."""

    __slots__ = ("began_ms", "deep", "finals", "start_ms", "streams", "token")

    def __init__(self, streams: Sequence[Stream], began_ms: int, overlap_ms: int) -> None:
        self.streams = list(streams)
        self.began_ms = began_ms
        self.deep = any(stream.deep_is_due(began_ms, overlap_ms) for stream in streams)
        self.start_ms = min(stream.start_ms(overlap_ms, deep=self.deep) for stream in streams)
        self.finals = {stream for stream in streams if stream.final_wanted}
        self.token: str | None = None

    @property
    def names(self) -> list[str]:
        """What to ask for; two followers of one stream ask once."""
        return list(dict.fromkeys(stream.name for stream in self.streams))

    @property
    def waits(self) -> bool:
        """Whether its only stream's follower wants no more for now."""
        return len(self.streams) == 1 and self.streams[0].follower.full
