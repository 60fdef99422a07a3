"""Credentials are replaced while they are used: over the wire (in virtual time: test_clients_rotation)."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace
from typing import Any

import pytest

from asyncrun.clients import generation
from asyncrun.clients.aws import open_aws
from asyncrun.clients.credentials import resolve
from asyncrun.model.errors import Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET, until

pytestmark = pytest.mark.usefixtures("closing")


async def test_rotated_connection_takes_over_in_the_background_and_keys_stay(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, replace(settings, connection_ttl=0.01)) as access:
        ecs, keys = access.ecs, (access.key, access.ecs.key, access.logs().key)
        await ecs.describe_tasks("c", ["t"])
        connect(login="AKIDSECOND")

        async def uses_new_credentials() -> bool:
            await ecs.describe_tasks("c", ["t"])
            return aws.keys("DescribeTasks")[-1] == "AKIDSECOND"

        await until(uses_new_credentials)
        assert keys == (access.key, access.ecs.key, access.logs().key)
    assert aws.keys("DescribeTasks")[0] == "AKIDFIRST"


async def test_unchanged_connection_keeps_client_and_assumed_role(
    aws: StandIn, connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    known: list[str | None] = []

    def looked_up(target: AwsTarget, fingerprint: str | None = None) -> Any:
        known.append(fingerprint)
        return resolve(target, fingerprint)

    monkeypatch.setattr(generation, "resolve", looked_up)
    connect(role_arn=ROLE)
    async with open_aws(TARGET, replace(settings, connection_ttl=0.01)) as access:

        async def looked_up_often() -> bool:
            await access.ecs.describe_tasks("c", ["t"])
            return len(known) > 4

        await until(looked_up_often)
    assert known[0] is None
    assert None not in known[1:], "the clients were not made anew"
    assert aws.count("AssumeRole") == 1


async def test_call_in_flight_finishes_on_the_old_client_during_a_renewal(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        hold = aws.holds["DescribeTasks"] = threading.Event()
        aws.reply("DescribeTasks", (200, {"tasks": [{"taskArn": "old"}], "failures": []}))
        old = asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name="old-call")
        await until(lambda: aws.count("DescribeTasks") == 1)
        connect(login="AKIDSECOND")
        await asyncio.gather(*(access.renew() for _ in range(10)))
        await access.ecs.list_tasks("c", started_by="s", desired_status="RUNNING")
        assert aws.keys("ListTasks") == ["AKIDSECOND"]
        assert not old.done()
        hold.set()
        assert (await old).items == [{"taskArn": "old"}]


async def test_renewal_assumes_the_role_anew_even_if_the_connection_is_the_same(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect(role_arn=ROLE)
    async with open_aws(TARGET, settings) as access:
        await asyncio.gather(*(access.renew() for _ in range(20)))
        await access.ecs.describe_tasks("c", ["t"])
    assert aws.count("AssumeRole") == 2
    assert aws.keys("DescribeTasks") == ["ASSUMED2"]


async def test_renewals_that_several_ask_for_one_after_the_other_are_one(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    """Each cluster has a poller of its own, and a denial is every poller's."""
    connect(role_arn=ROLE)
    async with open_aws(TARGET, settings) as access:
        for _ in range(10):
            await access.renew()
            await access.ecs.describe_tasks("c", ["t"])
    assert aws.count("AssumeRole") == 2


async def test_connection_that_disappears_does_not_change_whose_credentials_are_used(
    aws: StandIn, connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        monkeypatch.delenv("AIRFLOW_CONN_AWS_TEST")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with pytest.raises(Unavailable) as caught:
            await access.renew()
        assert str(caught.value) == (
            "Airflow no longer returns connection 'aws_test': it was deleted, or Airflow does not answer. "
            "The credentials that it had stay in use."
        )
        await access.ecs.describe_tasks("c", ["t"])
    assert aws.keys("DescribeTasks") == ["AKIDFIRST"]
