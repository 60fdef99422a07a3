"""Defects of ours and slow subscribers, under virtual time: nobody misses what matters."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from asyncrun.model.errors import (
    AccessDenied,
)
from asyncrun.triggers.watch.news import Recovered, Seen, Trouble
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


@pytest.mark.expects_defect
async def test_a_crash_is_logged_and_restarted_and_subscribers_keep_what_they_know(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    one, two = watch.api.put(1), watch.api.put(2)
    watch.follow(one, two)
    await asyncio.sleep(2)
    watch.api.fault = lambda arns: ZeroDivisionError("a defect")
    await asyncio.sleep(30)
    subscription = watch.subscribe(one)
    assert isinstance(subscription.latest, Seen)
    subscription.close()
    watch.api.fault = lambda arns: None
    watch.api.put(1, "STOPPED", 2)
    await asyncio.sleep(70)
    assert watch.statuses(one) == ["RUNNING", "STOPPED"]
    assert watch.statuses(two) == ["RUNNING"]
    crashes = [record for record in caplog.records if "ECS tasks of cluster jobs crashed" in record.getMessage()]
    assert 4 <= len(crashes) <= 8
    assert all(record.exc_info for record in crashes)
    (statistics,) = watch.registry.statistics().values()
    assert statistics.restarts == len(crashes)
    assert statistics.subscribers == 2


@pytest.mark.expects_defect
async def test_a_call_cancelled_from_below_is_a_crash_and_not_the_end(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    watch.api.fault = lambda arns: asyncio.CancelledError()
    await asyncio.sleep(5)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(20)
    assert watch.kinds(one) == ["Seen"]


async def test_a_slow_subscriber_delays_nobody_and_does_not_miss_the_end(watch: Watch) -> None:
    one = watch.api.put(1, "PENDING", 1)
    slow = watch.subscribe(one)
    watch.follow(one)
    for version, status in enumerate(["RUNNING", "DEACTIVATING", "STOPPING", "STOPPED"], start=2):
        await asyncio.sleep(2)
        watch.api.put(1, status, version)
    await asyncio.sleep(2)
    assert watch.statuses(one) == ["PENDING", "RUNNING", "DEACTIVATING", "STOPPING", "STOPPED"]
    news = await slow.news()
    assert isinstance(news, Seen)
    assert news.state.status == "STOPPED"
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.news(), 10)
    slow.close()


async def test_a_slow_subscriber_hears_the_state_before_the_trouble_that_came_after_it(watch: Watch) -> None:
    slow = watch.subscribe(watch.api.put(1))
    await asyncio.sleep(2)
    watch.api.fault = lambda arns: AccessDenied("no")
    await asyncio.sleep(400)
    assert isinstance(await slow.news(), Seen)
    assert isinstance(await slow.news(), Trouble)
    watch.api.fault = lambda arns: None
    watch.api.put(1, "STOPPED", 2)
    await asyncio.sleep(25)
    assert isinstance(await slow.news(), Recovered), "also when the run ended meanwhile"
    assert isinstance(await slow.news(), Seen)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(slow.news(), 100)
    slow.close()


async def test_a_thousand_runs_that_come_and_go_leave_nothing_behind_and_miss_no_end(watch: Watch) -> None:
    """Each run is watched by triggers that are cancelled and started again all the time, as at a moving triggerer."""
    ends: list[int] = []
    restarts = itertools.count()

    async def trigger(number: int) -> None:
        while True:
            with watch.subscribe(arn(number)) as subscription:
                for _ in range(3):
                    news = await subscription.news(1.7)
                    if isinstance(news, Seen) and news.state.stopped:
                        ends.append(number)
                        return
            next(restarts)
            await asyncio.sleep(number % 7 / 10)

    for number in range(1000):
        watch.api.put(number)
    triggers = [asyncio.create_task(trigger(number), name=f"trigger {number}") for number in range(1000)]
    await asyncio.sleep(60)
    for number in range(1000):
        watch.api.put(number, "STOPPED", 2)
    began = asyncio.get_running_loop().time()
    await asyncio.wait(triggers)
    assert asyncio.get_running_loop().time() - began < 8
    assert sorted(ends) == list(range(1000))
    assert next(restarts) > 5000
    assert watch.poller is not None
    statistics = watch.poller.statistics()
    assert (statistics.subscribed, statistics.active) == (0, 0)
    assert statistics.calls <= 62 * (10 + 2), "newcomers all the time make no second rhythm"
    await asyncio.sleep(6)
    assert ("ecs", "jobs") not in watch.registry
