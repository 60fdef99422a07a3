"""CloudWatch of one account and region at scale, under virtual time: AWS's pages, its latency, and our call budget."""

from __future__ import annotations

import asyncio
import random
from bisect import bisect_left, bisect_right
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import dataclass, field

from asyncrun.clients.api import LogEvent, LogPage
from asyncrun.clients.budget import TokenBucket
from asyncrun.model.errors import NotFound, RequestRefused
from tests.triggers.logs.fakes import START

PAGE_EVENTS, PAGE_BYTES, EVENT_OVERHEAD = 10_000, 1 << 20, 26  # FilterLogEvents' page, and how it counts


class Written:
    """One stream's events, by time; each can be read from its own moment on."""

    def __init__(self) -> None:
        self.events: list[LogEvent] = []
        self.times: list[int] = []
        self.visible: list[float] = []
        self.appears = float("inf")

    def put(self, event: LogEvent, visible: float) -> None:
        at = bisect_right(self.times, event.time_ms)
        self.events.insert(at, event)
        self.times.insert(at, event.time_ms)
        self.visible.insert(at, visible)
        self.appears = min(self.appears, visible)

    def since(self, start_ms: int, now: float) -> Iterable[LogEvent]:
        first = bisect_left(self.times, start_ms)
        last = bisect_right(self.times, int(now * 1000) + 1)
        return (self.events[n] for n in range(first, last) if self.visible[n] <= now)


@dataclass
class Region:
    """
    :param clock: AWS's, seconds since the epoch.
    :param rate: calls/s that our budget allows.
    :param latency: seconds of each call, and of each event in its answer.
    """

    clock: Callable[[], float]
    rate: float = 2.0
    latency: tuple[float, float] = (0.15, 30e-6)
    region: str = "eu-central-1"
    key: Hashable = "account"
    ahead: float = -0.6  # a Date has whole seconds
    streams: dict[tuple[str, str], Written] = field(default_factory=dict)
    calls: list[tuple[float, str, int, int]] = field(default_factory=list)
    """(when, group, streams asked for, events answered or -1)"""

    def __post_init__(self) -> None:
        self._bucket = TokenBucket(self.rate, self.rate)
        self._ids = 0

    def put(self, group: str, stream: str, time: float, message: str, *, taken_in: float, visible: float) -> str:
        """An event, all times in seconds since the epoch; its id."""
        self._ids += 1
        event = LogEvent(stream, f"{self._ids:056d}", int(time * 1000), int(taken_in * 1000), message)
        self.streams.setdefault((group, stream), Written()).put(event, visible)
        return event.event_id

    async def filter_log_events(
        self,
        group: str,
        streams: Sequence[str],
        *,
        start_ms: int,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> LogPage:
        assert 0 < len(streams) <= 100
        await self._bucket.take()
        asked_at = self.clock()
        await asyncio.sleep(self.latency[0])
        page = self._page(group, streams, start_ms, next_token, asked_at, limit or PAGE_EVENTS)
        self.calls.append((asked_at, group, len(streams), -1 if page is None else len(page.events)))
        if page is None:
            raise NotFound("The specified log stream does not exist.", code="ResourceNotFoundException")
        await asyncio.sleep(self.latency[1] * len(page.events))
        return page

    def _page(
        self, group: str, streams: Sequence[str], start_ms: int, token: str | None, now: float, limit: int
    ) -> LogPage | None:
        written = [self.streams.get((group, name)) for name in streams]
        if any(one is None or one.appears > now for one in written):
            return None
        asked = f"{hash((group, tuple(streams), start_ms))}/"
        if token and not token.startswith(asked):
            raise RequestRefused("The specified nextToken is invalid.", code="InvalidParameterException")
        after = tuple(token.removeprefix(asked).split(".")) if token else ("0", "0", "")
        last = (int(after[0]), int(after[1]), after[2])
        found = sorted(
            (
                event
                for one in written
                if one is not None
                for event in one.since(max(start_ms, last[0]), now)
                if not token or _order(event) > last
            ),
            key=_order,
        )
        size = 0
        for index, event in enumerate(found):
            size += len(event.message) + EVENT_OVERHEAD
            if index and (index >= limit or size > PAGE_BYTES):
                return LogPage(found[:index], asked + ".".join(map(str, _order(found[index - 1]))))
        return LogPage(found, None)

    async def get_log_events(self, group: str, stream: str, *, start_ms: int, next_token: str | None = None) -> LogPage:
        raise AssertionError("FilterLogEvents is allowed")

    def most_in(self, seconds: float) -> int:
        """Most calls in any such span."""
        times = sorted(at for at, *_ in self.calls)
        return max((bisect_left(times, at + seconds) - n for n, at in enumerate(times)), default=0)


def _order(event: LogEvent) -> tuple[int, int, str]:
    return event.time_ms, event.ingested_ms, event.event_id


@dataclass(frozen=True)
class Writer:
    """
    How containers write.

    :param rate: lines/s.
    :param flush: seconds between two of the driver's PutLogEvents.
    :param shown: seconds until what was taken in can be read.
    :param late: share of the flushes that CloudWatch shows only ``late_by`` seconds later.
    :param size: bytes of a line.
    """

    rate: float = 1.0
    flush: float = 5.0
    shown: float = 0.2
    late: float = 0.0
    late_by: float = 9.0
    size: int = 100

    def write(self, region: Region, group: str, stream: str, first: float, last: float, chance: random.Random) -> int:
        """Lines of that span, seconds since ``START``; how many."""
        count, flushed, held = 0, None, 0.0
        for n in range(int((last - first) * self.rate)):
            at = first + (n + 0.5) / self.rate
            flush = min(first + ((at - first) // self.flush + 1) * self.flush, last)
            if flush != flushed:
                flushed, held = flush, self.late_by if chance.random() < self.late else 0.0
            text = f"{stream} {n} "
            message = text + "x" * (self.size - len(text))
            visible = flush + self.shown + held
            region.put(group, stream, START + at, message, taken_in=START + flush, visible=START + visible)
            count += 1
        return count


class Reader:
    """A follower that notes what it was given, and when."""

    full = False
    sparing = False

    def __init__(self, region: Region, group: str, stream: str) -> None:
        self._region = region
        self.written = region.streams.get((group, stream), Written())
        self._shown = {event.event_id: at for event, at in zip(self.written.events, self.written.visible, strict=True)}
        self.got: Counter[str] = Counter()
        self.order: list[int] = []
        self.lags: list[tuple[float, float]] = []
        """(when it could be read, seconds until it was handed over)"""
        self.read_to = 0
        self.finals: list[float] = []
        self.found = False
        self.said: list[str] = []

    def events(self, events: list[LogEvent]) -> Iterable[None]:
        now = self._region.clock()
        for event in events:
            self.got[event.event_id] += 1
            self.order.append(event.time_ms)
            shown = self._shown[event.event_id]
            self.lags.append((shown, now - shown))
        return ()

    def read(self, began_ms: int, *, final: bool) -> None:
        assert began_ms >= self.read_to
        self.read_to = began_ms
        if final:
            self.finals.append(self._region.clock())

    def exists(self) -> None:
        self.found = True

    def unanswered(self) -> None: ...

    def unreadable(self) -> None:
        raise AssertionError("nothing is refused")

    def say(self, level: str, message: str) -> None:
        self.said.append(message)

    @property
    def lost(self) -> int:
        return sum(event.event_id not in self.got for event in self.written.events)

    @property
    def doubled(self) -> int:
        return sum(count - 1 for count in self.got.values())


def share(values: Iterable[float], part: float) -> float:
    """What that part of the values does not exceed."""
    ranked = sorted(values)
    return ranked[min(len(ranked) - 1, int(len(ranked) * part))] if ranked else float("nan")
