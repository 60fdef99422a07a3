"""Which streams are asked together, and what is remembered of one. No I/O."""

from __future__ import annotations

from collections.abc import Iterable

from asyncrun.clients.api import LogEvent
from asyncrun.triggers.logs.choosing import wide_batches
from asyncrun.triggers.logs.seen import MOST
from asyncrun.triggers.logs.streams import Stream


class Nobody:
    full = False
    sparing = False

    def __init__(self) -> None:
        self.said: list[str] = []

    def events(self, events: list[LogEvent]) -> Iterable[None]:
        return ()

    def read(self, began_ms: int, *, final: bool) -> None: ...

    def exists(self) -> None: ...

    def unanswered(self) -> None: ...

    def unreadable(self) -> None: ...

    def say(self, level: str, message: str) -> None:
        self.said.append(message)


def stream(name: str, times: Iterable[int]) -> Stream:
    """One whose run has ended, with events at those times in ms."""
    out = Stream(name, Nobody(), 0)
    out.awake = True
    out.take([LogEvent(name, f"{i}", i, i + 1, "") for i in times], 10**7, 0)
    return out


def read_in_full(one: Stream, now_ms: int) -> Stream:
    one.pass_done(0, now_ms, now_ms - 15_000)
    one.awake = True
    return one


def test_a_stream_that_paused_for_long_does_not_take_along_one_that_wrote_all_the_time() -> None:
    now = 3_600_000
    paused = read_in_full(stream("paused", [1000, now - 1000]), now)
    busy = [read_in_full(stream(f"busy{i}", range(0, now, 500)), now) for i in range(3)]
    batches = wide_batches([paused, *busy], now)
    assert [[one.name for one in batch] for batch, _ in batches] == [["paused"], ["busy0", "busy1", "busy2"]]
    assert batches[0][1] == 0
    assert batches[1][1] > now - 20_000


def test_what_is_remembered_is_bounded_also_within_one_long_pass() -> None:
    one = stream("fast", ())
    for first in range(0, 2 * MOST, 1000):
        one.take([LogEvent("fast", f"{i}", i, i + 1, "") for i in range(first, first + 1000)], 10**7, 0)
        assert len(one.seen) <= MOST * 1.2
    assert isinstance(one.follower, Nobody)
    assert len(one.follower.said) == 1
