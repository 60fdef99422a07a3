"""Refresh of assumed roles: off the loop, single-flight, before expiry."""

from __future__ import annotations

import asyncio
import threading
from datetime import timedelta

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.clients.refresh import RefreshFailed, ThreadedRefresh
from asyncrun.model.errors import AccessDenied, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect, longest_step
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET


@pytest.mark.usefixtures("closing")
async def test_slow_sts_does_not_stop_the_loop_during_a_refresh(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect(role_arn=ROLE)
    aws.lifetime = timedelta(minutes=5)  # below the SDK's mandatory 10 minutes: the first call must refresh
    async with open_aws(TARGET, settings) as access:
        await access.logs().filter_log_events("g", ["s"], start_ms=0)  # loads the SDK's descriptions
        aws.lifetime = timedelta(hours=1)
        aws.delays["AssumeRole"] = 1.0
        assumed = aws.count("AssumeRole")
        async with longest_step() as gauge:
            await asyncio.gather(*(access.ecs.describe_tasks("c", ["t"]) for _ in range(20)))
    assert aws.count("AssumeRole") == assumed + 1, "single-flight"
    assert set(aws.keys("DescribeTasks")) == {f"ASSUMED{assumed + 1}"}
    assert gauge.longest < 0.1


@pytest.mark.usefixtures("closing")
async def test_refresh_before_expiry_delays_one_call_only(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect(role_arn=ROLE)
    aws.lifetime = timedelta(minutes=12)  # valid, and within the 15 minutes in which the SDK refreshes early
    async with open_aws(TARGET, settings) as access:
        hold = aws.holds["AssumeRole"] = threading.Event()
        first = asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name="first")
        while aws.count("AssumeRole") < 2:  # noqa: ASYNC110 - the stand-in is in threads
            await asyncio.sleep(0.01)
        await access.ecs.describe_tasks("c", ["t"])
        assert aws.keys("DescribeTasks") == ["ASSUMED1"]
        hold.set()
        await first
    assert aws.keys("DescribeTasks") == ["ASSUMED1", "ASSUMED2"]


@pytest.mark.usefixtures("closing")
async def test_role_that_is_taken_away_is_a_denial_of_sts(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect(role_arn=ROLE)
    aws.lifetime = timedelta(minutes=5)
    async with open_aws(TARGET, settings) as access:
        fault = "<ErrorResponse><Error><Code>AccessDenied</Code><Message>no</Message></Error></ErrorResponse>"
        aws.reply("AssumeRole", *[(403, fault)] * 3)
        with pytest.raises(AccessDenied) as caught:
            await access.ecs.describe_tasks("c", ["t"])
    assert (caught.value.service, caught.value.operation) == ("sts", "AssumeRole")
    assert str(caught.value) == (
        "AWS denies sts:AssumeRole to the credentials of Airflow connection 'aws_test'. "
        "Whoever manages IAM permissions must allow sts:AssumeRole."
    )


async def test_time_limit_of_a_refresh_and_the_next_call_joins_the_same_one() -> None:
    ran, hold = [], threading.Event()

    def slow() -> str:
        ran.append(1)
        hold.wait(10)
        return "new"

    refresh = ThreadedRefresh(slow, limit=0.05)
    with pytest.raises(RefreshFailed, match=r"no answer in 0\.05 s"):
        await refresh()
    hold.set()
    assert await refresh() == "new"
    assert len(ran) == 1


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize("answer", ["<AssumeRoleResponse><AssumeRoleResult><Creden", None])
async def test_half_an_answer_to_a_refresh_is_an_outage_of_sts_and_not_of_ecs(
    aws: StandIn, connect: Connect, settings: Settings, answer: str | None
) -> None:
    connect(role_arn=ROLE, config_kwargs={"retries": {"total_max_attempts": 1}})
    aws.lifetime = timedelta(minutes=5)
    async with open_aws(TARGET, settings) as access:
        aws.reply("AssumeRole", (200, answer))
        with pytest.raises(Unavailable) as caught:
            await access.ecs.describe_tasks("c", ["t"])
    assert (caught.value.service, caught.value.operation) == ("sts", "AssumeRole")
    kind = "ResponseParserError" if answer else "ConnectionClosedError"
    assert str(caught.value) == (
        "The credentials of Airflow connection 'aws_test' could not be renewed for ECS DescribeTasks in eu-west-1 "
        f"({kind})."
    )


async def test_failed_refresh_is_not_repeated_at_once() -> None:
    ran = []

    def broken() -> None:
        ran.append(1)
        raise ConnectionError("STS is away")

    refresh = ThreadedRefresh(broken)
    raised = []
    for _ in range(5):
        with pytest.raises(RefreshFailed, match="ConnectionError") as caught:
            await refresh()
        raised.append(caught.value)
    assert len(ran) == 1
    assert len({id(error) for error in raised}) == 5, "an exception object belongs to one raiser"
    assert all(isinstance(error.__cause__, ConnectionError) for error in raised)


async def test_refusal_of_a_refresh_is_raised_as_it_is() -> None:
    def refused() -> None:
        raise PermissionDenied

    with pytest.raises(PermissionDenied):
        await ThreadedRefresh(refused)()


class PermissionDenied(Exception):
    """Something that is no outage."""


async def test_cancelled_waiter_does_not_end_the_refresh() -> None:
    hold = threading.Event()
    refresh = ThreadedRefresh(lambda: hold.wait(10))
    one = asyncio.create_task(refresh(), name="one")
    two = asyncio.create_task(refresh(), name="two")
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    one.cancel()
    hold.set()
    assert await two is True
    assert one.cancelled()
