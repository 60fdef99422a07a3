"""Runs that share the narrow pipe: quiet ones are not hurt by loud ones, and memory has a limit. Virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.fairness import HALF_LIFE, FairQueue, TokenBucket
from asyncrun.triggers.logs.governor import FEWEST_HELD, HELD_BYTES, Governor
from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.logs.text import size_of
from tests.triggers.logs.fakes import MemorySink, Pipe, PipedSink

SETTINGS = Settings(log_rate=10**6, log_size_limit=2**30)
SLOWEST_PIPE = 65 * 1024  # bytes/s, facts/airflow.md 1


def line(time: float, text: str) -> LogLine:
    return LogLine(int(time * 1000), "main", "info", text)


class Run:
    def __init__(self, pipe: Pipe, settings: Settings = SETTINGS) -> None:
        self.sink = PipedSink(pipe)
        self.log: RunLog = emitter().open(self.sink, ["main"], settings)

    async def write(self, rate: float, seconds: float, size: int) -> None:
        """A container: lines at a rate, which the reader takes ten times a second while the run is not full."""
        loop = asyncio.get_running_loop()
        began, number = loop.time(), 0
        while loop.time() < began + seconds:
            await asyncio.sleep(max(0.1, 1 / rate))
            due = int((loop.time() - began) * rate)
            if not self.log.full:
                self.log.add(line(began + one / rate, f"{one} ".ljust(size, "x")) for one in range(number, due))
                self.log.settle("main")
                number = due

    def delays(self) -> list[float]:
        """Per record, from when it was written until the supervisor had it; our own writing is the only delay."""
        return [at - record.stamp_ms / 1000 for at, record in self.sink.records]


async def closed(*logs: RunLog) -> None:
    for one in logs:
        one.close()
    await asyncio.sleep(1)  # the emitter ends when it next looks


@pytest.mark.looptime
@pytest.mark.parametrize(
    ("rate", "size"), [(10_000, 100), (50_000, 20), (200, 8000)], ids=["10,000 a second", "50,000 short", "long ones"]
)
async def test_a_quiet_run_waits_for_no_loud_one(rate: float, size: int) -> None:
    pipe = Pipe(SLOWEST_PIPE)
    loud, quiet = [Run(pipe) for _ in range(3)], [Run(pipe) for _ in range(20)]
    await asyncio.gather(*(one.write(rate, 60, size) for one in loud), *(one.write(1, 60, 100) for one in quiet))
    await asyncio.sleep(2)
    for one in quiet:
        assert len(one.sink.records) == 60
        assert max(one.delays()) < 2
    assert sum(len(record.text) for one in loud for _, record in one.sink.records) > 0.5 * 60 * SLOWEST_PIPE
    await closed(*(one.log for one in (*loud, *quiet)))


@pytest.mark.looptime
async def test_live_lines_do_not_wait_for_replays() -> None:
    """A triggerer took over: some runs have a hundred megabytes to write again."""
    pipe = Pipe(SLOWEST_PIPE)
    replays, quiet = [Run(pipe) for _ in range(3)], [Run(pipe) for _ in range(30)]
    for number, one in enumerate(quiet):
        one.log.add(line(50 * i / 1000, f"{i} old") for i in range(20 + number % 7))

    async def replay(run: Run) -> None:
        for number in range(100_000):
            while run.log.full:  # noqa: ASYNC110 - as the readers do
                await asyncio.sleep(0.05)
            run.log.add([line(number / 10, f"{number} ".ljust(1000, "x"))])

    tasks = [asyncio.create_task(replay(one)) for one in replays]
    loop = asyncio.get_running_loop()
    await asyncio.sleep(10)
    assert all(len(one.sink.records) >= 19 for one in quiet)  # small logs are done first
    began = loop.time()
    await asyncio.gather(*(one.write(1, 30, 100) for one in quiet))
    await asyncio.sleep(2)
    for one in quiet:
        live = [at - record.stamp_ms / 1000 for at, record in one.sink.records if record.stamp_ms / 1000 >= began]
        assert len(live) >= 29
        assert max(live) < 2
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await closed(*(one.log for one in (*replays, *quiet)))


@pytest.mark.looptime
async def test_runs_that_write_all_the_time_do_not_wait_for_many_that_are_taken_over() -> None:
    pipe = Pipe(SLOWEST_PIPE)
    quiet = [Run(pipe) for _ in range(20)]
    writing = [asyncio.create_task(one.write(1, 60, 100)) for one in quiet]
    await asyncio.sleep(40)
    replays = [Run(pipe) for _ in range(100)]
    for one in replays:
        one.log.add(line(number / 10, f"{number} ".ljust(1000, "x")) for number in range(1000))
    await asyncio.gather(*writing)
    await asyncio.sleep(2)
    for run in quiet:
        assert len(run.sink.records) == 60
        assert max(run.delays()) < 2
    await closed(*(one.log for one in (*replays, *quiet)))


@pytest.mark.looptime
@pytest.mark.parametrize("error", [ValueError("a record that cannot be written"), OSError("gone")])
async def test_a_run_whose_records_cannot_be_written_does_not_hold_up_the_others(
    error: Exception, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken(MemorySink):
        async def emit(self, records: Sequence[Record]) -> None:
            raise error

    bad, good = emitter().open(Broken(), ["main"], SETTINGS), Run(Pipe(SLOWEST_PIPE))
    bad.add(line(number, f"{number}") for number in range(300))
    now = asyncio.get_running_loop().time()
    good.log.add([line(now, "good")])
    good.log.settle("main")
    await asyncio.sleep(5)
    assert len(good.sink.records) == 1
    assert max(good.delays()) < 2
    assert emitter().statistics().failed > 1
    assert caplog.text.count("could not be written to Airflow's log") == 1
    await closed(bad, good.log)


@pytest.mark.looptime
async def test_small_logs_are_done_first_when_all_begin_at_once() -> None:
    pipe = Pipe(SLOWEST_PIPE)
    small, large = [Run(pipe) for _ in range(100)], [Run(pipe) for _ in range(5)]
    for one in large:
        one.log.add(line(i, f"{i} ".ljust(1000, "x")) for i in range(300))
    for one in small:
        one.log.add(line(i, f"{i}") for i in range(5))
    assert all(await asyncio.gather(*(one.log.finish(20) for one in small)))
    done = [sum(len(record.text) for _, record in one.sink.records) for one in large]
    assert max(done) < 20_000
    assert all(await asyncio.gather(*(one.log.finish(200) for one in large)))
    await closed(*(one.log for one in (*small, *large)))


@pytest.mark.looptime
async def test_nothing_is_written_faster_than_the_set_rate_where_nothing_else_holds_back() -> None:
    class Blind(MemorySink):
        def fill(self) -> int | None:
            return None

    sink = Blind()
    run_log = emitter().open(sink, ["main"], replace(SETTINGS, log_emit_rate=100_000))
    run_log.add(line(i, "x" * 872) for i in range(1000))  # a megabyte, with what each record costs
    began = asyncio.get_running_loop().time()
    assert await run_log.finish(60)
    assert 9 < asyncio.get_running_loop().time() - began < 10
    await closed(run_log)


@pytest.mark.looptime
async def test_what_waits_in_memory_has_a_limit_however_many_runs_are_loud() -> None:
    settings = replace(SETTINGS, log_memory=4 * 2**20)
    pipe = Pipe(SLOWEST_PIPE)
    runs = [Run(pipe, settings) for _ in range(300)]
    highest = 0
    for _ in range(200):
        for one in runs:
            if not one.log.full:
                one.log.add(line(0, "x" * 1000) for _ in range(20))
        highest = max(highest, emitter().statistics().queued_bytes)
        await asyncio.sleep(0.05)
    page = 20 * 1128
    assert 2 * 2**20 < highest < 4 * 2**20 + 300 * page / 2
    await closed(*(one.log for one in runs))
    assert emitter().statistics().queued_bytes == 0


@pytest.mark.looptime
async def test_one_run_may_use_more_memory_while_there_is_plenty() -> None:
    one, other = (emitter().open(MemorySink(cost=10**9, speed=1), ["main"], SETTINGS) for _ in range(2))
    other.add([line(0, "x")])
    one.add(line(0, "x" * 1000) for _ in range(900))
    assert not one.full
    one.add(line(0, "x" * 1000) for _ in range(200))
    assert one.full
    assert not other.full
    await closed(one, other)


@dataclass
class Waiting:
    name: int
    served: float = 0.0
    had: list[tuple[float, float]] = field(default_factory=list)


@given(
    gifts=st.lists(
        st.tuples(st.integers(0, 3), st.floats(0.1, 1e6), st.floats(0, 30_000)), min_size=1, max_size=60
    )
)  # fmt: skip
def test_who_had_least_of_late_comes_first_however_much_time_passes(gifts: list[tuple[int, float, float]]) -> None:
    now = 0.0
    everybody = [Waiting(name) for name in range(4)]
    queue: FairQueue[Waiting] = FairQueue(lambda: now, everybody)
    for name, amount, seconds in gifts:
        queue.charge(everybody[name], amount)
        everybody[name].had.append((now, amount))
        now += seconds
        for one in everybody:
            queue.push(one)
        order = [queue.pop() for _ in everybody]
        had = [sum(amount * 2 ** ((at - now) / HALF_LIFE) for at, amount in one.had) for one in order]
        for earlier, later in itertools.pairwise(had):
            assert earlier <= later * 1.001 + 1e-9


def test_among_equals_who_came_first_is_first() -> None:
    queue: FairQueue[Waiting] = FairQueue(lambda: 0.0, ())
    for name in range(5):
        queue.push(Waiting(name))
    assert queue.first.name == 0
    assert [queue.pop().name for _ in range(5)] == list(range(5))
    assert not queue


@given(takes=st.lists(st.tuples(st.floats(0, 5), st.floats(0, 3000)), max_size=50))
def test_a_bucket_gives_no_more_than_its_rate_and_one_burst(takes: list[tuple[float, float]]) -> None:
    now, given_out, last = 0.0, 0.0, 0.0
    bucket = TokenBucket(0.5, lambda: now)
    for pause, amount in takes:
        now += pause
        if bucket.wait <= 0:
            assert given_out - last <= 1000 * (now + 0.5) + 1e-6
            bucket.take(amount, 1000)
            given_out, last = given_out + amount, amount


def test_an_idle_bucket_saves_one_burst_only() -> None:
    now = 100.0
    bucket = TokenBucket(0.5, lambda: now)
    now = 1000.0
    bucket.take(500, 1000)
    assert bucket.wait <= 0
    bucket.take(500, 1000)
    assert bucket.wait == pytest.approx(0.5)


@given(sizes=st.lists(st.integers(0, 20_000), min_size=1, max_size=300))
def test_last_lines_that_are_held_back_have_a_limit_in_bytes(sizes: list[int]) -> None:
    governor = Governor(Settings(log_rate=1, log_size_limit=65536))
    lines = [f"{number} " + "x" * size for number, size in enumerate([1] * 10 + sizes)]
    shown = [one.text for text in lines for one in governor.admit(0, "info", text) if not one.notice]
    end = [one.text for one in governor.finish() if not one.notice]
    assert end == lines[len(lines) - len(end) :]
    assert sum(map(size_of, end)) <= HELD_BYTES or len(end) <= FEWEST_HELD
    assert len(shown) + len(end) + governor.skipped == len(lines)
    if governor.skipped:
        left_out = lines[len(lines) - len(end) - 1]
        assert len(end) == 200 or sum(map(size_of, [left_out, *end])) > HELD_BYTES
