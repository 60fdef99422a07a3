"""
1,000 streams within two FilterLogEvents calls a second, under virtual time: what that costs each line.

The bounds are what two calls a second allow: a call is for 100 streams of one group at most, so a round of ten batches
takes 5 s, and one of fifty groups 25 s.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import asynccontextmanager

import pytest

from asyncrun.triggers.logs.cloudwatch import Following, reader_for
from asyncrun.triggers.logs.source import Drained
from tests.triggers.logs.fakes import START
from tests.triggers.logs.region import Reader, Region, Writer, share
from tests.triggers.logs.runs import SETTINGS, Run, clock

pytestmark = [pytest.mark.looptime]

ONE_GROUP = [("/ecs/all", f"p/main/{n:04}") for n in range(1000)]
FIFTY_GROUPS = [(f"/ecs/{n % 50:02}", f"p/main/{n:04}") for n in range(1000)]
SINCE_MS = int((START - 60) * 1000)


def region(names: Iterable[tuple[str, str]], writer: Callable[[str], Writer], seconds: float) -> Region:
    """Streams that begin within five seconds and write for that long."""
    chance = random.Random(7)
    made = Region(clock)
    for group, name in names:
        writer(group).write(made, group, name, 5 * chance.random(), seconds, chance)
    return made


@asynccontextmanager
async def followed(made: Region) -> AsyncIterator[dict[Reader, Following]]:
    """All its streams; their containers are seen to run at 6 s."""
    readers = {
        reader: reader_for(made, group, SETTINGS, clock=clock).follow(name, reader, SINCE_MS, soon=False)
        for group, name in made.streams
        for reader in [Reader(made, group, name)]
    }
    await asyncio.sleep(6)
    for following in readers.values():
        following.hurry()
    yield readers
    for following in readers.values():
        following.close()


def lags(readers: Iterable[Reader], first: float, last: float) -> list[float]:
    """Of the lines that could be read from then to then, seconds since ``START``."""
    return [lag for one in readers for at, lag in one.lags if START + first <= at <= START + last]


def assert_complete(readers: Iterable[Reader]) -> None:
    assert [one.written.events[0].stream for one in readers if one.lost or one.doubled] == []


def assert_within_budget(made: Region) -> None:
    for seconds in (1, 5, 30):
        assert made.most_in(seconds) <= 2 * seconds + 2  # the bucket holds two


async def steady(names: Iterable[tuple[str, str]], seconds: float) -> list[Reader]:
    """All write a line a second for so long; what was read a fifth of that time later."""
    made = region(names, lambda _: Writer(), seconds)
    async with followed(made) as readers:
        await asyncio.sleep(seconds * 1.2)
    assert_complete(readers)
    assert all(one.order == sorted(one.order) for one in readers)
    assert_within_budget(made)
    return list(readers)


async def test_a_thousand_streams_of_one_group_are_read_every_five_seconds() -> None:
    readers = await steady(ONE_GROUP, 80)
    seen = lags(readers, 20, 75)
    assert share(seen, 0.5) <= 3.0
    assert share(seen, 0.99) <= 5.5
    assert max(seen) <= 6.0
    assert max(lags(readers, 0, 20)) <= 12.0, "they are found soon"


async def test_fifty_groups_of_twenty_are_each_read_every_25_seconds() -> None:
    readers = await steady(FIFTY_GROUPS, 150)
    seen = lags(readers, 60, 145)
    assert share(seen, 0.5) <= 13.5
    assert share(seen, 0.99) <= 25.5
    assert max(seen) <= 27.0


async def test_groups_that_write_are_read_before_quiet_ones_and_those_are_not_forgotten() -> None:
    busy = {f"/ecs/{n:02}" for n in range(5)}
    made = region(FIFTY_GROUPS, lambda group: Writer() if group in busy else Writer(rate=1 / 60), 240)
    async with followed(made) as readers:
        await asyncio.sleep(280)
    assert_complete(readers)
    assert_within_budget(made)
    loud = [one for one in readers if len(one.written.events) > 10]
    assert len(loud) == 100
    assert share(lags(loud, 140, 235), 0.99) <= 9.0
    assert share(lags(set(readers) - set(loud), 140, 235), 0.99) <= 40.0


async def test_quiet_streams_of_a_group_leave_the_calls_to_those_that_write() -> None:
    made = Region(clock)
    chance = random.Random(3)
    for n, (group, name) in enumerate(ONE_GROUP):
        Writer(rate=1 if n % 10 == 0 else 1 / 100).write(made, group, name, 5 * chance.random(), 200, chance)
    async with followed(made) as readers:
        await asyncio.sleep(220)
    assert_complete(readers)
    loud = [one for one in readers if len(one.written.events) > 10]
    assert len(loud) == 100
    assert share(lags(loud, 60, 195), 0.95) <= 5.0
    assert share(lags(set(readers) - set(loud), 60, 195), 0.95) <= 10.0


@pytest.mark.parametrize("names", [ONE_GROUP, FIFTY_GROUPS], ids=["one group", "fifty groups"])
async def test_lines_that_cloudwatch_shows_late_within_the_overlap_appear_once(names: list[tuple[str, str]]) -> None:
    made = region(names, lambda _: Writer(late=0.1, late_by=13), 120)
    async with followed(made) as readers:
        await asyncio.sleep(190)
    assert_complete(readers)
    assert_within_budget(made)
    assert [text for one in readers for text in one.said] == []
    assert any(one.order != sorted(one.order) for one in readers), "some came after later ones"


@pytest.mark.parametrize(
    ("names", "longest"), [(ONE_GROUP, 22.0), (FIFTY_GROUPS, 40.0)], ids=["one group", "fifty groups"]
)
async def test_a_thousand_runs_that_end_together_are_read_to_their_ends(
    names: list[tuple[str, str]], longest: float
) -> None:
    """A quiet period of 12 s, and then one call for each hundred of a group."""
    made = region(names, lambda _: Writer(rate=0.2), 60)
    runs = [Run(made, name, group=group) for group, name in names]
    await asyncio.sleep(60)
    ended = await asyncio.gather(*(drained(run) for run in runs))
    assert_within_budget(made)
    assert all(one.complete for one in ended)
    assert max(one.waited for one in ended) <= longest
    for run, (group, name) in zip(runs, names, strict=True):
        assert run.sink.lines == [event.message for event in made.streams[group, name].events]
        assert run.said == []


async def drained(run: Run) -> Drained:
    run.source.started()
    return await run.end(START + 60)
