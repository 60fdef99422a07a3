"""A launch that ECS refuses says what is wrong, where, and who must act: over the wire, against the embedded AWS."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.launch.advice import advised
from asyncrun.launch.ecs import EcsLauncher
from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions, Fault
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    RemoteError,
    RequestRefused,
    TokenConflict,
    Unavailable,
)
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.support.lab import FARGATE, QUICK, Lab, container

THEIRS = "the credentials that the AWS SDK finds in this process"


@pytest.fixture(scope="module")
def shared_lab() -> Iterator[Lab]:
    with EmbeddedAws(EmbeddedAwsOptions(log_groups=("/lab",), delays=QUICK)) as aws:
        yield Lab(aws)


@pytest.fixture
def lab(shared_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    for name, value in shared_lab.aws.env().items():
        monkeypatch.setenv(name, value)
    yield shared_lab
    shared_lab.aws.control.clear_faults()


async def refused(request: dict[str, Any]) -> RemoteError:
    request = {**FARGATE, "cluster": "default", "clientToken": "t" * 20, **request}
    async with open_aws(AwsTarget(conn_id=None), Settings(launch_rate=40)) as access:
        with pytest.raises(RemoteError) as caught:
            await EcsLauncher(access.ecs).launch(request)
    return caught.value


@pytest.mark.usefixtures("closing")
async def test_unknown_cluster(lab: Lab) -> None:
    family = lab.define(container())
    error = await refused({"cluster": "nowhere", "taskDefinition": family})
    assert type(error) is NotFound
    assert str(error) == (
        f"Cluster 'nowhere' does not exist in us-east-1, in the account of {THEIRS}; ECS RunTask answers "
        "ClusterNotFoundException: Cluster not found. Correct the operator's argument `cluster` (or `region_name` or "
        "`aws_conn_id`, which choose region and account), or create the cluster."
    )
    assert error.code == "ClusterNotFoundException"
    assert type(error.__cause__).__name__ == "ClusterNotFoundException", "what the SDK said stays in the traceback"


@pytest.mark.usefixtures("closing")
async def test_account_is_named_once_it_is_known(lab: Lab) -> None:
    async with open_aws(AwsTarget(conn_id=None), Settings()) as access:
        await access.ecs.describe_clusters(["default"])
        with pytest.raises(NotFound, match=r"^Cluster 'nowhere' does not exist in us-east-1 \(account 123456789012\);"):
            await EcsLauncher(access.ecs).find_existing("nowhere", "me")


@pytest.mark.usefixtures("closing")
async def test_inactive_task_definition(lab: Lab) -> None:
    family = lab.define(container())
    lab.ecs.deregister_task_definition(taskDefinition=f"{family}:1")
    error = await refused({"taskDefinition": f"{family}:1"})
    assert type(error) is RequestRefused
    assert str(error) == (
        f"AWS refuses ECS RunTask in us-east-1 for task definition '{family}:1' in cluster 'default' "
        "(ClientException): TaskDefinition is inactive. That revision was deregistered: give the operator's argument "
        "`task_definition` an active revision, or the family alone for its latest one."
    )


@pytest.mark.usefixtures("closing")
@pytest.mark.parametrize(
    ("request_part", "advice"),
    [
        (
            {"taskDefinition": "no-such-family"},
            "TaskDefinition not found. Correct the operator's argument `task_definition`, or register it in this "
            "region and account.",
        ),
        (
            {"networkConfiguration": {}},
            "Network Configuration must be provided when networkMode 'awsvpc' is specified. The task definition has "
            "the network mode awsvpc: give the operator's argument `network_configuration`, {'awsvpcConfiguration': "
            "{'subnets': [...]}}.",
        ),
        (
            {"overrides": {"containerOverrides": [{"name": "nobody"}]}},
            "Override for container named nobody is not a container in the TaskDefinition. Correct the container's "
            "name in the operator's argument `overrides`, or the `task_definition`.",
        ),
        (
            {"overrides": {"taskRoleArn": "arn:aws:iam::123456789012:role/missing"}},
            "permissions to pass this role. Whoever manages that role must let ecs-tasks.amazonaws.com assume it, and "
            "let the credentials in use pass it (iam:PassRole).",
        ),
        (
            {"launchType": "MOON"},
            "launch type should be one of [EC2,FARGATE,EXTERNAL]. Correct the operator's arguments, or the task "
            "definition.",
        ),
    ],
)
async def test_refusal_quotes_ecs_and_names_the_argument(lab: Lab, request_part: dict[str, Any], advice: str) -> None:
    error = await refused({"taskDefinition": lab.define(container()), **request_part})
    assert type(error) is RequestRefused
    assert str(error).startswith("AWS refuses ECS RunTask in us-east-1 for task definition '")
    assert str(error).endswith(advice)


@pytest.mark.usefixtures("closing")
async def test_denied_and_expired_say_who_must_act_and_get_no_other_advice(lab: Lab) -> None:
    family = lab.define(container())
    faults = (Fault("RunTask", "access_denied", count=1), Fault("RunTask", "expired_token"))
    await asyncio.to_thread(lab.aws.control.add_faults, *faults)
    denied = await refused({"taskDefinition": family})
    assert type(denied) is AccessDenied
    assert f"must allow ecs:RunTask on arn:aws:ecs:us-east-1:123456789012:task-definition/{family}." in str(denied)
    expired = await refused({"taskDefinition": family})
    assert type(expired) is CredentialsExpired
    assert str(expired) == (
        f"AWS does not accept {THEIRS} for ECS RunTask in us-east-1 (ExpiredTokenException): whoever runs Airflow must "
        "renew them."
    )


def test_what_nobody_can_mend_gets_no_advice() -> None:
    for error in (Unavailable("AWS is away."), AccessDenied("Whoever manages IAM permissions must act.")):
        assert advised(error) is error


def test_a_second_request_of_one_try_says_where_to_look() -> None:
    error = advised(TokenConflict("ECS RunTask conflicts.", said="Tasks with clientToken exist"))
    assert type(error) is TokenConflict
    assert str(error) == (
        "ECS RunTask conflicts. This try of the Airflow task has already launched an ECS task with other arguments; "
        "look for it in the cluster. The next try launches independently of it."
    )


def test_advice_goes_by_what_aws_says_and_not_by_the_users_own_names() -> None:
    error = RequestRefused("AWS refuses it for task definition 'subnet-scan': Invalid.", said="Invalid.")
    assert str(advised(error)).endswith("Invalid. Correct the operator's arguments, or the task definition.")
