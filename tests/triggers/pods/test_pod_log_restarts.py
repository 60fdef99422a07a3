"""Containers that start again: the log of each instance is read, and none twice."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import Unavailable
from tests.triggers.pods.followed_run import Run, lives, written
from tests.triggers.pods.log_lines import Cut, now
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


async def test_a_restart_is_not_taken_for_rotation() -> None:
    """The kubelet answers with the new instance's log before the status tells of it."""
    server = LogServer(lag=1.5)
    async with Run(server) as run:
        lines = await lives(server, 6, lines=5, every=0.4, down=lambda life: 0.2)
        server.finish("Failed")
        await asyncio.sleep(2)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_a_restart_that_is_told_late_shows_no_line_twice() -> None:
    """A kubelet with many pods tells it seconds later. The first restart comes at once, the next ones after 10 s."""
    server = LogServer(lag=5, kubelet_lag=4.9)
    async with Run(server) as run:
        lines = await lives(server, 4, lines=30, every=0.3, down=lambda life: 10 if life else 0.1)
        server.finish("Failed")
        await asyncio.sleep(6)
        assert (await run.end()).complete
    assert run.lines == lines
    assert run.said == []


async def test_a_new_instances_log_under_the_old_ones_name_is_not_shown_twice() -> None:
    """The first instance wrote nothing; what was read for it is the second one's."""
    server = LogServer(lag=3)
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(0.5)
        server.end(exit_code=1)
        server.start()
        lines = await written(server, 30, 0.3)
        server.finish()
        await asyncio.sleep(4)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_a_successor_reads_the_instance_before_too() -> None:
    server = LogServer()
    server.start()
    server.write("run 0")
    await asyncio.sleep(1)
    server.end(exit_code=1)
    server.start()
    server.write("run 1")
    async with Run(server) as run:
        await asyncio.sleep(5)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == ["run 0", "run 1"]
    assert [one["previous"] for one in server.opened].count(True) >= 1


async def test_a_quiet_container_whose_connections_are_cut_costs_no_other_requests() -> None:
    server = LogServer(cut=lambda number: Cut(after=5))
    async with Run(server):
        server.start()
        await asyncio.sleep(600)
    assert server.gets == 0
    assert len(server.opened) > 80


async def test_but_its_pod_is_looked_at_after_an_outage_in_which_nothing_was_told() -> None:
    """The log would be the next instance's."""
    server = LogServer(cut=lambda number: Cut(after=5), refuse=lambda: Unavailable("x") if 5 < now() < 20 else None)
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(6)
        server.lag = 50
        server.write("first")
        await asyncio.sleep(1)
        server.end(exit_code=1)
        server.start()
        await asyncio.sleep(1)
        server.write("second")
        await asyncio.sleep(40)
        assert run.lines == ["first", "second"]
    assert server.gets > 0
