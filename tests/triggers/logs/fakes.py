"""A CloudWatch in memory with the API's rules (facts/aws.md 3), and a sink that remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Hashable, Sequence
from dataclasses import dataclass, field

from asyncrun.clients.api import LogEvent, LogPage
from asyncrun.model.errors import NotFound, RequestRefused
from asyncrun.triggers.logs.records import Record, compact

START = 1_700_000_000.0


@dataclass
class CloudWatch:
    """
    One region. Each event is visible from a moment on; streams exist from their first event's moment on.

    :param page: events in one page.
    :param refuse: called with (operation, streams) before each call; returns an error to raise, or None.
    :param clock: AWS's, seconds since the epoch.
    :param really_ahead: seconds that it is ahead of ours; told as ``ahead``, as
        well as a client can know it, once a call was answered.
    :param gap: seconds that each call takes: its budget and latency.
    """

    clock: Callable[[], float]
    page: int = 10_000
    gap: float = 0.05
    really_ahead: float = 0.0
    region: str = "eu-central-1"
    key: Hashable = "account"
    refuse: Callable[[str, Sequence[str]], Exception | None] = lambda operation, streams: None
    ahead: float = 0.0
    calls: list[tuple[str, tuple[str, ...], int]] = field(default_factory=list)
    served: int = 0
    first_read: dict[str, float] = field(default_factory=dict)
    _events: list[tuple[float, LogEvent]] = field(default_factory=list)
    _tokens: dict[str, tuple[int, float, object]] = field(default_factory=dict)
    _appears: dict[str, float] = field(default_factory=dict)

    def put(
        self, stream: str, time: float, message: str, *, visible: float | None = None, taken_in: float | None = None
    ) -> None:
        """An event written at ``time``, taken in and visible at those times (all seconds since the epoch)."""
        visible = time if visible is None else visible
        taken_in = visible if taken_in is None else taken_in
        ident = f"{len(self._events):056d}"
        self._events.append((visible, LogEvent(stream, ident, int(time * 1000), int(taken_in * 1000), message)))
        self._appears[stream] = min(visible, self._appears.get(stream, visible))

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
        await self._begin("filter", streams, start_ms)
        asked = (group, tuple(streams), start_ms)
        first, at = 0, self.clock()
        if next_token:
            first, at, of = self._tokens.get(next_token, (0, self.clock(), asked))
            if of != asked:
                raise RequestRefused("The specified nextToken is invalid.", code="InvalidParameterException")
        found = sorted(
            (e for visible, e in self._events if visible <= at and e.stream in streams and e.time_ms >= start_ms),
            key=lambda e: (e.time_ms, e.ingested_ms, e.event_id),
        )
        last = first + min(self.page, limit or self.page)
        self.served += len(found[first:last])
        if last >= len(found):
            return LogPage(found[first:last], None)
        token = f"{last}/{at}/{len(self._tokens)}"
        self._tokens[token] = (last, at, asked)
        return LogPage(found[first:last], token)

    async def get_log_events(
        self, group: str, stream: str, *, start_ms: int, next_token: str | None = None, limit: int | None = None
    ) -> LogPage:
        await self._begin("get", [stream], start_ms)
        # Forward tokens of a stream walk in the order in which events were taken in.
        found = [
            e
            for visible, e in sorted(self._events, key=lambda pair: pair[0])
            if visible <= self.clock() and e.stream == stream and e.time_ms >= start_ms
        ]
        first = int(next_token or 0)
        some = found[first : first + min(self.page, limit or self.page)]
        return LogPage(
            [LogEvent(e.stream, "", e.time_ms, e.ingested_ms, e.message) for e in some], str(first + len(some))
        )

    async def _begin(self, operation: str, streams: Sequence[str], start_ms: int) -> None:
        self.calls.append((operation, tuple(streams), start_ms))
        await asyncio.sleep(self.gap)
        self.ahead = self.really_ahead - 0.6  # a Date has whole seconds
        if (error := self.refuse(operation, streams)) is not None:
            raise error
        if any(self._appears.get(stream, float("inf")) > self.clock() for stream in streams):
            raise NotFound("The specified log stream does not exist.", code="ResourceNotFoundException")
        for stream in streams:
            self.first_read.setdefault(stream, self.clock())


class MemorySink:
    """Remembers records; its socket fills by ``cost`` a record and drains at ``speed`` bytes/s of virtual time."""

    def __init__(self, *, cost: int = 0, speed: float = float("inf")) -> None:
        self.records: list[Record] = []
        self.highest = 0
        self._cost, self._speed, self._level, self._at = cost, speed, 0.0, 0.0

    def fill(self) -> int | None:
        now = asyncio.get_running_loop().time()
        if self._speed != float("inf"):
            self._level = max(0.0, self._level - (now - self._at) * self._speed)
        self._at = now
        return int(self._level)

    def has_passed(self) -> bool:
        return not self.fill()

    def new(self, records: list[Record]) -> list[Record]:
        return records

    async def emit(self, records: Sequence[Record]) -> None:
        self.fill()
        self.records.extend(records)
        if self._speed != float("inf"):
            self._level += self._cost * len(records)
        self.highest = max(self.highest, int(self._level))

    @property
    def lines(self) -> list[str]:
        return [line for record in self.records for line in record.text.split("\n")]


class Pipe:
    """The one log socket of a triggerer, read at ``speed`` bytes/s of virtual time."""

    def __init__(self, speed: float) -> None:
        self._speed, self._level, self._at = speed, 0.0, 0.0

    def fill(self) -> int:
        now = asyncio.get_running_loop().time()
        self._level = max(0.0, self._level - (now - self._at) * self._speed)
        self._at = now
        return int(self._level)

    def put(self, size: int) -> float:
        """:return: when it will have been read."""
        self._level = self.fill() + size
        return self._at + self._level / self._speed


class PipedSink:
    """
    Writes records of one run into a shared pipe.

    :ivar records: with the time when the supervisor will have read each.
    """

    def __init__(self, pipe: Pipe) -> None:
        self._pipe, self._read_at = pipe, 0.0
        self.records: list[tuple[float, Record]] = []

    def fill(self) -> int | None:
        return self._pipe.fill()

    def has_passed(self) -> bool:
        return asyncio.get_running_loop().time() >= self._read_at

    def new(self, records: list[Record]) -> list[Record]:
        return records

    async def emit(self, records: Sequence[Record]) -> None:
        for record in records:
            self._read_at = self._pipe.put(len(compact(record, 1)))
            self.records.append((self._read_at, record))
