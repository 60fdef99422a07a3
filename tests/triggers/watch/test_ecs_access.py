"""Refused access, under virtual time: renewed first, told at once, fatal after the grace."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    Unavailable,
)
from asyncrun.triggers.watch.news import Recovered, Trouble
from tests.triggers.watch.conftest import Watch
from tests.triggers.watch.scripted_ecs import arn

pytestmark = pytest.mark.looptime


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


async def test_after_a_renewal_it_is_asked_again_at_once(watch: Watch) -> None:
    watch.settings = type(watch.settings)(poll_interval=60)
    one = watch.api.put(1)
    watch.api.fault = lambda arns: CredentialsExpired("no")
    watch.renewal.then = lambda: setattr(watch.api, "fault", lambda arns: None)
    watch.follow(one)
    await asyncio.sleep(1)
    assert watch.kinds(one) == ["Seen"]


async def test_an_answer_ends_the_backing_off_of_renewals(watch: Watch) -> None:
    one = watch.api.put(1)
    watch.follow(one)
    for _ in range(4):
        watch.api.fault = lambda arns: CredentialsExpired("no")
        began = asyncio.get_running_loop().time()
        await asyncio.sleep(90)
        assert watch.renewal.times[-1] >= began
        watch.api.fault = lambda arns: None
        await asyncio.sleep(31)
        renewals = len(watch.renewal.times)
        watch.api.fault = lambda arns: CredentialsExpired("no")
        await asyncio.sleep(31)
        assert len(watch.renewal.times) >= renewals + 1
        watch.api.fault = lambda arns: None
        await asyncio.sleep(31)


@pytest.mark.parametrize("kind", [AccessDenied, CredentialsExpired, NotFound])
async def test_refused_access_is_told_at_once_and_is_fatal_after_the_grace(
    watch: Watch, kind: type[AccessDenied]
) -> None:
    idents = await watch.healthy(250)
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
    assert max(gaps) < 66, "a connection that was mended must be noticed within the grace"
    assert len(watch.renewal.times) < 14, "each renewal makes all clients anew"


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
