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
from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import Run, clock

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
        shown += merging.add(name, some, 0.0)
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
    assert merging.add("helper", old, 0.0) == []  # main may have written before it
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
    merging.read("helper", 5, 1.0)
    assert merging.add("main", [line("main", 0, 10)], 2.0) == []
    assert not merging.is_full("main", 20.0)
    assert merging.ready() == []
    merging.is_full("main", 22.5)  # 20 s after the helper got on last... main did at 2.0
    assert [one.text for one in merging.ready()] == ["0"]


def test_little_is_held() -> None:
    merging = Merging(("main", "helper"), UNTIL, 0.0)
    merging.add("main", [LogLine(5, "main", "info", "x" * 1000) for _ in range(260)], 0.0)
    assert not merging.is_full("main", 0.0)
    merging.add("main", [LogLine(5, "main", "info", "x" * 1000) for _ in range(10)], 0.0)
    assert merging.is_full("main", 0.0)
    assert not merging.is_full("helper", 0.0)


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
