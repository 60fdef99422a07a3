"""What reading costs, under virtual time: few calls, little read twice, small steps, bounded memory."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from dataclasses import replace

import pytest

from asyncrun.clients.api import LogEvent
from asyncrun.triggers.logs.cloudwatch import reader_for
from asyncrun.triggers.logs.emitter import emitter
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink
from tests.triggers.logs.runs import SETTINGS, STREAM, Run, clock

pytestmark = [pytest.mark.looptime]


async def test_many_runs_share_few_calls() -> None:
    api = CloudWatch(clock)
    names = [f"s{i:03}" for i in range(300)]
    for name in names:
        for i in range(20):
            api.put(name, START + i, f"{i}")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(20)
    for run in runs:
        run.close()
    assert len(api.calls) <= 20 * 3 + 20
    assert all(len(streams) <= 100 for _, streams, _ in api.calls)


async def test_a_run_that_cannot_take_more_pauses_and_others_go_on() -> None:
    settings = replace(SETTINGS, log_rate=1_000_000, log_backlog=1280)
    api = CloudWatch(clock, page=500)
    for i in range(4000):
        api.put("heavy", START + i / 1000, f"{i} " + "x" * 1000)
    for i in range(60):
        api.put("light", START + i, f"{i}")
    slow = MemorySink(cost=10_000, speed=50_000)
    with Run(api, "heavy", settings=settings, sink=slow) as heavy, Run(api, "light") as light:
        await asyncio.sleep(40)
        assert heavy.log.full or len(slow.lines) == 4000
        assert emitter().statistics().queued_bytes < 2 * 2**20
        assert len(light.sink.lines) > 25
        await asyncio.sleep(600)
        drained = await heavy.end(START + 60)
    assert [line.split()[0] for line in slow.lines] == [str(i) for i in range(4000)]
    assert drained.complete
    assert light.sink.lines == [str(i) for i in range(60)]


async def test_repeated_reading_stays_small_and_its_memory_bounded() -> None:
    api = CloudWatch(clock, page=10_000)
    for i in range(12_000):
        api.put(STREAM, START + i / 100, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(150)
        statistics = reader_for(api, "/ecs/etl", SETTINGS).statistics()
        (part,) = run.source._followings
        assert len(part._stream.seen) < 76 * 100  # of the time between two far passes, and some
    assert run.sink.lines == [str(i) for i in range(12_000)]
    assert statistics.repeated < 4.5 * statistics.events


async def test_quiet_streams_do_not_make_busy_ones_be_read_again_and_again() -> None:
    api = CloudWatch(clock)
    for i in range(6000):
        api.put("busy", START + i / 100, f"{i}")
    api.put("quiet", START, "0")
    api.put("quiet", START + 50, "1")
    with Run(api, "busy") as busy, Run(api, "quiet") as quiet:
        await asyncio.sleep(90)
        statistics = reader_for(api, "/ecs/etl", SETTINGS).statistics()
    assert busy.sink.lines == [str(i) for i in range(6000)]
    assert quiet.sink.lines == ["0", "1"]
    # A quiet one drags the busy ones of its batch back by a flush (7 s) at most, and not by the overlap (15 s).
    assert statistics.repeated < 9 * statistics.events


async def test_streams_that_catch_up_do_not_drag_live_ones_back() -> None:
    api = CloudWatch(clock, page=100)
    for i in range(3000):
        api.put("old", START - 500 + i / 10, f"{i}")
    for i in range(30):
        api.put("live", START + i, f"{i}")
    with Run(api, "live") as live:
        await asyncio.sleep(10)
        with Run(api, "old") as old:
            await asyncio.sleep(10)
            assert len(live.sink.lines) >= 10
            await asyncio.sleep(30)
    assert old.sink.lines == [str(i) for i in range(3000)]
    assert live.sink.lines == [str(i) for i in range(30)]
    usual = [start for _, streams, start in api.calls if set(streams) == {"live", "old"}]
    assert usual, "once it has caught up, they are read together"
    assert min(usual) > (START - 130) * 1000
    assert api.served < 2 * 3000 + 60 * 30


async def test_a_large_page_is_taken_in_small_steps() -> None:
    class Counting:
        full = sparing = False

        def __init__(self) -> None:
            self.steps: list[int] = []

        def events(self, events: list[LogEvent]) -> Iterable[None]:
            self.steps.append(len(events))
            return ()

        def read(self, began_ms: int, *, final: bool) -> None: ...

        def exists(self) -> None: ...

        def unanswered(self) -> None: ...

        def unreadable(self) -> None: ...

        def say(self, level: str, message: str) -> None: ...

    api = CloudWatch(clock)
    for i in range(10_000):
        api.put(STREAM, START - 500 + i / 100, f"{i}")
    follower = Counting()
    following = reader_for(api, "/ecs/etl", SETTINGS, clock=clock).follow(STREAM, follower, 0)
    await asyncio.sleep(10)
    following.close()
    following.close()
    assert sum(follower.steps) == 10_000
    assert max(follower.steps) <= 500
