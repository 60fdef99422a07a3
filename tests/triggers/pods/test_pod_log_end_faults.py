"""What goes wrong when a run has ended: how long its log is waited for, and what is said then."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from asyncrun.clients.budget import TokenBucket
from asyncrun.model.errors import Unavailable
from asyncrun.model.settings import Settings
from tests.triggers.pods.followed_run import Run
from tests.triggers.pods.log_lines import Cut, now
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


async def test_an_error_in_place_of_a_log_is_said_and_is_no_line() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start().in_place = b"failed to try resolving symlinks in path /var/log/pods: no such file"
        server.finish()
        await asyncio.sleep(1)
        assert not (await run.end()).complete
    assert run.lines == []
    assert run.said == [
        (
            "warning",
            "The log of container main may be incomplete: in place of it came: failed to try resolving symlinks "
            "in path /var/log/pods: no such file",
        )
    ]


async def test_a_container_that_runs_on_is_cut_at_the_limit_and_said() -> None:
    server = LogServer("main", "proxy")
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        server.write("working", "main")
        for number in range(300):
            server.write("beat", "proxy", at=float(number))
        await asyncio.sleep(2)
        server.end("main")
        await asyncio.sleep(0.2)
        began = now()
        drained = await run.end()
        assert 59 < now() - began < 62
        assert server.open_now == 0
    assert not drained.complete
    assert run.said == [
        (
            "warning",
            "The log of container proxy may be incomplete here: it was still running 60 s after the end of the run. "
            "The full log, while the pod is there: kubectl logs -n jobs etl -c proxy --timestamps",
        )
    ]


async def test_an_api_server_that_does_not_answer_is_waited_for_at_the_end() -> None:
    server = LogServer(cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1.5)
        server.write("one")
        server.refuse = lambda: Unavailable("refused") if now() < 400 else None
        server.finish()
        await asyncio.sleep(2)
        drained = await run.end()
    assert drained.complete
    assert run.lines == ["one"]
    assert 400 < now() < 430


async def test_but_not_for_ever() -> None:
    server = LogServer(refuse=lambda: Unavailable("refused"))
    async with Run(server) as run:
        server.start()
        server.finish()
        await asyncio.sleep(2)
        drained = await run.end()
        assert 650 < drained.waited < 700
    assert not drained.complete
    assert (
        "warning",
        f"The log of container main may be incomplete here: for {drained.waited:.0f} s after the end the API server "
        "did not answer. The full log, while the pod is there: kubectl logs -n jobs etl -c main --timestamps",
    ) in run.said


async def test_waiting_for_our_own_call_budget_does_not_count_against_the_end() -> None:
    settings = dataclasses.replace(Settings(), logs_drain_limit=5)
    bucket, runs = TokenBucket(5, 5), list[Run]()
    for _ in range(60):
        server = LogServer("main", "proxy", budget=bucket)
        runs.append(Run(server, settings=settings))
        server.start("main")
        server.start("proxy")
        server.write("one", "main")
    await asyncio.sleep(40)
    for run in runs:
        run.server.write("last", "proxy")
        run.server.finish()
    await asyncio.sleep(1)
    drained = await asyncio.gather(*(run.end() for run in runs))
    assert all(one.complete for one in drained)
    assert max(one.waited for one in drained) > 20
    assert [run.said for run in runs] == [[]] * 60
