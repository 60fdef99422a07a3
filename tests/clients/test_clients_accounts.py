"""Connections to one account share its call budgets, whoever opens them, and no call is made to find out."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest

from asyncrun.clients.accounts import account_in, account_of
from asyncrun.clients.aws import open_aws
from asyncrun.clients.budget import BucketStatistics, Group, statistics
from asyncrun.model.errors import Throttled
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn

ONE, TWO = AwsTarget(conn_id="aws_one"), AwsTarget(conn_id="aws_two")
_numbers = itertools.count(700000000000)
closing = pytest.mark.usefixtures("closing")


@pytest.fixture
def account() -> str:
    """An account that no other test counts calls in."""
    return str(next(_numbers))


def reads(account: str) -> BucketStatistics:
    return statistics()[account, "eu-west-1", Group.ECS_READS]


def cluster(account: str) -> tuple[int, dict[str, Any]]:
    return 200, {"clusters": [{"clusterArn": f"arn:aws:ecs:eu-west-1:{account}:cluster/c", "status": "ACTIVE"}]}


@closing
async def test_two_connections_share_a_budget_from_the_first_answer_on_and_that_call_counts_too(
    aws: StandIn, connect: Connect, settings: Settings, account: str
) -> None:
    connect("aws_one")
    connect("aws_two", login="AKIDSECOND")
    async with open_aws(ONE, settings) as one, open_aws(TWO, settings) as two:
        for access in (one, two):
            aws.reply("DescribeClusters", cluster(account))
            await access.ecs.describe_clusters(["c"])
        assert reads(account).calls == 2
        for access in (one, two):
            await access.ecs.describe_tasks("c", ["t"])
        assert reads(account).calls == 4
        aws.error("DescribeTasks", "ThrottlingException", times=2)
        with pytest.raises(Throttled):
            await one.ecs.describe_tasks("c", ["t"])
        await two.ecs.describe_tasks("c", ["t"])
    assert reads(account).throttled == 1
    assert reads(account).calls == 7, "the SDK's own retry counts"


@closing
async def test_once_the_account_is_known_no_other_budget_is_told_of(
    aws: StandIn, connect: Connect, settings: Settings, account: str
) -> None:
    connect("aws_one")
    async with open_aws(ONE, settings) as access:
        await access.ecs.describe_tasks("c", ["t"])
        assert [scope for scope, _, _ in statistics()] != [account], "a hash of the connection"
        aws.reply("DescribeClusters", cluster(account))
        await access.ecs.describe_clusters(["c"])
        await access.ecs.describe_tasks("c", ["t"])
    assert [scope for scope, _, _ in statistics()] == [account]


@closing
async def test_the_role_of_a_connection_tells_the_account_before_the_first_call(
    aws: StandIn, connect: Connect, settings: Settings, account: str
) -> None:
    connect("aws_one", role_arn=f"arn:aws:iam::{account}:role/runner")
    async with open_aws(ONE, settings) as access:
        await access.ecs.describe_tasks("c", ["t"])
    assert reads(account).calls == 1
    assert aws.count("GetCallerIdentity") == 0


@closing
async def test_the_account_follows_a_connection_that_is_given_to_another_one(
    aws: StandIn, connect: Connect, settings: Settings, account: str
) -> None:
    other = str(next(_numbers))
    connect("aws_one")
    async with open_aws(ONE, settings, account=account) as access:
        aws.reply("DescribeClusters", cluster(account))
        await access.ecs.describe_clusters(["c"])
        connect("aws_one", login="AKIDSECOND")
        await access.renew()
        aws.reply("DescribeClusters", cluster(other))
        await access.ecs.describe_clusters(["c"])
        async with open_aws(ONE, settings, account=account):  # a task of the old account is still watched
            await access.ecs.describe_tasks("c", ["t"])
    assert (reads(account).calls, reads(other).calls) == (2, 2), "the call that told of it was paid by the old one"


@closing
async def test_what_was_supposed_counts_until_aws_tells(
    aws: StandIn, connect: Connect, settings: Settings, account: str
) -> None:
    other = str(next(_numbers))
    connect("aws_one")
    async with open_aws(ONE, replace(settings, describe_rate=999), account=account) as access:
        await access.ecs.describe_tasks("c", ["t"])
        assert reads(account).calls == 1
        aws.reply("DescribeClusters", cluster(other))
        await access.ecs.describe_clusters(["c"])
    assert reads(other).calls == 1


@pytest.mark.parametrize(
    ("answer", "account"),
    [
        ({"tasks": [{"taskArn": "arn:aws:ecs:eu-west-1:123456789012:task/c/0"}]}, "123456789012"),
        ({"taskArns": ["arn:aws-us-gov:ecs:us-gov-west-1:123456789012:task/c/0"]}, "123456789012"),
        ({"taskDefinition": {"taskDefinitionArn": "arn:aws:ecs:eu-west-1:123456789012:task-definition/f:1"}},
         "123456789012"),
        ({"cluster": {"clusterArn": "arn:aws-cn:ecs:cn-north-1:123456789012:cluster/c"}}, "123456789012"),
        ({"tasks": [], "failures": [{"arn": "arn:aws:ecs:eu-west-1:999999999999:task/c/0"}]}, None),
        ({"tasks": "none", "cluster": None, "taskArns": [], "clusters": [3]}, None),
        ({}, None),
    ],
)  # fmt: skip
def test_what_is_ours_in_an_answer_names_the_account_and_what_was_asked_for_does_not(
    answer: dict[str, Any], account: str | None
) -> None:
    assert account_in(answer) == account


@pytest.mark.parametrize("arn", [None, "", "c", "arn:aws:iam::aws:policy/x", "arn:aws:s3:::bucket", 5])
def test_what_has_no_account_tells_none(arn: object) -> None:
    assert account_of(arn) is None
