"""From where a stream is read: no delay of its driver, of CloudWatch, or of ours costs a line. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, replace

import looptime
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncrun.model.errors import Throttled, Unavailable
from asyncrun.triggers.logs.cloudwatch import reader_for
from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import SETTINGS, STREAM, Run, clock


@dataclass(frozen=True)
class Chunk:
    """
    Lines that the driver sends together.

    :param pause: seconds in which the container wrote nothing before.
    :param step: seconds between two lines.
    :param held: seconds for which the driver could not send them.
    :param hidden: seconds from being taken in to being shown; below ``logs_overlap``.
    """

    lines: int
    pause: float
    step: float
    held: float
    hidden: float


CHUNKS = st.lists(
    st.builds(
        Chunk,
        lines=st.integers(1, 12),
        pause=st.sampled_from([0.0, 0.0, 0.3, 5.0, 30.0, 90.0]),
        step=st.sampled_from([0.0, 0.001, 0.3, 1.0]),
        held=st.sampled_from([0.0, 0.0, 0.0, 4.0, 30.0, 120.0, 600.0]),
        hidden=st.sampled_from([0.0, 0.0, 0.2, 3.0, 12.0]),
    ),
    min_size=1,
    max_size=12,
)


@dataclass(frozen=True)
class World:
    """
    :param trouble: (from, until, whether it is throttling) in seconds, for every call.
    :param busy: whether there is a stream in the group that writes all the time.
    :param restarts: seconds from one start of a reader to the next.
    """

    page: int
    trouble: list[tuple[float, float, bool]]
    busy: bool
    restarts: list[float]


WORLDS = st.builds(
    World,
    page=st.sampled_from([7, 100, 10_000]),
    trouble=st.lists(st.tuples(st.floats(0, 400), st.floats(1, 60), st.booleans()), max_size=3),
    busy=st.booleans(),
    restarts=st.lists(st.floats(1, 300), max_size=2),
)


def write(api: CloudWatch, chunks: list[Chunk]) -> tuple[list[str], float]:
    """The container's lines in its order, and when the last one is shown."""
    names: list[str] = []
    at, taken_in, shown = START, START, START
    for chunk in chunks:
        at += chunk.pause
        times = [at + chunk.step * n for n in range(chunk.lines)]
        at = times[-1]
        taken_in = max(taken_in, at + 0.2 + chunk.held)  # the driver keeps the order
        shown = max(shown, taken_in + chunk.hidden)
        for time in times:
            names.append(f"line {len(names)}")
            api.put(STREAM, time, names[-1], taken_in=taken_in, visible=taken_in + chunk.hidden)
    return names, shown


async def followed(chunks: list[Chunk], world: World) -> tuple[list[str], list[Run]]:
    """All that the container wrote, and what each reader's task log says."""
    api = CloudWatch(clock, page=world.page)
    lines, shown = write(api, chunks)
    end = max(shown, START + sum(world.restarts)) + 1
    if world.busy:
        for n in range(int(min(end - START, 300) * 4)):
            api.put("busy", START + n / 4, f"{n}")

    def refuse(operation: str, streams: Sequence[str]) -> Exception | None:
        now = clock() - START
        for first, length, throttled in world.trouble:
            if first <= now < first + length:
                return Throttled("slow down") if throttled else Unavailable("503")
        return None

    api.refuse = refuse
    runs: list[Run] = []
    beside = Run(api, "busy") if world.busy else None
    for lasts in world.restarts:
        with Run(api, STREAM) as run:
            runs.append(run)
            await asyncio.sleep(lasts)
    runs.append(Run(api, STREAM))
    await asyncio.sleep(max(0.0, end - clock()))
    assert (await runs[-1].end(end - 1)).complete
    if beside is not None:
        beside.close()
    return lines, runs


def follow(chunks: list[Chunk], world: World) -> tuple[list[str], list[Run]]:
    """``followed``, in a loop of its own."""
    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        return runner.run(followed(chunks, world))


SLOW = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow])


@SLOW
@given(CHUNKS, WORLDS)
def test_every_line_shows_once_in_the_streams_order_however_late_the_driver_sends_it(
    chunks: list[Chunk], world: World
) -> None:
    chunks = [replace(chunk, hidden=0.0) for chunk in chunks]
    lines, runs = follow(chunks, world)
    assert runs[-1].sink.lines == lines
    for run in runs[:-1]:
        assert run.sink.lines == lines[: len(run.sink.lines)]
    known = {record.stamp_ms: record for record in runs[-1].sink.records}
    for run in runs[:-1]:
        assert all(known[record.stamp_ms] == record for record in run.sink.records), "a replay gives equal records"


@SLOW
@given(CHUNKS, WORLDS)
def test_every_line_shows_once_in_whatever_order_cloudwatch_shows_them(chunks: list[Chunk], world: World) -> None:
    lines, runs = follow(chunks, world)
    assert sorted(runs[-1].sink.lines) == sorted(lines)
    for run in runs:
        assert len(set(run.sink.lines)) == len(run.sink.lines)


@pytest.mark.looptime
@pytest.mark.parametrize("held", [10, 20, 30, 60, 120, 600])
@pytest.mark.parametrize("others", [0, 1, 12])
async def test_lines_that_the_driver_kept_show_in_order(held: int, others: int) -> None:
    """Its PutLogEvents was throttled; the run goes on. Beside it others write all the time."""
    api = CloudWatch(clock)
    for n in range(held + 200):
        shown = 100 + held + 1 if 100 <= n < 100 + held else n + 1
        api.put(STREAM, START + n, f"{n}", visible=START + shown)
        for other in range(others):
            api.put(f"other/{other}", START + n, "x")
    runs = [Run(api, f"other/{n}") for n in range(others)]
    with Run(api) as run:
        await asyncio.sleep(100 + held + 5)
        assert len(run.sink.lines) >= 100 + held, "not only at the end"
        await asyncio.sleep(100)
        assert run.sink.lines == [f"{n}" for n in range(len(run.sink.lines))]
        await run.end(clock())
    assert run.said == []
    for other in runs:
        other.close()


@pytest.mark.looptime
@pytest.mark.parametrize("late", [30, 60, 300, 590])
async def test_single_lines_up_to_ten_minutes_late_show_while_the_run_goes_on_and_that_is_said(late: int) -> None:
    """CloudWatch keeps no order either: what its driver never does, and what no position can foresee."""
    api = CloudWatch(clock)
    for n in range(1700):
        api.put(STREAM, START + n, f"{n}", visible=START + n + (late if n in (200, 333, 512) else 1))
    with Run(api) as run:
        await asyncio.sleep(1700)
        assert {"200", "333", "512"} <= set(run.sink.lines)
        await run.end(clock())
    assert sorted(run.sink.lines, key=int) == [f"{n}" for n in range(1700)]
    ((level, text),) = run.said
    assert level == "warning"
    assert text == (
        f"CloudWatch showed lines of log stream {STREAM} long after later ones (the first was taken in {late} s after "
        "it was written): they show here late, and if others came later still, those are missing here"
    )


def busy_streams(api: CloudWatch, seconds: int) -> list[str]:
    """Twenty streams that write a line each second."""
    names = [f"busy/{n}" for n in range(20)]
    for n in range(seconds):
        for name in names:
            api.put(name, START + n, f"{n}")
    return names


@pytest.mark.looptime
async def test_a_stream_that_pauses_does_not_make_busy_ones_be_read_again_and_shows_soon_when_it_goes_on() -> None:
    api = CloudWatch(clock)
    names = busy_streams(api, 1000)
    for n in (0, 300, 301, 900):
        api.put(STREAM, START + n, f"{n}")
    runs = [Run(api, name) for name in names]
    with Run(api) as run:
        await asyncio.sleep(304)
        assert run.sink.lines == ["0", "300", "301"]
        await asyncio.sleep(600)
        assert run.sink.lines == ["0", "300", "301", "900"]
        statistics = reader_for(api, "/ecs/etl", SETTINGS, clock=clock).statistics()
    for one in runs:
        assert one.sink.lines[:900] == [f"{n}" for n in range(900)]
        one.close()
    assert statistics.calls < 904 * 1.2
    assert statistics.repeated < 13 * statistics.events


@pytest.mark.looptime
async def test_a_quiet_stream_is_read_to_its_own_end_within_minutes_though_nothing_new_shows() -> None:
    """The driver sends old lines, and then there is nothing new that would show that the stream goes on."""
    api = CloudWatch(clock)
    names = busy_streams(api, 500)
    api.put(STREAM, START, "first")
    api.put(STREAM, START + 50, "kept", visible=START + 350)
    runs = [Run(api, name) for name in names]
    with Run(api) as run:
        await asyncio.sleep(420)
        assert run.sink.lines == ["first", "kept"]
    for one in runs:
        one.close()


@pytest.mark.looptime
async def test_the_last_line_is_the_last_that_was_written() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START + 1, "result", visible=START + 3)
    api.put(STREAM, START, "shown late", visible=START + 8)
    with Run(api) as run:
        await asyncio.sleep(10)
        await run.end(clock())
    assert run.sink.lines == ["result", "shown late"]
    assert run.log.last_line("main") == "result"
