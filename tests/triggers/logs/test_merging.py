"""A run's containers in step where a trigger that takes over reads their logs again: delayed, and never changed."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.errors import AccessDenied
from asyncrun.model.logs import LogLine
from asyncrun.triggers.logs.merging import Merging
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink
from tests.triggers.logs.runs import Run, clock, denied

NAMES = ("main", "helper", "proxy")
UNTIL = 1_000

times = st.lists(st.integers(0, 1_500), max_size=60).map(sorted)
chunks = st.lists(st.tuples(st.sampled_from(NAMES), st.integers(1, 20), st.booleans()), max_size=60)


def line(container: str, number: int, at: int) -> LogLine:
    return LogLine(at, container, "info", f"{number}")


@given(written=st.fixed_dictionaries(dict.fromkeys(NAMES, times)), reads=chunks)
def test_every_line_comes_once_in_its_containers_order_and_old_ones_by_time(
    written: dict[str, list[int]], reads: list[tuple[str, int, bool]]
) -> None:
    lines = {name: [line(name, number, at) for number, at in enumerate(at)] for name, at in written.items()}
    left = {name: list(these) for name, these in lines.items()}
    merging = Merging(NAMES, UNTIL, 0.0)
    shown: list[LogLine] = []
    for name, count, to_its_end in [*reads, *((name, 100, True) for name in NAMES)]:
        some, left[name] = left[name][:count], left[name][count:]
        shown += [*merging.add(name, some, 0.0), *merging.ready()]
        if to_its_end and not left[name]:
            merging.read(name, UNTIL, 0.0)
    merging.end()
    while ready := merging.ready():
        shown += ready
    assert merging.over
    for name in NAMES:
        assert [one for one in shown if one.container == name] == lines[name]
    old = [one.time_ms for one in shown if one.time_ms < UNTIL]
    assert old == sorted(old)


def test_what_is_new_waits_for_nobody() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    new = [line("main", 0, UNTIL)]
    assert merging.add("main", new, 0.0) == new
    old = [line("helper", 0, UNTIL - 1), line("helper", 1, UNTIL + 5)]
    assert [*merging.add("helper", old, 0.0), *merging.ready()] == []  # main may have written before it
    merging.read("main", UNTIL, 0.0)
    merging.read("helper", UNTIL + 9, 0.0)
    assert merging.ready() == old
    assert merging.over


def test_one_container_is_never_held() -> None:
    merging = Merging(("main",), UNTIL, 0.0)
    assert merging.over
    assert merging.add("main", old := [line("main", 0, 0)], 0.0) == old


def test_nobody_waits_for_ever() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.add("main", [line("main", 0, 10)], 1.0)
    merging.read("helper", 5, 2.0)
    for now in range(3, 23):
        merging.read("main", 10 + now, now)
        assert merging.ready() == []
    merging.read("main", 40, 22.5)  # 20 s after the helper got on last
    assert [one.text for one in merging.ready()] == ["0"]
    assert merging.over


def test_a_time_without_any_reading_is_not_the_fault_of_the_one_that_is_behind() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.read("helper", 5, 1.0)
    merging.add("main", [line("main", 0, 10)], 2.0)
    merging.read("main", 11, 500.0)
    assert merging.ready() == []
    merging.read("helper", 10, 900.0)
    assert [one.text for one in merging.ready()] == ["0"]
    assert not merging.over


def many(container: str, at: int, kilobytes: int) -> list[LogLine]:
    return [LogLine(at, container, "info", "x" * 1000) for _ in range(kilobytes)]


def test_little_is_held() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.add("main", many("main", 5, 260), 0.0)
    assert not merging.is_full("main")
    merging.add("main", many("main", 5, 10), 0.0)
    assert merging.is_full("main")
    assert not merging.is_full("helper")
    merging.read("helper", 5, 0.0)
    assert len(merging.ready()) == 270
    assert not merging.is_full("main")


def test_the_one_that_is_behind_may_be_read_on_however_much_is_held() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.add("main", many("main", 5, 400), 0.0)
    merging.add("helper", many("helper", 4, 400), 0.0)
    assert (merging.is_full("main"), merging.is_full("helper")) == (True, False)


def test_what_is_ready_comes_in_steps() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.add("main", [line("main", number, number) for number in range(900)], 0.0)
    merging.add("helper", [line("helper", number, number) for number in range(900)], 0.0)
    assert [len(merging.ready()) for _ in range(3)] == [1000, 800, 0]


@pytest.mark.looptime
async def test_a_log_that_is_read_again_has_its_containers_in_step() -> None:
    """CloudWatch's answers have all lines of the one and then all of the other."""
    await asyncio.sleep(3_000)
    api = CloudWatch(clock)
    for number in range(3_000):
        for name in ("main", "helper"):
            api.put(name, START + number, f"{name} {number}")
    with Run(api, "main", "helper") as run:
        await asyncio.sleep(60)
        drained = await run.end(START + 3_000)
    assert drained.complete
    for name in ("main", "helper"):
        texts = [record.text for record in run.sink.records if record.logger == name]
        assert texts == [f"[{name}] {name} {number}" for number in range(3_000)]
    order = [record.stamp_ms for record in run.sink.records]
    assert max(earlier - later for earlier, later in itertools.pairwise(order)) <= 1_000


@pytest.mark.looptime
async def test_a_container_that_wrote_nothing_holds_the_others_up_for_moments_only() -> None:
    await asyncio.sleep(100)
    api = CloudWatch(clock)
    for number in range(100):
        api.put("main", START + number, f"{number}")
    with Run(api, "main", "helper") as run:
        await asyncio.sleep(5)
        assert len(run.sink.lines) == 100
        await run.end(START + 100)


@pytest.mark.looptime
async def test_a_container_whose_log_is_refused_holds_the_others_up_for_a_while_only() -> None:
    await asyncio.sleep(100)
    api = CloudWatch(clock, refuse=lambda _, streams: AccessDenied("no") if "helper" in streams else None)
    for number in range(100):
        api.put("main", START + number, f"{number}")
    with Run(api, "main", "helper") as run:
        await asyncio.sleep(40)
        assert len(run.sink.lines) == 100


async def put_side_by_side(api: CloudWatch, names: tuple[str, ...], lines: int, text: str = "") -> None:
    """All is written and readable now."""
    await asyncio.sleep(lines)
    for number in range(lines):
        for name in names:
            api.put(name, START + number, f"{name} {number} {text}")


def longest_way_back(run: Run) -> int:
    """By how many milliseconds a record is older than one before it."""
    newest, most = 0, 0
    for record in run.sink.records:
        newest = max(newest, record.stamp_ms)
        most = max(most, newest - record.stamp_ms)
    return most


@pytest.mark.looptime
async def test_containers_that_all_have_much_are_read_to_their_ends() -> None:
    """More of each is ready than is shown in one step, and more is held than may be read before the others are."""
    api = CloudWatch(clock, page=5_000, refuse=denied("filter"))
    await put_side_by_side(api, NAMES, 10_000, "x" * 100)
    with Run(api, *NAMES) as run:
        await asyncio.sleep(120)
        assert len(run.sink.lines) == 3 * 10_000
        assert (await run.end(START + 10_000)).complete


@pytest.mark.looptime
async def test_containers_stay_in_step_where_airflow_takes_their_records_slowly() -> None:
    api = CloudWatch(clock, page=5_000)
    await put_side_by_side(api, ("main", "helper"), 6_000, "x" * 200)
    with Run(api, "main", "helper", sink=MemorySink(cost=500, speed=20_000)) as run:  # five minutes for all
        await asyncio.sleep(330)
        assert len(run.sink.lines) == 12_000
        assert longest_way_back(run) <= 1_000
