"""Errors over the wire become ours: class by code, and a sentence that says who must act."""

from __future__ import annotations

import copy
import json
import pickle
import traceback

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    TokenConflict,
    Unavailable,
)
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import TARGET

pytestmark = pytest.mark.usefixtures("closing")

HERE = "ECS DescribeTasks in eu-west-1"


@pytest.mark.parametrize(
    ("code", "status", "kind", "text"),
    [
        ("ThrottlingException", 400, Throttled, f"AWS throttles {HERE} (ThrottlingException): too many calls in this"),
        ("Throttling", 400, Throttled, f"AWS throttles {HERE} (Throttling)"),
        ("TooManyRequestsException", 429, Throttled, f"AWS throttles {HERE} (TooManyRequestsException)"),
        ("RequestLimitExceeded", 503, Throttled, f"AWS throttles {HERE} (RequestLimitExceeded)"),
        ("SomethingNew", 429, Throttled, f"AWS throttles {HERE} (SomethingNew)"),
        ("ServerException", 500, Unavailable, f"{HERE} failed on AWS's side (ServerException)."),
        ("ServiceUnavailable", 503, Unavailable, f"{HERE} failed on AWS's side (ServiceUnavailable)"),
        ("SomethingNew", 502, Unavailable, f"{HERE} failed on AWS's side (SomethingNew)"),
        ("AccessDeniedException", 400, AccessDenied, "AWS denies ecs:DescribeTasks to the credentials of Airflow"),
        ("SomethingNew", 403, AccessDenied, "AWS denies ecs:DescribeTasks to the credentials of Airflow connection"),
        *(
            (code, 400, CredentialsExpired, "AWS does not accept the credentials of Airflow connection 'aws_test' for "
             f"{HERE} ({code}): whoever manages Airflow connection 'aws_test' must renew them.")
            for code in ("ExpiredTokenException", "InvalidClientTokenId", "UnrecognizedClientException",
                         "InvalidSignatureException")
        ),
        ("ClusterNotFoundException", 400, NotFound,
         "Cluster 'c' does not exist in eu-west-1, in the account of the credentials of Airflow connection 'aws_test'; "
         "ECS DescribeTasks answers ClusterNotFoundException: said by AWS"),
        ("ResourceNotFoundException", 400, NotFound,
         f"{HERE} for cluster 'c' names something that does not exist (ResourceNotFoundException): said by AWS"),
        ("ConflictException", 400, TokenConflict,
         f"{HERE} for cluster 'c' conflicts with an earlier request of the same token"),
        ("InvalidParameterException", 400, RequestRefused,
         f"AWS refuses {HERE} for cluster 'c' (InvalidParameterException): said by AWS"),
        ("LimitExceededException", 400, RequestRefused,
         f"AWS refuses {HERE} for cluster 'c' (LimitExceededException): said by AWS"),
    ],
)  # fmt: skip
async def test_code_decides_and_the_message_says_who_must_act(
    aws: StandIn, connect: Connect, settings: Settings, code: str, status: int, kind: type[RemoteError], text: str
) -> None:
    connect()
    aws.error("DescribeTasks", code, status, times=2)
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(RemoteError) as caught:
            await access.ecs.describe_tasks("c", ["t"])
    error = caught.value
    assert type(error) is kind
    assert str(error).startswith(text)
    assert (error.service, error.operation, error.code, error.request_id) == ("ecs", "DescribeTasks", code, "request-1")
    assert error.said == "said by AWS"
    assert error.__cause__ is not None
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), str(again), again.code) == (kind, str(error), code)


async def test_denial_names_principal_action_and_resource(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    who, what = "arn:aws:sts::123456789012:assumed-role/air/flow", "arn:aws:logs:eu-west-1:123456789012:log-group:g"
    aws.error(
        "FilterLogEvents",
        "AccessDeniedException",
        400,
        f"User: {who} is not authorized to perform: logs:FilterLogEvents on resource: {what} because no policy allows",
    )
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(AccessDenied) as caught:
            await access.logs().filter_log_events("g", ["s"], start_ms=0)
    assert str(caught.value) == (
        f"AWS denies logs:FilterLogEvents to {who}. "
        f"Whoever manages IAM permissions must allow logs:FilterLogEvents on {what}."
    )


PASS_ROLE = (
    "User: arn:aws:sts::123456789012:assumed-role/air/flow is not authorized to perform: iam:PassRole on resource: "
    "arn:aws:iam::123456789012:role/task because no identity-based policy allows the iam:PassRole action"
)

BY_POLICY = (
    "User: arn:aws:iam::123456789012:user/air is not authorized to perform: ecs:RunTask on resource: "
    "arn:aws:ecs:eu-west-1:123456789012:task-definition/d:1 with an explicit deny in a service control policy"
)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        (
            PASS_ROLE,
            "AWS denies iam:PassRole to arn:aws:sts::123456789012:assumed-role/air/flow, and ECS RunTask in eu-west-1 "
            "for task definition 'd:1' in cluster 'default' needs it. Whoever manages IAM permissions must allow "
            "iam:PassRole on arn:aws:iam::123456789012:role/task.",
        ),
        (
            BY_POLICY,
            "AWS denies ecs:RunTask to arn:aws:iam::123456789012:user/air. Whoever manages IAM permissions must lift "
            "the explicit deny in a service control policy for ecs:RunTask on "
            "arn:aws:ecs:eu-west-1:123456789012:task-definition/d:1.",
        ),
        (
            "no",
            "AWS denies ecs:RunTask to the credentials of Airflow connection 'aws_test'. Whoever manages IAM "
            "permissions must allow ecs:RunTask for task definition 'd:1' in cluster 'default'.",
        ),
    ],
)
async def test_denied_launch_names_what_was_denied_and_not_what_was_called(
    aws: StandIn, connect: Connect, settings: Settings, said: str, text: str
) -> None:
    connect()
    aws.error("RunTask", "AccessDeniedException", message=said)
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(AccessDenied) as caught:
            await access.ecs.run_task({"taskDefinition": "d:1", "count": 1})
    assert str(caught.value) == text


async def refused_environment(settings: Settings, environment: object) -> RequestRefused:
    """How RunTask with that environment of a container is refused."""
    request = {
        "taskDefinition": "d",
        "overrides": {"containerOverrides": [{"name": "c", "environment": environment}]},
    }
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(RequestRefused) as caught:
            await access.ecs.run_task(request)
    return caught.value


@pytest.mark.parametrize(
    ("environment", "said"),
    [
        ([{"name": "A", "value": ["hunter2, valid: S3CR3T"]}], "environment[0].value: <class 'list'>, valid types: "),
        ([{"name": "A", "value": b"a=b, type: <class 'x'>, S3CR3T"}], "environment[0].value: <class 'bytes'>, valid"),
        ([{"name": "A", "value": ["x\nInvalid type for parameter S3CR3T, value: "]}], "environment[0].value"),
        ([{"name": "A", "value": {"S3CR3T": ", value: 1"}}, {"name": 3}], "environment[0].value"),
        ("A=S3CR3T", "containerOverrides[0].environment: <class 'str'>, valid types: <class 'list'>, <class 'tuple'>"),
        ([{"name": "A", "value": "S3CR3T", "typo": "S3CR3T"}], 'Unknown parameter in overrides.containerOverrides[0]'),
    ],
)  # fmt: skip
async def test_of_a_refused_argument_path_and_type_are_shown_whatever_its_value_holds(
    aws: StandIn, connect: Connect, settings: Settings, environment: object, said: str
) -> None:
    connect()
    error = await refused_environment(settings, environment)
    assert said in str(error)
    assert "S3CR3T" not in "".join(traceback.format_exception(error))


async def test_refused_argument_is_named_without_its_value(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    error = await refused_environment(settings, [{"name": "PASSWORD", "value": {"hunter2": 1}}])
    assert "overrides.containerOverrides[0].environment[0].value" in str(error)
    assert "hunter2" not in "".join(traceback.format_exception(error))
    assert aws.count("RunTask") == 0


async def test_throttling_slows_the_bucket_of_the_account(aws: StandIn, connect: Connect, settings: Settings) -> None:
    from asyncrun.clients.budget import Group, statistics

    connect()
    aws.error("DescribeTasks", "ThrottlingException", times=2)
    async with open_aws(TARGET, settings, account="444444444444") as access:
        with pytest.raises(Throttled):
            await access.ecs.describe_tasks("c", ["t"])
    bucket = statistics()["444444444444", "eu-west-1", Group.ECS_READS]
    assert bucket.throttled == 1
    assert bucket.calls == 2, "the SDK's own retry counts"
    assert bucket.rate < settings.describe_rate


def test_copy_of_an_error_keeps_the_facts() -> None:
    error = Throttled("slow", service="ecs", operation="RunTask", code="Throttling", request_id="r", said="Rate")
    again = copy.copy(error)
    assert json.dumps(vars(again)) == json.dumps(vars(error))


def test_advice_is_one_more_sentence_of_the_same_error() -> None:
    cause = ValueError("of the SDK")
    error = NotFound("Nothing there.", service="ecs", code="C", said="gone")
    error.__cause__ = cause
    advised = error.advising("Create it.")
    assert (type(advised), str(advised), advised.said) == (NotFound, "Nothing there. Create it.", "gone")
    assert advised.__cause__ is cause
    assert str(error) == "Nothing there."
    assert str(pickle.loads(pickle.dumps(advised))) == "Nothing there. Create it."
