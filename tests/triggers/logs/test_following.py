"""Lines of runs that go on, under virtual time: complete, in order, once, and soon."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from typing import Any

import pytest

from asyncrun.clients.api import LogPage
from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import STREAM, Run, clock, denied

pytestmark = [pytest.mark.looptime]


async def test_lines_show_while_the_run_goes_on_and_none_is_lost_at_the_end() -> None:
    api = CloudWatch(clock)
    for i in range(60):
        api.put(STREAM, START + i, f"line {i}", visible=START + 5 * (i // 5 + 1))
    with Run(api) as run:
        await asyncio.sleep(30)
        assert len(run.sink.lines) >= 20
        await asyncio.sleep(31)
        drained = await run.end(START + 60)
    assert run.sink.lines == [f"line {i}" for i in range(60)]
    assert drained.complete
    assert run.said == []


async def test_a_message_of_several_lines_has_one_level() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START, "ERROR: broken\nTraceback:\r\n  File x\n")
    with Run(api) as run:
        await asyncio.sleep(10)
    (record,) = run.sink.records
    assert (record.level, record.text) == ("error", "ERROR: broken\nTraceback:\n  File x")


async def test_late_and_out_of_order_events_show_once() -> None:
    """Older than what was read, but within the overlap; and one that only the final pass can find."""
    api = CloudWatch(clock)
    api.put(STREAM, START + 10, "on time", visible=START + 11)
    api.put(STREAM, START + 2, "late by ten seconds", visible=START + 13)
    api.put(STREAM, START + 11, "same time, early", visible=START + 12)
    api.put(STREAM, START + 11, "same time, late", visible=START + 18)
    api.put(STREAM, START + 12, "later than the overlap", visible=START + 40)
    with Run(api) as run:
        await asyncio.sleep(30)
        drained = await run.end(START + 30)
    assert sorted(run.sink.lines) == sorted(
        ["on time", "late by ten seconds", "same time, early", "same time, late", "later than the overlap"]
    )
    assert drained.complete


async def test_two_runs_may_follow_one_stream() -> None:
    api = CloudWatch(clock)
    for i in range(10):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as one, Run(api) as other:
        await asyncio.sleep(30)
    assert one.sink.lines == other.sink.lines == [str(i) for i in range(10)]


async def test_a_line_that_cannot_be_taken_breaks_its_own_log_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Run):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.log._last.clear()  # any line raises a KeyError

    api = CloudWatch(clock)
    for i in range(10):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Broken(api, "a") as broken, Run(api, "b") as other:
        await asyncio.sleep(20)
        drained = await broken.source.drain(clock())
    assert other.sink.lines == [str(i) for i in range(10)]
    assert drained.unreadable == ("a",)
    assert "Lines of log stream a could not be taken" in caplog.text


async def test_a_reader_that_was_left_reads_no_more_and_the_next_one_starts_anew() -> None:
    api = CloudWatch(clock)
    for i in range(100):
        api.put(STREAM, START + i, f"{i}")
    with Run(api):
        await asyncio.sleep(10)
    calls = len(api.calls)
    await asyncio.sleep(30)
    assert len(api.calls) == calls
    with Run(api) as run:
        await asyncio.sleep(20)
    assert run.sink.lines[:50] == [str(i) for i in range(50)]


@pytest.mark.parametrize("refused", ["", "filter"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_replay_gives_the_same_records_as_reading_along(seed: int, refused: str) -> None:
    """What Airflow's reader needs to show each line once after a triggerer died (facts/airflow-logs.md, 3)."""
    chance = random.Random(seed)
    api = CloudWatch(clock, page=chance.choice([3, 50, 10_000]), refuse=denied(refused))
    count = 0
    for container in ("a", "b"):
        time, flush = START, chance.uniform(0, 5)
        while time < START + 60:
            time += chance.choice([0, 0.001, 0.02, 0.3, 4])
            flushed = START + flush + 5 * -((START + flush - time) // 5)
            api.put(container, time, chance.choice(["same", "ERROR: broken", f"line {count}"]), visible=flushed + 0.4)
            count += 1
    with Run(api, "a", "b") as along:
        await asyncio.sleep(20 + seed)
        with Run(api, "a", "b") as taken_over:
            await along.end(START + 62)
            await taken_over.end(START + 62)
    with Run(api, "a", "b") as replayed:
        await replayed.end(START + 62)
    first, second, third = (sorted(run.sink.records, key=lambda r: r.stamp_ms) for run in (along, taken_over, replayed))
    assert sum(record.lines for record in first) == count
    assert first == second == third


@pytest.mark.parametrize("pages", [1, 2, 3])
async def test_pages_that_lead_in_a_circle_end_and_nothing_is_lost(pages: int) -> None:
    """FilterLogEvents gives a token with its last page too, one that it gave before."""

    class Circling(CloudWatch):
        async def filter_log_events(
            self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None, **_: object
        ) -> LogPage:
            page = await super().filter_log_events(group, streams, start_ms=start_ms, next_token=next_token)
            first = page.next_token or next_token or f"0/{self.clock()}"
            return LogPage(page.events, page.next_token or first)

    api = Circling(clock, page=10)
    lines = [f"line {n}" for n in range(10 * pages)]
    for n, line in enumerate(lines):
        api.put(STREAM, clock() + n / 100, line)
    run = Run(api)
    await asyncio.sleep(20)
    assert (await run.end(clock())).complete
    assert run.sink.lines == lines
    assert len(api.calls) < 200


async def test_lines_that_were_taken_in_together_are_joined_though_they_are_shown_one_after_the_other() -> None:
    """A pass may come between: what it showed waits for the rest, or a replay would join them otherwise."""
    api = CloudWatch(clock, gap=0.01)
    for n in range(45):
        at = START + 1 + n * 0.67
        api.put(STREAM, at, f"{n} first", taken_in=at + 0.1, visible=at + 0.1)
        api.put(STREAM, at + 0.001, f"{n} second", taken_in=at + 0.1, visible=at + 0.4)
    with Run(api) as along:
        await asyncio.sleep(40)
        await along.end(START + 31)
    with Run(api) as replayed:
        await replayed.end(START + 31)
    assert along.sink.records == replayed.sink.records
