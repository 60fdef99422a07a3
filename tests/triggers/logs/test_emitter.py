"""The one emitter: fair, patient, bounded, and in nobody's log context. Virtual time."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Sequence

import pytest

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.run_log import RUN_QUEUE
from tests.triggers.logs.fakes import MemorySink

pytestmark = pytest.mark.looptime
SETTINGS = Settings(log_rate=10**6)


def lines(count: int, size: int = 10, first: int = 0) -> list[LogLine]:
    return [LogLine(1_000_000 + 50 * i, "main", "info", f"{i} ".ljust(size, "x")) for i in range(first, first + count)]


async def test_a_small_log_does_not_wait_behind_a_large_one() -> None:
    order: list[str] = []

    class Named(MemorySink):
        def __init__(self, name: str) -> None:
            super().__init__()
            self.name = name

        async def emit(self, records: Sequence[Record]) -> None:
            order.extend(self.name for _ in records)

    large, small = (emitter().open(Named(name), ["main"], SETTINGS) for name in ("large", "small"))
    large.add(lines(500))
    small.add(lines(5))
    assert await small.finish(10)
    assert order.index("small") < 3
    assert len(order) < 30
    assert await large.finish(10)
    large.close()
    small.close()


async def test_finish_gives_up_after_its_time_and_close_drops_the_rest() -> None:
    sink = MemorySink(cost=SETTINGS.log_backlog * 2, speed=1)
    run_log = emitter().open(sink, ["main"], SETTINGS)
    run_log.add(lines(10))
    began = asyncio.get_running_loop().time()
    assert not await run_log.finish(5)
    assert asyncio.get_running_loop().time() - began == pytest.approx(5, abs=0.01)
    run_log.close()
    run_log.close()
    run_log.add(lines(1))
    assert emitter().statistics().queued_bytes == 0
    assert emitter().statistics().runs == 0
    await asyncio.sleep(1)
    assert len(sink.records) == 1


async def test_waiting_for_the_socket_is_no_busy_loop() -> None:
    calls = 0

    class Counting(MemorySink):
        def fill(self) -> int | None:
            nonlocal calls
            calls += 1
            return super().fill()

    sink = Counting(cost=100_000, speed=1000)  # some 70 s for each record
    run_log = emitter().open(sink, ["main"], SETTINGS)
    run_log.add(lines(3))
    await asyncio.sleep(60)
    assert calls < 60 * 25
    run_log.close()
    await asyncio.sleep(1)


async def test_a_run_is_full_until_its_records_went_out() -> None:
    run_log = emitter().open(MemorySink(cost=10_000, speed=1_000_000), ["main"], SETTINGS)
    assert not run_log.full
    run_log.add(lines(RUN_QUEUE // 1000 + 10, size=1000))
    assert run_log.full
    assert await run_log.finish(100)
    assert not run_log.full
    run_log.close()


async def test_emission_runs_in_nobodys_context() -> None:
    bound: contextvars.ContextVar[str] = contextvars.ContextVar("bound", default="nobody")
    seen: list[str] = []

    class Asking(MemorySink):
        async def emit(self, records: Sequence[Record]) -> None:
            seen.append(bound.get())

    bound.set("the first trigger")
    run_log = emitter().open(Asking(), ["main"], SETTINGS)
    run_log.add(lines(2))
    assert await run_log.finish(5)
    run_log.close()
    assert set(seen) == {"nobody"}


async def test_last_lines_are_kept_per_container() -> None:
    run_log = emitter().open(MemorySink(), ["a", "b"], SETTINGS, keep=3, whole=True)
    run_log.add([LogLine(i, "ab"[i % 2], "info", f"{i}\x00") for i in range(20)])
    assert run_log.last_lines("a", 2) == [r"16\x00", r"18\x00"]
    assert run_log.last_lines("b", 50) == [r"15\x00", r"17\x00", r"19\x00"]
    assert run_log.last_line("a") == "18\x00"
    run_log.close()


async def test_a_container_without_output_has_no_last_line() -> None:
    run_log = emitter().open(MemorySink(), ["a"], SETTINGS)
    assert run_log.last_line("a") is None
    assert run_log.last_lines("a", 5) == []
    assert await run_log.finish(1)
    run_log.close()


async def test_few_bytes_are_kept_of_long_last_lines_and_none_whole_that_nobody_wants() -> None:
    run_log = emitter().open(MemorySink(), ["a"], SETTINGS, keep=100)
    run_log.add([LogLine(i, "a", "info", f"{i} ".ljust(10_000, "x")) for i in range(50)])
    assert [text.split()[0] for text in run_log.last_lines("a", 100)] == ["44", "45", "46", "47", "48", "49"]
    assert run_log.last_line("a") is None
    run_log.close()


async def test_a_huge_line_is_kept_whole_only_as_the_last_one() -> None:
    run_log = emitter().open(MemorySink(), ["a"], SETTINGS, whole=True)
    run_log.add([LogLine(0, "a", "info", "x" * 100_000), LogLine(1, "a", "info", "y" * 100_000)])
    assert run_log.last_line("a") == "y" * 100_000
    assert all(len(text) < SETTINGS.log_line_limit + 100 for text in run_log.last_lines("a", 2))
    assert run_log.last_lines("a", 1)[0].endswith("log_line_limit = 16384]")
    assert await run_log.finish(1)
    run_log.close()


async def test_finish_waits_until_the_supervisor_has_taken_the_last_record() -> None:
    """What the socket holds when a trigger ends lands in the triggerer's own output: of a short run, everything."""
    sink = MemorySink(cost=4 * SETTINGS.log_backlog, speed=SETTINGS.log_backlog / 10)
    run_log = emitter().open(sink, ["main"], SETTINGS)
    run_log.add(lines(1))
    began = asyncio.get_running_loop().time()
    assert await run_log.finish(60)
    assert asyncio.get_running_loop().time() - began == pytest.approx(40, abs=0.1)
    assert sink.fill() == 0
    run_log.close()
