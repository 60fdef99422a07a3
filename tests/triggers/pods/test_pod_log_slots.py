"""More containers than connections: they are read in turns, fairly, and follow when a place gets free."""

from __future__ import annotations

import asyncio
import dataclasses
import random
from types import SimpleNamespace
from typing import TYPE_CHECKING, cast

import pytest

from asyncrun.model.errors import Unavailable
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.slots import FollowSlots, SlotStatistics, follow_slots
from asyncrun.triggers.pod_log import PodRunLog
from asyncrun.triggers.tasklog import TaskLog
from tests.triggers.pods.followed_run import REF, Run
from tests.triggers.pods.log_lines import Cut, now
from tests.triggers.pods.log_server import LogServer

if TYPE_CHECKING:
    from asyncrun.clients.kube_api import KubeAccess

pytestmark = [pytest.mark.looptime]


async def test_places_are_given_in_the_order_of_asking() -> None:
    slots, woken = FollowSlots(), list[int]()
    taken = [slots.ask(2, lambda number=number: woken.append(number)) for number in range(5)]
    assert [slot.granted for slot in taken] == [True, True, False, False, False]
    assert woken == []
    taken[3].close()
    taken[0].close()
    taken[0].close()
    taken[1].close()
    assert woken == [2, 4]
    assert slots.statistics().following == 2
    for slot in taken:
        slot.close()
    assert slots.statistics() == SlotStatistics(0, 0)


async def test_runs_beyond_the_limit_are_read_in_turns_and_lose_nothing() -> None:
    settings = dataclasses.replace(Settings(), pod_log_follows=3)
    servers = [LogServer() for _ in range(20)]
    runs = [Run(server, settings=settings) for server in servers]
    for server in servers:
        server.start()
    for number in range(60):
        for server in servers:
            server.write(f"line {number}")
        await asyncio.sleep(0.5)
    assert follow_slots().statistics().following == 3
    shown = [len(run.lines) for run in runs]
    assert min(shown) >= 50, shown
    assert sum(server.open_now for server in servers) <= 3 + 8
    for server in servers:
        server.finish()
    await asyncio.sleep(0.5)
    for run in runs:
        assert (await run.end()).complete
        assert run.lines == [f"line {number}" for number in range(60)]
    said = [run.said for run in runs]
    assert said.count([]) == 3
    assert said[-1] == [
        (
            "info",
            "More than [asyncrun] pod_log_follows = 3 containers run: for now this log is read in turns with others, "
            "so its lines come some seconds later",
        )
    ]


async def test_who_waits_follows_when_a_place_gets_free() -> None:
    settings = dataclasses.replace(Settings(), pod_log_follows=1)
    first, second = LogServer(), LogServer()
    async with Run(first, settings=settings) as one, Run(second, settings=settings) as other:
        first.start()
        await asyncio.sleep(1)
        second.start()
        await asyncio.sleep(10)
        assert not any(request["follow"] for request in second.opened)
        assert len(second.opened) < 10  # a quiet log is read seldom
        first.finish()
        await asyncio.sleep(5)
        assert second.opened[-1]["follow"]
        second.write("soon")
        await asyncio.sleep(0.5)
        assert other.lines == ["soon"]
        assert (await one.end()).complete


async def test_a_broken_pod_does_not_hold_up_the_others_turns() -> None:
    settings = dataclasses.replace(Settings(), pod_log_follows=1)
    broken = [LogServer(refuse=lambda: Unavailable("its node is away")) for _ in range(30)]
    holder, fine = LogServer(), LogServer()
    runs = [Run(server, settings=settings) for server in (holder, *broken, fine)]
    holder.start()
    await asyncio.sleep(1)
    for server in (*broken, fine):
        server.start()
    await asyncio.sleep(60)
    fine.write("here")
    await asyncio.sleep(7)
    assert runs[-1].lines == ["here"]
    for run in runs:
        await run.close()
    assert follow_slots().statistics() == SlotStatistics(0, 0)


async def test_followers_that_were_cut_at_once_do_not_come_back_at_once() -> None:
    random.seed(1)
    servers = [LogServer(cut=lambda number: Cut(after=20 - now()) if number == 0 else None) for _ in range(300)]
    runs = [Run(server) for server in servers]
    for server in servers:
        server.start()
    await asyncio.sleep(30)
    again = sorted(server.opened[1]["at"] for server in servers)
    assert again[-1] - again[0] > 0.4
    assert max(sum(1 for at in again if begin <= at < begin + 0.05) for begin in again) < 60
    for run in runs:
        await run.close()


async def test_places_are_the_triggerers_whatever_clusters_its_pods_are_in() -> None:
    settings = dataclasses.replace(Settings(), pod_log_follows=1)
    watch = PodWatch(
        ref=REF, target=KubeTarget(conn_id=None), deferred_at=0, launched_at=0, base="main", logs=("main",)
    )
    servers = [LogServer(), LogServer()]
    async with TaskLog(None, settings) as task_log:
        runs = [PodRunLog(watch, settings, task_log) for _ in servers]
        for number, (run, server) in enumerate(zip(runs, servers, strict=True)):
            server.start()
            run.look(server.pod(), cast("KubeAccess", SimpleNamespace(key=number, pods=lambda _, one=server: one)))
            await asyncio.sleep(1)
        followed = [any(one["follow"] for one in server.opened) for server in servers]
        for run in runs:
            await run.close()
    assert followed == [True, False]
    assert servers[1].opened
