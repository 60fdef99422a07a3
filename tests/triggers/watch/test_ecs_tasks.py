"""The ECS task poller in the registry, against a scripted ECS, under virtual time."""

from __future__ import annotations

import asyncio
import itertools
import math
from typing import Any

import pytest

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.triggers.watch.news import Broken, Gone, Recovered, Seen, Trouble
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


def statuses(watch: Watch, ident: str) -> list[str]:
    return [one.state.status for one in watch.news(ident) if isinstance(one, Seen)]


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
    assert statuses(watch, one) == ["PENDING", "RUNNING", "STOPPED"]
    assert statuses(watch, two) == ["PENDING"]
    assert watch.api.times_asked(one) == asked
    assert watch.api.times_asked(two) > asked + 8


@pytest.mark.parametrize("number", [1, 100, 101, 1000])
async def test_a_round_makes_one_call_per_hundred_tasks_and_starts_once_a_second(watch: Watch, number: int) -> None:
    watch.api.latency = 0.1
    watch.follow(*(watch.api.put(one) for one in range(number)))
    await asyncio.sleep(10.5)
    starts = [round(time - 0.2, 3) for time, _ in watch.api.calls]  # 0.2: newcomers are collected first
    per_round = [sum(begin <= start < begin + 1 for start in starts) for begin in range(10)]
    assert per_round == [math.ceil(number / 100)] * 10
    assert watch.api.most_in_flight <= 8


async def test_ten_thousand_tasks_are_all_seen(watch: Watch) -> None:
    idents = [watch.api.put(one) for one in range(10_000)]
    subscriptions = [watch.subscribe(ident) for ident in idents]
    tasks_before = len(asyncio.all_tasks())
    await asyncio.sleep(2.5)
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
    assert all(statuses(watch, arn(one)) == ["RUNNING"] for one in range(60))


async def test_newcomers_that_keep_coming_do_not_make_a_second_rhythm(watch: Watch) -> None:
    for one in range(300):
        watch.follow(watch.api.put(one))
        await asyncio.sleep(0.3)
    rounds = watch.poller.statistics().rounds  # type: ignore[union-attr]
    assert 85 <= rounds <= 90 * 1.25 + 3


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
    assert statuses(watch, one) == statuses(watch, two) == ["RUNNING", "DEACTIVATING"]


async def test_without_versions_equal_states_are_no_news(watch: Watch) -> None:
    one = watch.api.put(1, "PENDING", None)
    watch.follow(one)
    await asyncio.sleep(3)
    watch.api.put(1, "RUNNING", None)
    await asyncio.sleep(3)
    assert statuses(watch, one) == ["PENDING", "RUNNING"]


async def test_a_pushed_state_is_news_and_the_poll_behind_it_is_not(watch: Watch) -> None:
    one, two = watch.api.put(1, "RUNNING", 5), watch.api.put(2)
    watch.follow(one, two)
    await asyncio.sleep(1.5)
    before = asyncio.get_running_loop().time()
    watch.poller.offer({**watch.api.tasks[one], "lastStatus": "STOPPED", "version": 7})  # type: ignore[union-attr]
    watch.poller.offer({"taskArn": arn(99), "lastStatus": "STOPPED", "version": 7})  # type: ignore[union-attr]
    watch.poller.offer({"taskArn": two, "lastStatus": 3})  # type: ignore[union-attr]
    await asyncio.sleep(5)
    assert statuses(watch, one) == ["RUNNING", "STOPPED"]
    assert watch.heard[one][-1][0] == before
    assert statuses(watch, two) == ["RUNNING"]


# -- one object's data -------------------------------------------------------------------------------------------------


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
    assert statuses(watch, good) == ["RUNNING"]
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


# -- missing -----------------------------------------------------------------------------------------------------------


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
    assert statuses(watch, good) == ["RUNNING"]
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
    assert statuses(watch, arn(1)) == ["RUNNING"]


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


# -- faults of the service ---------------------------------------------------------------------------------------------


async def test_one_call_in_ten_throttled_is_counted_and_nobody_hears_of_it(watch: Watch) -> None:
    count = itertools.count(1)
    watch.api.fault = lambda arns: Throttled("Rate exceeded") if next(count) % 10 == 0 else None
    idents = [watch.api.put(one) for one in range(500)]
    watch.follow(*idents)
    await asyncio.sleep(60)
    for one in range(500):
        watch.api.put(one, "STOPPED", 2)
    await asyncio.sleep(20)
    assert all(statuses(watch, ident) == ["RUNNING", "STOPPED"] for ident in idents)
    assert all(watch.kinds(ident) == ["Seen", "Seen"] for ident in idents)
    assert watch.poller.statistics().throttled > 15  # type: ignore[union-attr]


@pytest.mark.parametrize("lasts", [9, 60, 600])
async def test_the_end_of_an_outage_is_seen_within_seconds_however_long_it_was(watch: Watch, lasts: int) -> None:
    idents = [watch.api.put(one) for one in range(350)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: Unavailable("503")
    await asyncio.sleep(lasts)
    during = len(watch.api.calls)
    for one in range(350):
        watch.api.put(one, "STOPPED", 9)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(5.5)
    assert all(statuses(watch, ident)[-1] == "STOPPED" for ident in idents)
    assert during < 20 + lasts, "one call finds out that it lasts"


@pytest.mark.parametrize(
    "error", [Unavailable("connection refused"), Throttled("Rate exceeded"), MalformedAnswer("<html>")]
)
async def test_two_hours_without_an_answer_are_said_once_and_fail_nothing(watch: Watch, error: Unavailable) -> None:
    idents = [watch.api.put(one) for one in range(350)]
    watch.follow(*idents)
    await asyncio.sleep(3)
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


async def test_when_the_first_batches_always_fail_the_others_are_asked_nevertheless(watch: Watch) -> None:
    bad = {arn(one) for one in range(1500)}
    watch.api.fault = lambda arns: Unavailable("500") if bad & set(arns) else None
    idents = [watch.api.put(one) for one in range(2000)]
    subscriptions = [watch.subscribe(ident) for ident in idents]
    await asyncio.sleep(120)
    assert all(isinstance(one.latest, Seen) for one in subscriptions if one.ident not in bad)
    assert all(one.latest is None and one.trouble is not None for one in subscriptions if one.ident in bad)


async def test_a_poisonous_task_whose_answer_cannot_be_decoded_does_not_blind_the_others(watch: Watch) -> None:
    idents = [watch.api.put(one) for one in range(250)]
    watch.api.fault = lambda arns: MalformedAnswer("invalid JSON") if arn(77) in arns else None
    watch.follow(*idents)
    await asyncio.sleep(60)
    assert watch.kinds(arn(77)) == ["Trouble"]
    assert not watch.news(arn(77))[0].fatal
    assert all(statuses(watch, ident) == ["RUNNING"] for ident in idents if ident != arn(77))


@pytest.mark.parametrize("bad", [[0], [3, 77, 149], list(range(40))])
async def test_a_refused_batch_is_bisected_and_only_the_culprits_break(watch: Watch, bad: list[int]) -> None:
    idents = [watch.api.put(one) for one in range(150)]
    watch.api.refused = {arn(one) for one in bad}
    watch.follow(*idents)
    await asyncio.sleep(60)
    for number, ident in enumerate(idents):
        assert statuses(watch, ident) == ([] if number in bad else ["RUNNING"])
        if number in bad:
            assert isinstance(watch.news(ident)[-1], Broken)
            assert isinstance(watch.news(ident)[-1].error, RequestRefused)
    after = len(watch.api.calls)
    await asyncio.sleep(10)
    assert len(watch.api.calls) - after <= 21


# -- access ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", [AccessDenied, CredentialsExpired, NotFound])
async def test_credentials_that_a_renewal_mends_are_nobodys_news(watch: Watch, kind: type[AccessDenied]) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: kind("no")
    watch.renewal.then = lambda: setattr(watch.api, "fault", lambda arns: None)
    watch.api.put(1, "STOPPED", 2)
    await asyncio.sleep(1.5)
    assert watch.kinds(one) == ["Seen", "Seen"]
    assert len(watch.renewal.times) == 1


@pytest.mark.parametrize("kind", [AccessDenied, CredentialsExpired, NotFound])
async def test_refused_access_is_told_at_once_and_is_fatal_after_the_grace(
    watch: Watch, kind: type[AccessDenied]
) -> None:
    idents = [watch.api.put(one) for one in range(250)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: kind("no")
    await asyncio.sleep(295)
    for ident in idents:
        assert watch.kinds(ident) == ["Seen", "Trouble"]
        assert watch.heard[ident][1][0] < 6
        assert not watch.news(ident)[1].fatal
    await asyncio.sleep(30)
    for ident in idents:
        assert watch.kinds(ident) == ["Seen", "Trouble", "Trouble"]
        assert watch.news(ident)[2].fatal
        assert isinstance(watch.news(ident)[2].error, kind)
    gaps = [later - earlier for earlier, later in itertools.pairwise(watch.renewal.times)]
    assert min(gaps) >= 15


async def test_access_that_comes_back_within_the_grace_fails_nothing(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    for _ in range(3):
        await asyncio.sleep(25)
        watch.api.fault = lambda arns: CredentialsExpired("expired")
        await asyncio.sleep(250)
        watch.api.fault = lambda arns: None
    await asyncio.sleep(25)
    assert watch.kinds(one) == ["Seen", *["Trouble", "Recovered"] * 3]
    assert not any(news.fatal for news in watch.news(one) if isinstance(news, Trouble))


async def test_time_without_any_answer_does_not_count_against_the_access_grace(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    await asyncio.sleep(2)
    for error in (AccessDenied("no"), Unavailable("down"), AccessDenied("no")):
        watch.api.fault = lambda arns, error=error: error  # type: ignore[misc]
        await asyncio.sleep(140)
    troubles = [news for news in watch.news(one) if isinstance(news, Trouble)]
    assert [trouble.fatal for trouble in troubles] == [False]
    await asyncio.sleep(80)
    assert watch.news(one)[-1].fatal


async def test_passing_trouble_that_turns_into_refused_access_is_told_again(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    watch.api.fault = lambda arns: Unavailable("down")
    await asyncio.sleep(60)
    watch.api.fault = lambda arns: AccessDenied("no")
    await asyncio.sleep(60)
    watch.api.fault = lambda arns: Unavailable("down")
    await asyncio.sleep(60)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(25)
    assert [type(news.error) for news in watch.news(one) if isinstance(news, Trouble)] == [Unavailable, AccessDenied]
    recovered = next(news for news in watch.news(one) if isinstance(news, Recovered))
    assert isinstance(recovered.trouble.error, AccessDenied)


async def test_a_renewal_that_hangs_or_fails_does_not_stop_the_watching(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    watch.api.fault = lambda arns: AccessDenied("no")
    watch.renewal.hangs = True
    await asyncio.sleep(40)
    assert watch.kinds(one) == ["Trouble"]
    watch.renewal.hangs, watch.renewal.error = False, CredentialsExpired("no such connection")
    await asyncio.sleep(60)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(60)
    assert watch.kinds(one) == ["Trouble", "Recovered", "Seen"]


async def test_runs_whose_batch_is_answered_do_not_suffer_from_a_denied_one(watch: Watch) -> None:
    denied = {arn(one) for one in range(100)}
    watch.api.fault = lambda arns: AccessDenied("no") if denied & set(arns) else None
    idents = [watch.api.put(one) for one in range(200)]
    watch.follow(*idents)
    await asyncio.sleep(400)
    for ident in idents:
        if ident in denied:
            assert watch.kinds(ident) == ["Trouble", "Trouble"]
        else:
            assert watch.kinds(ident) == ["Seen"]
    assert not watch.renewal.times


# -- defects of ours ---------------------------------------------------------------------------------------------------


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
    assert statuses(watch, one) == ["RUNNING", "STOPPED"]
    assert statuses(watch, two) == ["RUNNING"]
    crashes = [record for record in caplog.records if "ECS tasks of cluster jobs crashed" in record.getMessage()]
    assert 4 <= len(crashes) <= 8
    assert all(record.exc_info for record in crashes)
    (statistics,) = watch.registry.statistics().values()
    assert statistics.restarts == len(crashes)
    assert statistics.subscribers == 2


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
    assert statuses(watch, one) == ["PENDING", "RUNNING", "DEACTIVATING", "STOPPING", "STOPPED"]
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
    assert isinstance(await slow.news(), Seen)
    slow.close()


async def test_gone_is_the_last_word(watch: Watch) -> None:
    subscription = watch.subscribe(arn(1))
    assert isinstance(await subscription.news(), Gone)
    watch.api.put(1)
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(subscription.news(), 100)
    subscription.close()
