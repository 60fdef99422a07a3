"""What one object's data breaks is that object's: unreadable, missing and poisonous tasks, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest

from asyncrun.model.errors import (
    MalformedAnswer,
    RequestRefused,
    Unavailable,
)
from asyncrun.triggers.watch.news import Broken, Gone, Trouble
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


@pytest.mark.parametrize("bad", [[0], [3, 77, 149], list(range(40))])
async def test_a_refused_batch_is_bisected_and_only_the_culprits_break(watch: Watch, bad: list[int]) -> None:
    idents = [watch.api.put(one) for one in range(150)]
    watch.api.refused = {arn(one) for one in bad}
    watch.follow(*idents)
    await asyncio.sleep(60)
    for number, ident in enumerate(idents):
        assert watch.kinds(ident)[-1] == ("Trouble" if number in bad else "Seen")
    after = len(watch.api.calls)
    await asyncio.sleep(200)
    assert len(watch.api.calls) - after <= 400 + 7 * len(bad), "a culprit is probed less and less often"
    assert not any("Broken" in watch.kinds(arn(number)) for number in bad)
    await asyncio.sleep(130)
    for number, ident in enumerate(idents):
        if number in bad:
            assert isinstance(watch.news(ident)[-1], Broken)
            assert isinstance(watch.news(ident)[-1].error, RequestRefused)
        else:
            assert watch.kinds(ident)[-1] == "Seen"
            assert watch.statuses(ident) == ["RUNNING"]
    after = len(watch.api.calls)
    await asyncio.sleep(10)
    assert len(watch.api.calls) - after <= 21


@pytest.mark.parametrize("number", [1, 100, 350])
@pytest.mark.parametrize("code", ["InvalidParameterException", "ClientException"])
async def test_runs_that_are_all_refused_for_their_content_for_a_while_are_not_given_up_and_all_come_back(
    watch: Watch, number: int, code: str
) -> None:
    """As while a connection leads to another account: "Identifier is for 1. Your accountId is 2"."""
    idents = [watch.api.put(one) for one in range(number)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: RequestRefused("Identifier is for 1. Your accountId is 2", code=code)
    await asyncio.sleep(150)
    assert {tuple(watch.kinds(ident)) for ident in idents} <= {("Seen", "Trouble"), ("Seen", "Trouble", "Trouble")}
    assert all("accountId is 2" in str(watch.news(ident)[-1].error) for ident in idents)
    assert len(watch.api.calls) < 160 * 8
    watch.api.fault = lambda arns: None
    await asyncio.sleep(60 if number == 1 else 15)  # the first of many tells that it is over for all
    assert {watch.kinds(ident)[-1] for ident in idents} == {"Recovered"}
    calls = len(watch.api.calls)
    await asyncio.sleep(10)
    assert len(watch.api.calls) - calls <= 11 * -(-number // 100), "they share calls again"


async def test_credentials_are_renewed_when_all_calls_are_refused_for_their_content(watch: Watch) -> None:
    """The time for which a connection is believed is as long as the grace."""
    idents = [watch.api.put(one) for one in range(150)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: RequestRefused("Identifier is for 1. Your accountId is 2", code="ClientException")
    watch.renewal.then = lambda: setattr(watch.api, "fault", lambda arns: None)
    await asyncio.sleep(4)
    assert len(watch.renewal.times) == 1
    for number in range(150):
        watch.api.put(number, "STOPPED", 2)
    await asyncio.sleep(2)
    assert {tuple(watch.kinds(ident)) for ident in idents} == {("Seen", "Seen")}


async def test_one_refused_task_does_not_make_the_credentials_be_renewed(watch: Watch) -> None:
    watch.api.refused = {watch.api.put(1)}
    watch.follow(arn(1), watch.api.put(2))
    await asyncio.sleep(3)
    before = len(watch.renewal.times)
    await asyncio.sleep(250)
    assert len(watch.renewal.times) == before <= 1


async def test_only_the_same_refusal_of_the_very_task_counts_against_it(watch: Watch) -> None:
    one, other = watch.api.put(1), watch.api.put(2)
    watch.follow(one, other)
    await asyncio.sleep(3)

    def fault(arns: Sequence[str]) -> RequestRefused | None:
        code = "ClientException" if asyncio.get_running_loop().time() < 250 else "InvalidParameterException"
        return RequestRefused("no", code=code) if one in arns else None

    watch.api.fault = fault
    await asyncio.sleep(500)
    assert "Broken" not in watch.kinds(one)
    await asyncio.sleep(200)
    assert watch.kinds(one)[-1] == "Broken"
    assert watch.kinds(other) == ["Seen"]


async def test_time_without_any_answer_does_not_count_against_a_refused_task(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    await asyncio.sleep(3)
    for error in (RequestRefused("no", code="ClientException"), Unavailable("down")) * 2:
        watch.api.fault = lambda arns, error=error: error  # type: ignore[misc]
        await asyncio.sleep(140)
    assert "Broken" not in watch.kinds(one)


@pytest.mark.expects_defect
async def test_whoever_waited_for_a_probe_when_the_watcher_crashed_is_asked_again(
    watch: Watch, caplog: pytest.LogCaptureFixture
) -> None:
    idents = [watch.api.put(one) for one in range(150)]
    faults: list[BaseException] = [
        RequestRefused("which one?", code="InvalidParameterException"),
        RequestRefused("which one?", code="InvalidParameterException"),
        RuntimeError("a defect"),
    ]
    watch.api.fault = lambda arns: faults.pop(0) if faults else None
    watch.follow(*idents)
    await asyncio.sleep(10)
    assert "crashed; this is a defect of asyncrun" in caplog.text
    assert all(watch.statuses(ident) == ["RUNNING"] for ident in idents)


@pytest.mark.parametrize("number", [1, 150])
@pytest.mark.parametrize("code", ["", "BlockedException"])
async def test_a_refusal_that_blames_no_content_breaks_nobody_and_is_fatal_after_the_access_grace_only(
    watch: Watch, number: int, code: str
) -> None:
    idents = [watch.api.put(one) for one in range(number)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: RequestRefused("AWS refuses it", code=code)
    await asyncio.sleep(2)
    assert all(watch.kinds(ident) == ["Seen"] for ident in idents), "one odd answer is nobody's news"
    await asyncio.sleep(290)
    for ident in idents:
        assert watch.kinds(ident) == ["Seen", "Trouble"]
        assert not watch.news(ident)[1].fatal
    assert len(watch.api.calls) < 800
    await asyncio.sleep(90)
    for ident in idents:
        assert watch.kinds(ident) == ["Seen", "Trouble", "Trouble"]
        assert watch.news(ident)[2].fatal


async def test_a_refusal_that_blames_no_content_and_passes_is_recovered_from(watch: Watch) -> None:
    idents = [watch.api.put(one) for one in range(150)]
    watch.follow(*idents)
    await asyncio.sleep(3)
    watch.api.fault = lambda arns: RequestRefused("AWS refuses it", code="BlockedException")
    await asyncio.sleep(120)
    watch.api.fault = lambda arns: None
    await asyncio.sleep(40)
    for ident in idents:
        assert watch.kinds(ident) == ["Seen", "Trouble", "Recovered"]


async def test_one_task_that_makes_a_call_refused_for_an_unknown_reason_does_not_take_the_others_with_it(
    watch: Watch,
) -> None:
    idents = [watch.api.put(one) for one in range(250)]
    watch.api.fault = lambda arns: RequestRefused("no", code="OddException") if arn(77) in arns else None
    watch.follow(*idents)
    await asyncio.sleep(400)
    assert watch.kinds(arn(77)) == ["Trouble", "Trouble"]
    assert watch.news(arn(77))[1].fatal
    for ident in set(idents) - {arn(77)}:
        assert watch.statuses(ident) == ["RUNNING"]
        assert not any(news.fatal for news in watch.news(ident) if isinstance(news, Trouble))


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
