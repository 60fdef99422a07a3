"""
Which streams of a group are asked together next, and from where: few calls, and little read again. No I/O.

Each stream has a pace: it is to be looked at again after ``interval``, which grows while it is quiet. How overdue that
is, as a multiple of the interval, is its *need*. A call is for the streams that need it most; so where the budget is
too small for all, every interval is stretched by the same factor, within a group and among the groups of an account:
the time between two looks follows from the budget and from how many streams there are, and how many of them write.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Sequence
from typing import NamedTuple

from asyncrun.triggers.logs.streams import Stream

STREAMS_PER_CALL = 100  # FilterLogEvents' limit
DUE = 1 - 1e-6
"""The need from which on it is time to ask; times are sums of floats."""
SOONER = 4.0
"""What somebody waits for is that much more needed than what is only new."""
# A stream that pauses for longer than two flushes of the awslogs driver is looked at less often: after that share of
# its pause.
_PAUSE_MS, _PAUSE_SHARE = 11_000, 0.15
# A stream that is read anyway is not asked for again so soon, but one that is nearly due is taken along.
_RIDES_ALONG = 0.5

# Streams this far apart are not asked together: FilterLogEvents has one start for all, and would read the span between
# again for those that are ahead.
_APART_MS = 60_000
# Where so few events are read again, a pass goes back as far as every stream of it wants.
_FEW_EVENTS = 250
# Else most passes go on at the last events, and none goes back further than the clock says a line usually needs: one
# flush of the driver, and its way.
_FLUSHED_MS = 7_000
# And streams that write are read in full after that share of the overlap, and of the span that is then read again.
_FULL_SHARE, _FULL_SPAN_SHARE = 3, 4
# Not even then further than that: CloudWatch may give empty pages for a long time without events.
_USUAL_SPAN_MS = 120_000
# Every stream is to be read in full after that time, and far back after that; a quiet one after that share of its quiet
# time, for the same reason.
_FULL_EVERY_MS, _FAR_EVERY_MS, _QUIET_SHARE = 60_000, 300_000, 20
# A pass that goes far back should not hold up its streams: a page or two.
_EVENTS_PER_WIDE_PASS = 10_000
# Many ends at once: their last passes go less far back if this many events would be read again.
_EVENTS_OF_FINALS = 20_000
_FINAL_MS, _FINAL_EVENTS = 30_000, 50


class Now(NamedTuple):
    """
    :param ticks: the event loop's time, s.
    :param ms: AWS's time.
    :param overlap_ms: the setting ``logs_overlap``.
    :param shortest: s, the interval of streams that write.
    """

    ticks: float
    ms: int
    overlap_ms: int
    shortest: float


class Choice(NamedTuple):
    """
    :param need: of the stream that needs it most.
    """

    need: float
    streams: list[Stream]
    start_ms: int


Batch = tuple[list[Stream], int]
"""Streams to be asked together, and where to start."""


def need_of(stream: Stream, now: Now) -> float:
    """How much a look at that stream is needed."""
    age = now.ticks - stream.looked_at
    return SOONER * age / now.shortest if _is_awaited(stream) else max(age / stream.interval, _overdue(stream, now.ms))


def due_at(stream: Stream, shortest: float) -> float:
    """When the next look is due, but for those that go back further."""
    return stream.looked_at + (shortest / SOONER if _is_awaited(stream) else stream.interval)


def set_pace(stream: Stream, shortest: float, longest: float) -> None:
    """
    A look at it has ended: when the next one is due.

    :param shortest: s, for a stream that writes.
    :param longest: s, for a quiet one.
    """
    pause_ms = max(stream.pause_ms, stream.read_ms - stream.taken_in_ms)
    writes = pause_ms <= _PAUSE_MS or stream.urgent
    stream.interval = shortest if writes else max(shortest, min(longest, pause_ms / 1000 * _PAUSE_SHARE))


def choose(streams: Collection[Stream], now: Now) -> Choice | None:
    """The most needed call, None if there is no stream."""
    needs = {stream: need_of(stream, now) for stream in streams}
    first = max(needs, key=needs.__getitem__, default=None)
    if first is None:
        return None
    if first.alone:
        start_ms = first.far_start_ms if first.final_wanted else first.full_start_ms
        return Choice(needs[first], [first], start_ms)
    able = [stream for stream in streams if not stream.alone]
    if _is_awaited(first):
        batch = _with(first, wide_batches([one for one in able if _is_awaited(one)], now.ms))
    elif _overdue(first, now.ms) >= max(DUE, (now.ticks - first.looked_at) / first.interval):
        late = [one for one in able if not _is_awaited(one) and _overdue(one, now.ms) >= DUE]
        batch = _with(first, wide_batches(late, now.ms))
    else:
        batch = _usual_batch(first, [one for one in able if not _is_awaited(one)], needs, now)
    return Choice(needs[first], *batch)


def _is_awaited(stream: Stream) -> bool:
    return stream.final_wanted or stream.awake


def _with(first: Stream, batches: Iterable[Batch]) -> Batch:
    return next(batch for batch in batches if first in batch[0])


def wide_batches(streams: Collection[Stream], now_ms: int) -> list[Batch]:
    """Streams that should go back further than usual passes do, each in one batch."""
    many = sum(stream.seen.since(stream.far_start_ms) for stream in streams if stream.final_wanted) > _EVENTS_OF_FINALS
    return _by_cost({stream: _wide_start(stream, now_ms, many=many) for stream in streams})


def _wide_start(stream: Stream, now_ms: int, *, many: bool) -> int:
    if stream.final_wanted and many:
        last = stream.full_start_ms if stream.last_ms is None else stream.last_ms
        near = min(last - _FINAL_MS, stream.seen.nth_last(_FINAL_EVENTS))
        return max(stream.far_start_ms, min(stream.full_start_ms, near))
    far = stream.final_wanted or _lateness(stream.far_read_ms, _FAR_EVERY_MS, stream, now_ms) >= DUE
    return stream.far_start_ms if far else stream.full_start_ms


def _overdue(stream: Stream, now_ms: int) -> float:
    """How much a look that goes back further is needed."""
    return max(
        _lateness(stream.full_read_ms, _FULL_EVERY_MS, stream, now_ms),
        _lateness(stream.far_read_ms, _FAR_EVERY_MS, stream, now_ms),
    )


def _lateness(read_ms: int, every_ms: int, stream: Stream, now_ms: int) -> float:
    return (now_ms - read_ms) / max(every_ms, (now_ms - stream.connected_start_ms) // _QUIET_SHARE)


def _by_cost(starts: dict[Stream, int]) -> list[Batch]:
    """
    Neighbours by start, as many as cost little to read from the first one's start on.

    A page may hold few events (1 MB), so what is read only because of a neighbour is bounded too: a stream that is read
    from hours ago must not take along one that has written all the time.
    """
    out: list[Batch] = []
    cost = wanted = 0  # events that are read again, and those of them that each stream's own start asks for
    for stream in sorted(starts, key=lambda one: (starts[one], one.name)):
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


def _usual_batch(first: Stream, streams: Iterable[Stream], needs: dict[Stream, float], now: Now) -> Batch:
    """The stream that needs it most, and those near it that need it next: first those of its pace, then others."""
    goes_on, writes = _goes_on(first), first.interval <= now.shortest

    def rank(one: Stream) -> tuple[bool, float]:
        return (one.interval <= now.shortest) == writes, needs[one]

    near = (one for one in streams if needs[one] >= _RIDES_ALONG and abs(_goes_on(one) - goes_on) <= _APART_MS)
    batch = heapq.nlargest(STREAMS_PER_CALL, near, key=rank)
    if first not in batch:  # as needed as a hundred others
        batch[-1:] = [first]
    return batch, _usual_start(batch, now)


def _goes_on(stream: Stream) -> int:
    return max(stream.connected_start_ms, stream.read_ms - _FLUSHED_MS)


def _usual_start(batch: Sequence[Stream], now: Now) -> int:
    read = min(stream.read_ms for stream in batch)
    reach = read - _USUAL_SPAN_MS
    full = min(stream.full_start_ms for stream in batch)
    if full >= reach and _cost(batch, full) <= _FEW_EVENTS:
        return full
    late = sorted(
        stream.full_start_ms for stream in batch if stream.full_start_ms >= reach and _wants_full(stream, now)
    )
    for start in late:
        if _cost(batch, start) <= _EVENTS_PER_WIDE_PASS:
            return start
    connected = min(stream.connected_start_ms for stream in batch)
    usual = max(connected, reach)
    return usual if _cost(batch, usual) <= _FEW_EVENTS else max(connected, read - _FLUSHED_MS)


def _wants_full(stream: Stream, now: Now) -> bool:
    """Whether a usual pass should be a full one for it: the more seldom, the further back that goes."""
    span_ms = now.ms - max(stream.full_start_ms, stream.seen.first_ms)
    every_ms = max(now.overlap_ms // _FULL_SHARE, span_ms // _FULL_SPAN_SHARE)
    return now.ms - stream.full_read_ms >= every_ms


def _cost(batch: Iterable[Stream], start_ms: int) -> int:
    """Events that are read again."""
    return sum(stream.seen.since(start_ms) for stream in batch)
