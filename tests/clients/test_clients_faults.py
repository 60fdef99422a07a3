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
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    TokenConflict,
    Unavailable,
)
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn

TARGET = AwsTarget(conn_id="aws_test")
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
        ("ServerException", 500, Unavailable, f"{HERE} failed on AWS's side (ServerException); it is tried again."),
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
         f"{HERE} names something that does not exist (ClusterNotFoundException): said by AWS"),
        ("ResourceNotFoundException", 400, NotFound, f"{HERE} names something that does not exist"),
        ("ConflictException", 400, TokenConflict, f"{HERE} conflicts with an earlier request of the same token"),
        ("InvalidParameterException", 400, RequestRefused,
         f"AWS refuses {HERE} (InvalidParameterException): said by AWS"),
        ("LimitExceededException", 400, RequestRefused, f"AWS refuses {HERE} (LimitExceededException): said by AWS"),
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


async def test_no_answer_is_unavailable(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", (0, None), (0, None))
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(Unavailable) as caught:
            await access.ecs.describe_tasks("c", ["t"])
        assert str(caught.value) == f"{HERE} got no answer (ConnectionClosedError); it is tried again."
    connect(conn_id="aws_away", endpoint_url="http://127.0.0.1:9")
    async with open_aws(AwsTarget(conn_id="aws_away"), settings) as access:
        with pytest.raises(Unavailable, match=r"got no answer \(EndpointConnectionError\)"):
            await access.ecs.describe_tasks("c", ["t"])


async def test_connection_cut_once_is_absorbed(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", (0, None))
    async with open_aws(TARGET, settings) as access:
        assert (await access.ecs.describe_tasks("c", ["t"])).items == []


@pytest.mark.parametrize("answer", ["not json", {"tasks": "none"}, {"failures": []}, [1]])
async def test_answer_of_another_form_is_malformed(
    aws: StandIn, connect: Connect, settings: Settings, answer: object
) -> None:
    connect()
    aws.reply("DescribeTasks", (200, answer))
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(MalformedAnswer, match=f"^The answer to {HERE} cannot be read: "):
            await access.ecs.describe_tasks("c", ["t"])


async def test_elements_that_are_no_objects_do_not_spoil_the_others(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.reply("DescribeTasks", (200, {"tasks": ["a", {"taskArn": "t"}, 3]}))
    async with open_aws(TARGET, settings) as access:
        assert (await access.ecs.describe_tasks("c", ["t"])).items == [{"taskArn": "t"}]


async def test_html_error_page_of_a_proxy_is_unavailable(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", *[(502, "<html>bad gateway</html>")] * 2)
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(Unavailable):
            await access.ecs.describe_tasks("c", ["t"])


async def test_refused_argument_is_named_without_its_value(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    environment = [{"name": "PASSWORD", "value": {"hunter2": 1}}]
    request = {
        "taskDefinition": "d",
        "overrides": {"containerOverrides": [{"name": "c", "environment": environment}]},
    }
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(RequestRefused) as caught:
            await access.ecs.run_task(request)
    shown = "".join(traceback.format_exception(caught.value))
    assert "overrides.containerOverrides[0].environment[0].value" in str(caught.value)
    assert "hunter2" not in shown
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
    error = Throttled("slow", service="ecs", operation="RunTask", code="Throttling", request_id="r")
    again = copy.copy(error)
    assert json.dumps(vars(again)) == json.dumps(vars(error))
