"""Which streams are asked together, when, and from where: few calls, and little read again. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.streams import Stream

STREAMS_PER_CALL = 100  # FilterLogEvents' limit

# Streams this far apart are not asked together: FilterLogEvents has one start for all, and would read the span between
# again for those that are ahead.
_APART_MS = 60_000
# Where so few events are read again, a pass goes back as far as every stream of it wants.
_FEW_EVENTS = 500
# Else most passes go on at the last events, and none goes back further than the clock says a line usually needs: one
# flush of the driver, and its way; and further for a full pass, on top of the overlap.
_FLUSHED_MS = 7_000
_FULL_MARGIN_MS = 15_000
# Of an overlap: streams that write are read in full that often.
_FULL_SHARE = 3
# Not even then further than that: CloudWatch may give empty pages for a long time without events.
_USUAL_SPAN_MS = 120_000
# Every stream is read in full after that time, and far back after that; a quiet one after that share of its quiet time,
# for the same reason.
_FULL_EVERY_MS, _FAR_EVERY_MS, _QUIET_SHARE = 60_000, 300_000, 20
# A pass that goes far back should not hold up its streams: a page or two.
_EVENTS_PER_WIDE_PASS = 10_000
# Many ends at once: their last passes go less far back if this many events would be read again.
_EVENTS_OF_FINALS = 60_000
_FINAL_MS, _FINAL_EVENTS = 60_000, 100
_SLOWER_BY = 1.5  # a quiet group is asked less and less often


class Pass:
    """
    One reading of a batch to its end, over several pages.

    :param began_at: our clock's time, s.
    :param there_ms: AWS's time of a moment of ours, which may be known only once AWS has answered.
    """

    __slots__ = (
        "_began_at",
        "_began_ms",
        "_there_ms",
        "finals",
        "first_page",
        "left_out",
        "names",
        "start_ms",
        "streams",
        "token",
        "tokens",
        "unconnected",
    )

    def __init__(
        self, streams: Sequence[Stream], start_ms: int, began_at: float, there_ms: Callable[[float], int]
    ) -> None:
        self.streams = list(streams)
        self.names = tuple(dict.fromkeys(stream.name for stream in streams))
        """What to ask for, on every page the same; two followers of one stream ask once."""
        self.start_ms = start_ms
        self._began_at, self._there_ms = began_at, there_ms
        self._began_ms: int | None = None
        self.finals = {stream for stream in streams if stream.final_wanted}
        self.unconnected = {stream for stream in streams if stream.connected_start_ms < start_ms}
        """An event of these only shows that they go on."""
        self.left_out: set[str] = set()
        """Names of those whose further events are left to the next pass: some came while this was read."""
        self.token: str | None = None
        self.tokens: set[str] = set()
        """Those that were used: a page that leads back to one of them would be read for ever."""
        self.first_page = True

    def go_on(self, token: str) -> None:
        """The next page is at that token."""
        self.token = token
        self.tokens.add(token)
        self.first_page = False

    @property
    def began_ms(self) -> int:
        """
        When it began, in AWS's time; to be asked once AWS has answered.

        The same for all its pages, although that time becomes known better meanwhile: what one page leaves to the next
        pass must not be overtaken by what a later page hands over.
        """
        if self._began_ms is None:
            self._began_ms = self._there_ms(self._began_at)
        return self._began_ms

    @property
    def waits(self) -> bool:
        """Whether its only stream's follower wants no more for now."""
        return len(self.streams) == 1 and self.streams[0].follower.full


class Pace:
    """
    When passes begin: usual ones of all streams less and less often while nothing is new, others at once.

    :param ticks: seconds, the event loop's time.
    """

    def __init__(self, settings: Settings, ticks: Callable[[], float]) -> None:
        self._shortest, self._longest, self._ticks = settings.logs_poll_interval, settings.logs_poll_idle, ticks
        self._interval, self._usual_at = self._shortest, 0.0
        self.news = False
        """Something new was read since the usual passes began last."""
        self.somebody_waits = False
        """A stream is to be read in a pass of its own, and not only when the usual ones begin."""

    @property
    def usual_are_due(self) -> bool:
        """Whether the usual passes should begin."""
        return self._ticks() >= self._usual_at

    def due_at(self) -> float:
        """When some pass should begin."""
        return self._ticks() if self.somebody_waits else self._usual_at

    def hurry(self, *, at_once: bool) -> None:
        """There is reason to expect news; ``at_once``: somebody waits for them."""
        self._interval = self._shortest
        self._usual_at = min(self._usual_at, self._ticks() + self._interval)
        self.somebody_waits = self.somebody_waits or at_once

    def usual_now(self) -> None:
        """Begin the usual passes anew."""
        self._usual_at = min(self._usual_at, self._ticks())

    def begin(self, *, hurried: bool) -> None:
        """The usual passes begin now; ``hurried``: the next ones should be soon, also if there is no news."""
        slower = max(self._shortest, min(self._longest, self._interval * _SLOWER_BY))
        self._interval = self._shortest if hurried or self.news else slower
        self._usual_at = self._ticks() + self._interval
        self.news = False


Batch = tuple[list[Stream], int]
"""Streams to be asked together, and where to start."""


def wide_batches(streams: Iterable[Stream], now_ms: int) -> list[Batch]:
    """
    What should go back further than usual passes do: streams that somebody waits for, and one batch of others.

    One only, because each takes its streams away from the usual passes, and costs calls that those need.
    """
    urgent, regular = [], []
    for stream in streams:
        if stream.final_wanted or stream.awake:
            urgent.append(stream)
        elif _is_due(stream.full_read_ms, _FULL_EVERY_MS, stream, now_ms) or _far_is_due(stream, now_ms):
            regular.append(stream)
    if not urgent and not regular:
        return []
    many = sum(stream.seen.since(stream.far_start_ms) for stream in urgent if stream.final_wanted) > _EVENTS_OF_FINALS
    starts = {stream: _wide_start(stream, now_ms, many=many) for stream in (*urgent, *regular)}
    return _by_cost(urgent, starts) + _by_cost(regular, starts)[:1]


def _wide_start(stream: Stream, now_ms: int, *, many: bool) -> int:
    if stream.final_wanted and many:
        last = stream.full_start_ms if stream.last_ms is None else stream.last_ms
        near = min(last - _FINAL_MS, stream.seen.nth_last(_FINAL_EVENTS))
        return max(stream.far_start_ms, min(stream.full_start_ms, near))
    return stream.far_start_ms if stream.final_wanted or _far_is_due(stream, now_ms) else stream.full_start_ms


def _far_is_due(stream: Stream, now_ms: int) -> bool:
    return _is_due(stream.far_read_ms, _FAR_EVERY_MS, stream, now_ms)


def _is_due(read_ms: int, every_ms: int, stream: Stream, now_ms: int) -> bool:
    return now_ms - read_ms >= max(every_ms, (now_ms - stream.connected_start_ms) // _QUIET_SHARE)


def _by_cost(streams: Iterable[Stream], starts: dict[Stream, int]) -> list[Batch]:
    """
    Neighbours by start, as many as cost little to read from the first one's start on.

    A page may hold few events (1 MB), so what is read only because of a neighbour is bounded too: a stream that is read
    from hours ago must not take along one that has written all the time.
    """
    out: list[Batch] = []
    cost = wanted = 0  # events that are read again, and those of them that each stream's own start asks for
    for stream in sorted(streams, key=lambda one: (starts[one], one.name)):
        own = stream.seen.since(starts[stream])
        again = stream.seen.since(out[-1][1]) if out else own
        wanted += own
        cost += again
        dear = cost > _EVENTS_PER_WIDE_PASS or cost - wanted > max(_FEW_EVENTS, wanted)
        if not out or len(out[-1][0]) >= STREAMS_PER_CALL or dear:
            out.append(([], starts[stream]))
            cost = wanted = own
        out[-1][0].append(stream)
    return out


def usual_batches(streams: Sequence[Stream], now_ms: int, overlap_ms: int) -> list[Batch]:
    """All streams, each in one batch: those that must be asked alone, and neighbours."""
    alone = [
        ([stream], stream.far_start_ms if stream.final_wanted else stream.full_start_ms)
        for stream in streams
        if stream.alone
    ]
    batches: list[list[Stream]] = []
    first = 0
    # Then by the last event, so that the quiet ones are asked together and do not drag busy ones back.
    for stream in sorted(
        (one for one in streams if not one.alone), key=lambda one: (_goes_on(one), one.connected_start_ms, one.name)
    ):
        start = _goes_on(stream)
        if not batches or len(batches[-1]) >= STREAMS_PER_CALL or start - first > _APART_MS:
            batches.append([])
            first = start
        batches[-1].append(stream)
    return [(batch, _usual_start(batch, now_ms, overlap_ms)) for batch in batches] + alone


def _goes_on(stream: Stream) -> int:
    return max(stream.connected_start_ms, stream.read_ms - _FLUSHED_MS)


def _usual_start(batch: list[Stream], now_ms: int, overlap_ms: int) -> int:
    read = min(stream.read_ms for stream in batch)
    full = min(stream.full_start_ms for stream in batch)
    if full >= read - _USUAL_SPAN_MS and _is_cheap(batch, full):
        return full
    back = overlap_ms + _FULL_MARGIN_MS
    live = [stream for stream in batch if stream.full_start_ms >= stream.read_ms - back]
    if any(now_ms - stream.full_read_ms >= overlap_ms // _FULL_SHARE for stream in live):
        return min(stream.full_start_ms for stream in live)
    connected = min(stream.connected_start_ms for stream in batch)
    usual = max(connected, read - _USUAL_SPAN_MS)
    return usual if _is_cheap(batch, usual) else max(connected, read - _FLUSHED_MS)


def _is_cheap(batch: list[Stream], start_ms: int) -> bool:
    return sum(stream.seen.since(start_ms) for stream in batch) <= _FEW_EVENTS
