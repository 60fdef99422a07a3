"""Followed pod logs, under virtual time: each line once, in order and soon, whatever happens to the connections."""

from __future__ import annotations

import asyncio
import gc

import pytest

from asyncrun.triggers.logs.pods.follower import ContainerFollower
from asyncrun.triggers.logs.pods.instances import Instance
from asyncrun.triggers.logs.pods.quiet import Quiet
from asyncrun.triggers.logs.pods.reading import Reader
from tests.triggers.pods.followed_run import Run, written
from tests.triggers.pods.log_lines import Cut, now, stamp_at
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


async def test_lines_show_while_the_container_runs_and_its_log_is_complete_at_the_end() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start()
        for number in range(50):
            await asyncio.sleep(0.2)
            server.write(f"line {number}")
            if number == 25:
                assert len(run.lines) >= 20
        server.finish()
        await asyncio.sleep(0.2)
        drained = await run.end()
    assert run.lines == [f"line {number}" for number in range(50)]
    assert drained.complete
    assert run.said == []


async def test_20_lines_a_second_for_ten_minutes_with_cuts_are_neither_lost_nor_doubled() -> None:
    """D9: upstream loses 3-5 % of these lines and doubles 1-3 %."""
    server = LogServer(cut=lambda number: Cut(after=7.3, clean=number % 2 == 0))
    async with Run(server) as run:
        server.start()
        for number in range(12_000):
            server.write(f"line {number}")
            await asyncio.sleep(0.05)
        server.finish()
        drained = await run.end()
    assert run.lines == [f"line {number}" for number in range(12_000)]
    assert drained.complete
    assert len(server.opened) > 60


async def test_init_containers_and_sidecars_are_followed_live_too() -> None:
    """D14: upstream ignores their logs when deferrable."""
    server = LogServer("main", "proxy", init=("fetch",))
    async with Run(server) as run:
        server.start("fetch")
        server.write("fetching", "fetch")
        await asyncio.sleep(1)
        assert [record.text for record in run.sink.records] == ["[fetch] fetching"]
        server.end("fetch")
        server.start("main")
        server.start("proxy")
        server.write("working", "main")
        server.write("listening", "proxy")
        await asyncio.sleep(1)
        assert {record.text for record in run.sink.records[1:]} == {"[main] working", "[proxy] listening"}
        server.finish()
        assert (await run.end()).complete
    assert len(run.sink.records) == 3


async def test_the_last_line_of_a_quiet_container_does_not_wait() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1)
        server.write("waiting for the database")
        await asyncio.sleep(0.5)
        assert run.lines == ["waiting for the database"]


async def test_a_clean_end_of_a_connection_is_not_the_containers_end() -> None:
    """A killed kubelet ends follows cleanly (traces r, r2)."""
    server = LogServer(cut=lambda number: Cut(after=3, clean=True) if number == 0 else None)
    async with Run(server) as run:
        server.start()
        for number in range(10):
            server.write(f"tick {number}")
            await asyncio.sleep(1)
        server.finish()
        assert (await run.end()).complete
    assert run.lines == [f"tick {number}" for number in range(10)]
    assert [one["follow"] for one in server.opened] == [True, True, False]


async def test_lines_come_soon_although_connections_are_cut_all_the_time() -> None:
    server = LogServer(cut=lambda number: Cut(after=5))
    async with Run(server) as run:
        server.start()
        server.write("first")
        await asyncio.sleep(61)
        for number in range(20):
            server.write(f"line {number}")
            await asyncio.sleep(2.7)
            assert run.lines[-1] == f"line {number}"
            await asyncio.sleep(40.3)


async def test_a_follow_that_never_ends_is_ended_soon_after_the_container() -> None:
    server = LogServer(end_lag=10_000)
    async with Run(server) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(1)
        server.finish()
        began = now()
        assert (await run.end()).complete
        assert now() - began < 6
    assert run.lines == ["one"]


async def test_a_last_line_without_a_line_feed_is_shown() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start()
        server.write("one")
        server.write("no newline at the end", feed=False)
        await asyncio.sleep(1)
        server.finish()
        assert (await run.end()).complete
    assert run.lines == ["one", "no newline at the end"]


async def test_restarts_are_instances_of_their_own_and_lose_nothing() -> None:
    server = LogServer()
    async with Run(server) as run:
        for attempt in range(4):
            server.start()
            for number in range(3):
                server.write(f"run {attempt} line {number}")
                await asyncio.sleep(0.3)
            server.end(exit_code=1)
            await asyncio.sleep(0.1 if attempt % 2 else 20)
        server.finish("Failed")
        assert (await run.end()).complete
    assert run.lines == [f"run {attempt} line {number}" for attempt in range(4) for number in range(3)]
    assert run.said == []


@pytest.mark.parametrize("many", ["main", "proxy"])
async def test_old_logs_of_several_containers_are_read_in_step(many: str) -> None:
    """Airflow's reader shows lines of two files twice that are some 2,500 records apart."""
    server = LogServer("main", "proxy")
    few = "proxy" if many == "main" else "main"
    server.start("main")
    server.start("proxy")
    for number in range(8000):
        server.write(f"{number}", many, at=0, stamp=stamp_at(number))
        if number % 40 == 0:
            server.write(f"{number}", few, at=0, stamp=stamp_at(number))
    server.finish()
    async with Run(server) as run:
        await asyncio.sleep(1)
        assert (await run.end()).complete
        assert now() < 30
    places = {id(one): place for place, one in enumerate(sorted(run.sink.records, key=lambda one: one.stamp_ms))}
    assert len(places) == 8200
    assert max(abs(places[id(one)] - place) for place, one in enumerate(run.sink.records)) <= 200


async def test_old_logs_that_are_dense_are_read_in_step_by_lines() -> None:
    """Five files share what Airflow's reader compares: 500 entries each."""
    server = LogServer("main", "proxy")
    for name in ("main", "proxy"):
        server.start(name)
        for number in range(3000):
            server.write(f"{number}", name, at=0, stamp=stamp_at(number / 20))
    server.finish()
    async with Run(server) as run:
        await asyncio.sleep(1)
        assert (await run.end()).complete
    places = {id(one): place for place, one in enumerate(sorted(run.sink.records, key=lambda one: one.stamp_ms))}
    assert len(places) == 6000
    assert max(abs(places[id(one)] - place) for place, one in enumerate(run.sink.records)) <= 200


async def test_a_container_that_never_writes_holds_up_nobody() -> None:
    server = LogServer("main", "silent")
    async with Run(server) as run:
        server.start("main")
        server.start("silent")
        for number in range(20):
            server.write(f"line {number}", "main")
            await asyncio.sleep(0.5)
            assert len(run.lines) >= number


async def test_what_has_followed_a_log_is_freed_without_the_garbage_collector() -> None:
    """A thousand that end together would else be a garbage collection, which stops every trigger."""

    def parts() -> list[object]:
        # Not isinstance: lazy modules of others import themselves when asked for their class.
        return [one for one in gc.get_objects() if type(one) in {ContainerFollower, Reader, Quiet, Instance}]

    gc.collect()
    gc.disable()
    others = parts()  # of other tests

    def followers() -> list[object]:
        return [one for one in parts() if not any(one is other for other in others)]

    try:
        server = LogServer()
        async with Run(server) as run:
            server.start()
            await written(server)
            assert len(followers()) == 4
            server.finish()
            await run.end()
        async with Run(LogServer()) as cut_short:
            cut_short.server.start()
            await written(cut_short.server)
        await asyncio.sleep(1)
        assert followers() == []
    finally:
        gc.enable()
