"""What goes wrong with pod logs: nothing is lost that can still be read, and nothing fails."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from asyncrun.model.errors import AccessDenied, CredentialsExpired, Expired, NotFound, RequestRefused, Unavailable
from asyncrun.model.settings import Settings
from tests.triggers.logs.fakes import MemorySink
from tests.triggers.pods.followed_run import Run, written
from tests.triggers.pods.log_lines import Cut, now, stamp_at
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("500: dial tcp: connection refused"),
        Expired("410"),
        CredentialsExpired("401"),
        NotFound("the server could not find the requested resource", code="NotFound"),
        RequestRefused("container main is waiting to start", code="BadRequest"),
    ],
)
async def test_refusals_for_a_while_lose_nothing(error: Exception) -> None:
    server = LogServer(refuse=lambda: error if 3 < now() < 12 else None, cut=lambda number: Cut(after=4))
    async with Run(server) as run:
        server.start()
        lines = await written(server, 40)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_an_outage_is_said_once_with_its_reason() -> None:
    server = LogServer(
        refuse=lambda: Unavailable("connection refused") if now() > 1 else None, cut=lambda n: Cut(after=2)
    )
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(300)
    assert run.said == [("info", "The log of this pod cannot be read now; asyncrun goes on trying: connection refused")]
    assert 15 < len(server.opened) < 40


async def test_a_missing_permission_is_said_once_and_the_run_ends_without_a_log() -> None:
    server = LogServer("main", "proxy", refuse=lambda: AccessDenied('pods "etl" is forbidden', code="Forbidden"))
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(600)
        server.finish()
        began = now()
        drained = await run.end()
        assert now() - began < 1
    assert not drained.complete
    assert drained.unreadable == ("main", "proxy")
    assert run.said == [
        (
            "warning",
            "The log of this pod cannot be read, and the run goes on without it. Reading takes the permission to get "
            'pods/log in namespace jobs: pods "etl" is forbidden',
        )
    ]
    assert len(server.opened) < 30


async def test_a_permission_that_is_given_later_brings_the_log() -> None:
    server = LogServer(refuse=lambda: AccessDenied("forbidden") if now() < 100 else None)
    async with Run(server) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(200)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == ["one"]


async def test_a_dead_connection_is_replaced() -> None:
    settings = dataclasses.replace(Settings(), pod_log_silence=20)
    server = LogServer()
    async with Run(server, settings=settings) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(100)
        assert 4 <= len(server.opened) <= 6
        server.write("two")
        await asyncio.sleep(1)
        assert run.lines == ["one", "two"]
    assert run.said == []


async def test_a_full_run_log_stops_the_reading_and_nothing_is_lost() -> None:
    settings = dataclasses.replace(Settings(), log_rate=10**6, log_size_limit=2**30)
    sink = MemorySink(cost=8192, speed=300_000)
    server = LogServer(chunk_size=lambda: 16384)
    async with Run(server, settings=settings, sink=sink) as run:
        server.start()
        for number in range(60_000):
            server.write(f"line {number:06} " + "x" * 90, stamp=stamp_at(now() + number / 10_000))
        server.finish()
        await asyncio.sleep(2)
        assert server.sent < 4_000_000  # of 8.4 MB
        highest = 0
        drain = asyncio.create_task(run.end())
        while not drain.done():
            highest = max(highest, run.run_log._queued)
            await asyncio.sleep(0.1)
        assert (await drain).complete
        assert now() > 20
    assert highest < (1 << 20) + 3 * 16384
    assert [line[:11] for line in run.lines] == [f"line {number:06}" for number in range(60_000)]


async def test_closing_ends_every_connection() -> None:
    server = LogServer("main", "proxy")
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(1)
        assert server.open_now == 2
        await run.close()
        assert server.open_now == 0
        server.write("too late")
        await asyncio.sleep(10)
    assert run.lines == []
