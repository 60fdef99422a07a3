"""Refused calls, under virtual time: whom a refusal is counted against, whom it is not, and when one is given up."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from asyncrun.model.errors import RequestRefused, Unavailable
from asyncrun.triggers.watch.news import Broken, Trouble
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


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
    idents = await watch.healthy(number)
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
    idents = await watch.healthy(150)
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
    idents = await watch.healthy(number)
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
    idents = await watch.healthy(150)
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
