"""Streams and groups that do not exist, yet or at all, under virtual time."""

from __future__ import annotations

import asyncio
import random

import pytest

from asyncrun.model.errors import NotFound
from asyncrun.triggers.logs.cloudwatch import reader_for
from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import SETTINGS, Run, clock

pytestmark = [pytest.mark.looptime]


async def test_a_stream_that_never_appears_is_said_and_not_waited_for_long() -> None:
    with Run(CloudWatch(clock)) as run:
        await asyncio.sleep(100)
        drained = await run.end(clock())
    assert drained.complete
    assert drained.never_appeared == ("main",)
    assert drained.waited <= SETTINGS.logs_quiet_period + 5
    assert run.said == [
        (
            "info",
            "No log of container main: its stream never appeared, most likely because it wrote nothing or never ran "
            "(CloudWatch log group /ecs/etl, stream p/main/1, region eu-central-1)",
        )
    ]


async def test_missing_streams_hold_up_no_others_and_cost_few_calls() -> None:
    api = CloudWatch(clock)
    names = [f"s{i:03}" for i in range(250)]
    present = set(names[::7])
    for name in present:
        for i in range(60):
            api.put(name, START + i, f"{name} {i}")
    runs = [Run(api, name) for name in names]
    try:
        await asyncio.sleep(30)
        calls = len(api.calls)
        assert calls < 30 / 0.05 * 0.75  # most of the time nothing was asked
        late = {run.source._parts[0].stream.stream: len(run.sink.lines) for run in runs}
        assert min(late[name] for name in present) >= 15
        await asyncio.sleep(40)
        await asyncio.gather(*(run.end(START + 60) for run in runs))
    finally:
        for run in runs:
            run.close()
    for name, run in zip(names, runs, strict=True):
        assert run.sink.lines == ([f"{name} {i}" for i in range(60)] if name in present else [])


async def test_a_stream_that_vanishes_does_not_stop_the_others() -> None:
    api = CloudWatch(clock)
    gone = lambda operation, streams: (  # noqa: E731
        NotFound("The specified log stream does not exist.") if "b" in streams and clock() > START + 10 else None
    )
    api.refuse = gone
    for i in range(30):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Run(api, "a") as a, Run(api, "b") as b:
        await asyncio.sleep(40)
    assert a.sink.lines == [str(i) for i in range(30)]
    assert len(b.sink.lines) >= 8


async def test_a_missing_log_group_is_said_once() -> None:
    api = CloudWatch(clock, refuse=lambda *_: NotFound("The specified log group does not exist."))
    with Run(api, "a", "b") as run:
        await asyncio.sleep(60)
        drained = await run.end(clock())
    assert [text for level, text in run.said if level == "warning"] == [
        "The log group /ecs/etl does not exist in eu-central-1: its lines will show here once it does. Check "
        "awslogs-group and awslogs-region of the task definition (The specified log group does not exist.)"
    ]
    assert drained.never_appeared == ("a", "b")


@pytest.mark.parametrize("first", [5.2, 8.2, 30.2])
@pytest.mark.parametrize(("spread", "soon"), [(0.0, 3.0), (2.0, 5.0)])
async def test_500_streams_that_appear_together_are_all_read_within_seconds(
    first: float, spread: float, soon: float
) -> None:
    """At two calls a second, of which reading those that are found already takes its share."""
    api = CloudWatch(clock, gap=0.5)
    chance = random.Random(1)
    names = [f"s{i:03}" for i in range(500)]
    for name in names:
        appears = START + first + chance.random() * spread
        for i in range(3):
            api.put(name, appears + 5 * i, f"{i}")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(first - 5)
    for run in runs:
        run.source.started()
    await asyncio.sleep(5 + spread + soon)
    found = reader_for(api, "/ecs/etl", SETTINGS, clock=clock).statistics().found
    for run in runs:
        run.close()
    assert found == 500


async def test_a_stream_that_never_appears_does_not_keep_those_of_its_group_from_being_read() -> None:
    api = CloudWatch(clock, gap=0.5)
    names = [f"s{i:03}" for i in range(200)]
    for name in names:
        if name != "s042":
            api.put(name, START + 5, "here")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(30)
    missing = [name for name, run in zip(names, runs, strict=True) if not run.sink.lines]
    for run in runs:
        run.close()
    assert missing == ["s042"]


async def test_newcomers_are_not_held_up_by_many_streams_that_never_appear() -> None:
    api = CloudWatch(clock, gap=0.5)  # two calls a second, as the call budget gives
    silent = [Run(api, f"silent/{n}") for n in range(100)]
    await asyncio.sleep(600)  # by then each was missing often enough
    waits: list[float] = []
    for burst in range(4):
        names = [f"new/{burst}/{n}" for n in range(10)]
        runs = [Run(api, name) for name in names]
        await asyncio.sleep(15)
        for run in runs:
            run.source.started()
        began = clock() + 5  # the awslogs driver's first flush
        for n, name in enumerate(names):
            api.put(name, began + n / 5, "hello")
        await asyncio.sleep(30)
        waits += [api.first_read.get(name, float("inf")) - (began + n / 5) for n, name in enumerate(names)]
        for run in runs:
            run.close()
    assert max(waits) <= 4
    api.put("silent/7", clock(), "at last")
    late = clock()
    await asyncio.sleep(200)
    assert api.first_read["silent/7"] - late <= 180, "all of them are still looked for, in turn"
    for run in silent:
        run.close()
