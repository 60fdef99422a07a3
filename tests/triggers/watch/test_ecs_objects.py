"""What one object's data breaks is that object's: unreadable, missing and poisonous tasks, under virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncrun.model.errors import MalformedAnswer
from asyncrun.triggers.watch.news import Broken, Gone
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


@pytest.mark.parametrize(
    "spoil",
    [
        {"lastStatus": None},
        {"lastStatus": ["RUNNING"]},
        {"version": "x"},
        {"version": float("inf")},
        {"containers": [{"lastStatus": "RUNNING"}]},
        {"containers": 7},
        {"createdAt": "yesterday"},
    ],
)
async def test_an_unreadable_task_breaks_that_run_only_and_not_at_once(watch: Watch, spoil: dict[str, Any]) -> None:
    bad, good = watch.api.put(1), watch.api.put(2)
    watch.api.tasks[bad].update(spoil)
    watch.follow(bad, good)
    await asyncio.sleep(2)
    assert watch.news(bad) == []
    await asyncio.sleep(5)
    (broken,) = watch.news(bad)
    assert isinstance(broken, Broken)
    assert isinstance(broken.error, MalformedAnswer)
    assert bad in str(broken.error)
    assert watch.statuses(good) == ["RUNNING"]
    assert watch.api.times_asked(bad) == 3


async def test_a_task_that_is_unreadable_for_a_moment_is_not_given_up(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    for spoiled in [True, True, False, True, True, False]:
        watch.api.put(1, **({"containers": 7} if spoiled else {"version": len(watch.api.calls) + 1}))
        await asyncio.sleep(1)
    assert set(watch.kinds(one)) == {"Seen"}


@pytest.mark.parametrize("item", [None, "x", {}, {"taskArn": None}, {"taskArn": []}])
async def test_an_item_that_does_not_say_what_it_is_about_breaks_only_the_run_it_belongs_to(
    watch: Watch, item: Any
) -> None:
    good = [watch.api.put(one) for one in range(1, 150)]
    bad = watch.api.put(0)
    watch.api.tasks[bad] = item
    watch.follow(bad, *good)
    await asyncio.sleep(20)
    assert watch.kinds(bad) == ["Broken"]
    assert all(watch.kinds(ident) == ["Seen"] for ident in good)


@pytest.mark.parametrize("left_out", [False, True])
async def test_missing_task_is_believed_lost_only_after_the_grace_and_a_call_of_its_own(
    watch: Watch, left_out: bool
) -> None:
    good, gone = watch.api.put(1), arn(2)
    if left_out:
        watch.api.left_out.add(gone)
    watch.follow(good, gone)
    await asyncio.sleep(60)
    assert watch.news(gone) == []
    await asyncio.sleep(3)
    assert watch.kinds(gone) == ["Gone"]
    assert [gone] in [asked for _, asked in watch.api.calls]
    calls = watch.api.times_asked(gone)
    await asyncio.sleep(30)
    assert watch.api.times_asked(gone) == calls
    assert watch.statuses(good) == ["RUNNING"]
    assert watch.kinds(good) == ["Seen"]


async def test_a_task_that_is_seen_by_the_confirming_call_is_not_lost(watch: Watch) -> None:
    other = watch.api.put(1)
    watch.follow(other, arn(2))
    watch.api.fault = lambda arns: watch.api.put(2) and None if list(arns) == [arn(2)] else None  # type: ignore[func-returns-value]
    await asyncio.sleep(90)
    assert watch.kinds(arn(2)) == ["Seen"]
    del watch.api.tasks[arn(2)]  # and then its grace begins anew
    watch.api.fault = lambda arns: None
    await asyncio.sleep(55)
    assert watch.kinds(arn(2)) == ["Seen"]
    await asyncio.sleep(10)
    assert watch.kinds(arn(2)) == ["Seen", "Gone"]


async def test_missing_at_first_is_no_news(watch: Watch) -> None:
    watch.follow(arn(1))
    await asyncio.sleep(40)
    assert watch.news(arn(1)) == []
    watch.api.put(1)
    await asyncio.sleep(2)
    assert watch.statuses(arn(1)) == ["RUNNING"]


async def test_another_failure_reason_is_trouble_of_that_run_only_and_passes(watch: Watch) -> None:
    one, two = watch.api.put(1), watch.api.put(2)
    watch.api.reasons[one] = "INTERNAL"
    watch.follow(one, two)
    await asyncio.sleep(600)
    (trouble,) = watch.news(one)
    assert not trouble.fatal
    assert str(trouble.error) == f"ECS task {one} cannot be described now: INTERNAL"
    watch.api.reasons.clear()
    await asyncio.sleep(2)
    assert watch.kinds(one) == ["Trouble", "Recovered", "Seen"]
    assert watch.kinds(two) == ["Seen"]


async def test_a_poisonous_task_whose_answer_cannot_be_decoded_does_not_blind_the_others(watch: Watch) -> None:
    idents = [watch.api.put(one) for one in range(250)]
    watch.api.fault = lambda arns: MalformedAnswer("invalid JSON") if arn(77) in arns else None
    watch.follow(*idents)
    await asyncio.sleep(60)
    assert watch.kinds(arn(77)) == ["Trouble"]
    assert not watch.news(arn(77))[0].fatal
    assert all(watch.statuses(ident) == ["RUNNING"] for ident in idents if ident != arn(77))


async def test_a_task_that_is_given_up_may_still_be_running(watch: Watch) -> None:
    refused, odd = watch.api.put(1), watch.api.put(2)
    watch.api.refused = {refused}
    watch.api.tasks[odd]["lastStatus"] = 7
    watch.follow(refused, odd)
    await asyncio.sleep(370)
    for ident in (refused, odd):
        (broken,) = watch.news(ident)[-1:]
        assert isinstance(broken, Broken)
        assert str(broken.error).endswith("The ECS task may still be running.")


async def test_gone_is_the_last_word(watch: Watch) -> None:
    subscription = watch.subscribe(arn(1))
    assert isinstance(await subscription.news(), Gone)
    watch.api.put(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(subscription.news(), 100)
    subscription.close()


async def test_a_pushed_state_ends_the_time_for_which_a_task_has_been_missing(watch: Watch) -> None:
    watch.follow(arn(1))
    await asyncio.sleep(50)
    assert watch.poller is not None
    watch.poller.offer({"taskArn": arn(1), "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "version": 1})
    await asyncio.sleep(55)
    assert watch.kinds(arn(1)) == ["Seen"]
    await asyncio.sleep(10)
    assert watch.kinds(arn(1)) == ["Seen", "Gone"]


async def test_a_task_whose_state_is_pushed_while_it_is_asked_for_the_last_time_is_not_lost(watch: Watch) -> None:
    watch.api.latency = 0.5
    watch.follow(arn(1))
    await asyncio.sleep(61.4)  # asked at 0.2, missing since 0.7, for the grace at 60.7, and asked again at 61.2
    assert watch.poller is not None
    assert watch.api.in_flight == 1
    assert watch.news(arn(1)) == []
    watch.poller.offer({"taskArn": arn(1), "lastStatus": "RUNNING", "desiredStatus": "RUNNING", "version": 1})
    await asyncio.sleep(50)
    assert watch.kinds(arn(1)) == ["Seen"]
