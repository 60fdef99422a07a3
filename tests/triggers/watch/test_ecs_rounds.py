"""Rounds of the ECS task poller, and the news of a healthy ECS, under virtual time."""

from __future__ import annotations

import asyncio
import math
from collections import Counter

import pytest

from asyncrun.triggers.watch.news import Seen
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


async def test_each_change_is_told_once_and_a_stopped_task_is_never_asked_again(watch: Watch) -> None:
    one, two = watch.api.put(1, "PENDING", 1), watch.api.put(2, "PENDING", 1)
    watch.follow(one, two)
    await asyncio.sleep(3)
    watch.api.put(1, "RUNNING", 2)
    await asyncio.sleep(3)
    watch.api.put(1, "STOPPED", 3)
    await asyncio.sleep(1.5)
    asked = watch.api.times_asked(one)
    await asyncio.sleep(10)
    assert watch.statuses(one) == ["PENDING", "RUNNING", "STOPPED"]
    assert watch.statuses(two) == ["PENDING"]
    assert watch.api.times_asked(one) == asked
    assert watch.api.times_asked(two) > asked + 8


@pytest.mark.parametrize(("number", "interval"), [(1, 1), (20, 1), (60, 1.4), (100, 1.8), (101, 1.8), (1000, 1.8)])
async def test_a_round_makes_one_call_per_hundred_tasks_and_the_more_there_are_the_fewer_rounds(
    watch: Watch, number: int, interval: float
) -> None:
    watch.api.latency = 0.1
    watch.follow(*(watch.api.put(one) for one in range(number)))
    await asyncio.sleep(10 * interval)
    starts = [(time - 0.2) / interval for time, _ in watch.api.calls]  # 0.2: newcomers are collected first
    per_round = Counter(int(start + 0.001) for start in starts)
    assert per_round == dict.fromkeys(range(10), math.ceil(number / 100))
    assert watch.api.most_in_flight <= 8


async def test_ten_thousand_tasks_are_all_seen(watch: Watch) -> None:
    idents = [watch.api.put(one) for one in range(10_000)]
    subscriptions = [watch.subscribe(ident) for ident in idents]
    tasks_before = len(asyncio.all_tasks())
    await asyncio.sleep(4)
    assert all(isinstance(one.latest, Seen) for one in subscriptions)
    assert len(watch.api.calls) == 300
    assert len(asyncio.all_tasks()) <= tasks_before + 1  # the watcher's attempt


async def test_a_burst_of_newcomers_shares_a_call_and_does_not_wait_for_the_round(watch: Watch) -> None:
    watch.settings = type(watch.settings)(poll_interval=30)
    watch.follow(watch.api.put(0))
    await asyncio.sleep(5)
    before = len(watch.api.calls)
    watch.follow(*(watch.api.put(one) for one in range(1, 60)))
    await asyncio.sleep(0.3)
    assert [sorted(asked) for _, asked in watch.api.calls[before:]] == [[arn(one) for one in range(1, 60)]]
    assert all(watch.statuses(arn(one)) == ["RUNNING"] for one in range(60))


async def test_newcomers_that_keep_coming_do_not_make_a_second_rhythm(watch: Watch) -> None:
    for one in range(300):
        watch.follow(watch.api.put(one))
        await asyncio.sleep(0.3)
    rounds = watch.poller.statistics().rounds  # type: ignore[union-attr]
    regular = 6 / 1 + 24 / 1.4 + 60 / 1.8  # seconds with so many tasks, and the interval then
    assert regular - 3 <= rounds <= regular * 1.25 + 3


async def test_a_late_subscriber_is_told_the_latest_at_once(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    await asyncio.sleep(1)
    calls = len(watch.api.calls)
    with watch.subscribe(one) as late:
        assert isinstance(await late.news(), Seen)
    assert len(watch.api.calls) == calls


async def test_versions_out_of_order_are_ignored(watch: Watch) -> None:
    one, two = watch.api.put(1, "RUNNING", 5), watch.api.put(2, "RUNNING", 5)
    watch.follow(one, two)
    await asyncio.sleep(2)
    watch.api.put(1, "PENDING", 4)
    watch.api.put(2, "DEACTIVATING", 6)
    await asyncio.sleep(2)
    watch.api.put(1, "DEACTIVATING", 6)
    await asyncio.sleep(2)
    assert watch.statuses(one) == watch.statuses(two) == ["RUNNING", "DEACTIVATING"]


async def test_without_versions_equal_states_are_no_news(watch: Watch) -> None:
    one = watch.api.put(1, "PENDING", None)
    watch.follow(one)
    await asyncio.sleep(3)
    watch.api.put(1, "RUNNING", None)
    await asyncio.sleep(3)
    assert watch.statuses(one) == ["PENDING", "RUNNING"]


async def test_a_pushed_state_of_a_version_that_was_seen_is_no_news(watch: Watch) -> None:
    one = watch.api.put(1, "RUNNING", 5)
    watch.follow(one)
    await asyncio.sleep(1.5)
    for version in (4, 5):
        watch.poller.offer({**watch.api.tasks[one], "lastStatus": "PENDING", "version": version})  # type: ignore[union-attr]
    await asyncio.sleep(0.1)
    assert watch.statuses(one) == ["RUNNING"]


async def test_a_pushed_state_is_news_and_the_poll_behind_it_is_not(watch: Watch) -> None:
    one, two = watch.api.put(1, "RUNNING", 5), watch.api.put(2)
    watch.follow(one, two)
    await asyncio.sleep(1.5)
    before = asyncio.get_running_loop().time()
    watch.poller.offer({**watch.api.tasks[one], "lastStatus": "STOPPED", "version": 7})  # type: ignore[union-attr]
    watch.poller.offer({"taskArn": arn(99), "lastStatus": "STOPPED", "version": 7})  # type: ignore[union-attr]
    watch.poller.offer({"taskArn": two, "lastStatus": 3})  # type: ignore[union-attr]
    await asyncio.sleep(5)
    assert watch.statuses(one) == ["RUNNING", "STOPPED"]
    assert watch.heard[one][-1][0] == before
    assert watch.statuses(two) == ["RUNNING"]
