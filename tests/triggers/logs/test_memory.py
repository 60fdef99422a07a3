"""Container output that was read and waits has a limit, whatever was written: through the real reader, virtual time."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace

import pytest

from asyncrun.triggers.logs.emitter import emitter
from tests.triggers.logs.fakes import START, CloudWatch, Pipe, PipedSink
from tests.triggers.logs.region import Region, Writer
from tests.triggers.logs.runs import SETTINGS, Run, clock, denied

pytestmark = [pytest.mark.looptime]

MEMORY = 2 * 2**20
SLOWEST_PIPE = 65 * 1024  # bytes/s, facts/airflow.md 1
SMALL_PAGE = 100 * (300 + 128)


async def highest(runs: int, seconds: int) -> int:
    """The most that waited, with what it costs; each run may have one small page more than the limit."""
    most = 0
    for _ in range(seconds):
        await asyncio.sleep(1)
        most = max(most, emitter().statistics().queued_bytes)
    assert most > MEMORY / 2
    return most - runs * SMALL_PAGE


async def test_many_long_logs_that_are_read_again_stay_within_the_limit() -> None:
    await asyncio.sleep(20_000)
    api, pipe = Region(clock), Pipe(SLOWEST_PIPE)
    names = [f"p/main/{number}" for number in range(40)]
    for name in names:
        Writer(rate=5, size=200).write(api, "/ecs/etl", name, 20_000 - 1_605, 20_000 - 5, random.Random(name))
    settings = replace(SETTINGS, log_memory=MEMORY)
    runs = [Run(api, name, settings=settings, sink=PipedSink(pipe)) for name in names]
    assert await highest(len(runs), 150) <= MEMORY
    assert all(run.sink.records for run in runs), "none is forgotten"
    for run in runs:
        run.close()
    await asyncio.sleep(1)


async def test_logs_that_are_read_one_by_one_stay_within_the_limit() -> None:
    await asyncio.sleep(1_000)
    api, pipe = CloudWatch(clock, refuse=denied("filter")), Pipe(SLOWEST_PIPE)
    names = [f"p/main/{number}" for number in range(20)]
    for number in range(1_000):
        for name in names:
            api.put(name, START + number, "x" * 300)
    settings = replace(SETTINGS, log_memory=MEMORY)
    runs = [Run(api, name, settings=settings, sink=PipedSink(pipe)) for name in names]
    assert await highest(len(runs), 60) <= MEMORY
    for run in runs:
        run.close()
    await asyncio.sleep(1)
