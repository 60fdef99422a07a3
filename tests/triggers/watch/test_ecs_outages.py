"""An ECS that does not answer, under virtual time: nothing fails, and its return is seen soon."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from asyncrun.model.errors import (
    MalformedAnswer,
    Throttled,
    Unavailable,
)
from asyncrun.triggers.watch.news import Seen
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


async def test_one_call_in_ten_throttled_is_counted_and_nobody_hears_of_it(watch: Watch) -> None:
    count = itertools.count(1)
    watch.api.fault = lambda arns: Throttled("Rate exceeded") if next(count) % 10 == 0 else None
    idents = [watch.api.put(one) for one in range(500)]
    watch.follow(*idents)
    await asyncio.sleep(60)
    for one in range(500):
        watch.api.put(one, "STOPPED", 2)
    await asyncio.sleep(20)
    assert all(watch.statuses(ident) == ["RUNNING", "STOPPED"] for ident in idents)
    assert all(watch.kinds(ident) == ["Seen", "Seen"] for ident in idents)
    assert watch.poller.statistics().throttled > 15  # type: ignore[union-attr]


@pytest.mark.parametrize("lasts", [9, 60, 600])
async def test_the_end_of_an_outage_is_seen_within_seconds_however_long_it_was(watch: Watch, lasts: int) -> None:
    idents = await watch.healthy(350)
    watch.api.fault = lambda arns: Unavailable("503")
    await asyncio.sleep(lasts)
    during = len(watch.api.calls)
    for one in range(350):
        watch.api.put(one, "STOPPED", 9)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(5.5)
    assert all(watch.statuses(ident)[-1] == "STOPPED" for ident in idents)
    assert during < 20 + lasts, "one call finds out that it lasts"


@pytest.mark.parametrize(
    "error", [Unavailable("connection refused"), Throttled("Rate exceeded"), MalformedAnswer("<html>")]
)
async def test_two_hours_without_an_answer_are_said_once_and_fail_nothing(watch: Watch, error: Unavailable) -> None:
    idents = await watch.healthy(350)
    watch.api.fault = lambda arns: error
    await asyncio.sleep(7200)
    assert all(watch.kinds(ident) == ["Seen", "Trouble"] for ident in idents)
    assert not any(watch.news(ident)[-1].fatal for ident in idents)
    during = len(watch.api.calls)
    assert during < 7200
    watch.api.fault = lambda arns: None
    watch.api.put(7, "STOPPED", 2)
    await asyncio.sleep(27)
    assert watch.kinds(arn(7)) in (["Seen", "Trouble", "Seen"], ["Seen", "Trouble", "Recovered", "Seen"])
    assert all(watch.kinds(ident) == ["Seen", "Trouble", "Recovered"] for ident in idents if ident != arn(7))


async def test_a_hundred_batches_are_not_thrown_at_a_service_that_is_down(watch: Watch) -> None:
    watch.api.fault = lambda arns: Unavailable("connection refused")
    idents = [watch.api.put(one) for one in range(10_000)]
    for ident in idents:
        watch.subscribe(ident)
    await asyncio.sleep(0.5)
    assert len(watch.api.calls) <= 10


async def test_those_who_were_not_asked_are_told_with_the_others(watch: Watch) -> None:
    """A round that is hopeless is given up after a few calls: the others would wait for their turn to be told."""
    idents = await watch.healthy(4000)
    calls = len(watch.api.calls)
    watch.api.fault = lambda arns: Unavailable("503")
    await asyncio.sleep(12)
    assert len(watch.api.calls) - calls < 30, "most of the 40 batches were not asked"
    assert all(watch.kinds(ident) == ["Seen", "Trouble"] for ident in idents)


async def test_when_the_first_batches_always_fail_the_others_are_asked_nevertheless(watch: Watch) -> None:
    bad = {arn(one) for one in range(1500)}
    watch.api.fault = lambda arns: Unavailable("500") if bad & set(arns) else None
    idents = [watch.api.put(one) for one in range(2000)]
    subscriptions = [watch.subscribe(ident) for ident in idents]
    await asyncio.sleep(120)
    assert all(isinstance(one.latest, Seen) for one in subscriptions if one.ident not in bad)
    assert all(one.latest is None and one.trouble is not None for one in subscriptions if one.ident in bad)
