"""EcsApi and LogsApi over the wire."""

from __future__ import annotations

import pytest

from asyncrun.clients.api import AwsAccess, EcsApi, Failure, LogEvent, LogsApi
from asyncrun.clients.aws import open_aws
from asyncrun.model.ecs import parse_task
from asyncrun.model.errors import MalformedAnswer, NotFound, NotShown, RequestRefused, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import TARGET

ARN = "arn:aws:ecs:eu-west-1:123456789012:task/c/0123456789abcdef0123456789abcdef"
pytestmark = pytest.mark.usefixtures("closing")


async def test_times_are_numbers_and_one_odd_task_does_not_spoil_the_others(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    good = {
        "taskArn": ARN,
        "lastStatus": "RUNNING",
        "desiredStatus": "RUNNING",
        "createdAt": 1700000000.25,
        "version": 3,
    }
    odd = {"taskArn": ARN + "0", "lastStatus": None, "createdAt": "yesterday", "version": "x"}
    aws.reply(
        "DescribeTasks",
        (200, {"tasks": [odd, good], "failures": [{"arn": "a", "reason": "MISSING"}, {"detail": "d"}]}),
    )
    async with open_aws(TARGET, settings) as access:
        described = await access.ecs.describe_tasks("c", (ARN, ARN + "0"))
    assert described.failures == [Failure("a", "MISSING"), Failure("", "", "d")]
    assert described.items[1] == good
    assert parse_task(described.items[1]).created_at == 1700000000.25
    with pytest.raises(MalformedAnswer):
        parse_task(described.items[0])
    assert aws.calls["DescribeTasks"][0][1] == {"cluster": "c", "tasks": [ARN, ARN + "0"]}


async def test_list_tasks_reads_every_page(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("ListTasks", (200, {"taskArns": ["a"], "nextToken": "n"}), (200, {"taskArns": ["b"]}))
    async with open_aws(TARGET, settings) as access:
        assert await access.ecs.list_tasks("c", started_by="me", desired_status="STOPPED") == ["a", "b"]
    first, second = (arguments for _, arguments in aws.calls["ListTasks"])
    assert first == {"cluster": "c", "startedBy": "me", "desiredStatus": "STOPPED"}
    assert second == {**first, "nextToken": "n"}


async def test_run_task_sends_exactly_the_request(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    request = {"taskDefinition": "d:1", "cluster": "c", "group": "g", "clientToken": "t", "count": 1}
    aws.reply("RunTask", (200, {"tasks": [], "failures": [{"reason": "RESOURCE:MEMORY"}]}))
    async with open_aws(TARGET, settings) as access:
        described = await access.ecs.run_task(request)
    assert aws.calls["RunTask"][0][1] == request
    assert described.failures[0].reason == "RESOURCE:MEMORY"


async def test_stopping_what_has_stopped_is_no_error_and_what_is_not_shown_is_told_apart(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.error("StopTask", "InvalidParameterException", message="The referenced task was not found.", times=2)
    aws.reply(
        "DescribeTasks",
        (200, {"tasks": [], "failures": [{"arn": ARN, "reason": "MISSING"}]}),
        (200, {"tasks": [{"taskArn": ARN, "lastStatus": "STOPPED"}]}),
    )
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(NotShown) as caught:
            await access.ecs.stop_task("c", ARN, "killed")
        await access.ecs.stop_task("c", ARN, "killed")
    assert str(caught.value) == f"ECS does not show task {ARN}: it is too young, or it was forgotten after its end."
    assert isinstance(caught.value, Unavailable), "to be tried again, for whoever knows no better"
    assert aws.calls["StopTask"][0][1] == {"cluster": "c", "task": ARN, "reason": "killed"}


async def test_refused_stop_of_a_running_task_is_an_error(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.error("StopTask", "InvalidParameterException", message="reason is too long")
    aws.reply("DescribeTasks", (200, {"tasks": [{"taskArn": ARN, "lastStatus": "RUNNING"}]}))
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(RequestRefused, match="reason is too long"):
            await access.ecs.stop_task("c", ARN, "killed")


async def test_unknown_task_definition_is_not_found(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.error("DescribeTaskDefinition", "ClientException", message="Unable to describe task definition.")
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(NotFound) as caught:
            await access.ecs.describe_task_definition("d:9")
    assert str(caught.value) == (
        "Task definition 'd:9' does not exist in eu-west-1, in the account of the credentials of Airflow connection "
        "'aws_test'; ECS DescribeTaskDefinition answers ClientException: Unable to describe task definition."
    )


@pytest.mark.parametrize(
    ("operation", "call", "name"),
    [
        ("CreateCluster", lambda ecs: ecs.create_cluster({"clusterName": "c"}), "cluster"),
        ("DeleteCluster", lambda ecs: ecs.delete_cluster("c"), "cluster"),
        (
            "RegisterTaskDefinition",
            lambda ecs: ecs.register_task_definition({"family": "f", "containerDefinitions": []}),
            "taskDefinition",
        ),
        ("DeregisterTaskDefinition", lambda ecs: ecs.deregister_task_definition("f:1"), "taskDefinition"),
        ("DescribeTaskDefinition", lambda ecs: ecs.describe_task_definition("f:1"), "taskDefinition"),
    ],
)
async def test_single_objects_are_handed_out_or_missed(
    aws: StandIn, connect: Connect, settings: Settings, operation: str, call: object, name: str
) -> None:
    connect()
    aws.reply(operation, (200, {name: {"status": "ACTIVE", "registeredAt": 1.5}}), (200, {}))
    async with open_aws(TARGET, settings, account=operation) as access:
        found = await call(access.ecs)  # type: ignore[operator]
        assert found["status"] == "ACTIVE"
        assert found.get("registeredAt", 1.5) == 1.5
    aws.replies[operation].clear()
    aws.reply(operation, (200, {}))
    async with open_aws(TARGET, settings, account=operation + "2") as access:
        with pytest.raises(MalformedAnswer, match=f"^The answer to ECS {operation} in eu-west-1 cannot .* no {name}"):
            await call(access.ecs)  # type: ignore[operator]


async def test_filtered_events_and_empty_pages(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    event = {"logStreamName": "s", "eventId": "e", "timestamp": 5, "ingestionTime": 6, "message": "hello"}
    aws.reply(
        "FilterLogEvents",
        (200, {"events": [], "nextToken": "n"}),
        (200, {"events": [event, {"logStreamName": "s", "ingestionTime": 7, "message": "late"}]}),
    )
    async with open_aws(TARGET, settings) as access:
        empty = await access.logs().filter_log_events("g", ["s"], start_ms=3)
        page = await access.logs().filter_log_events("g", ["s"], start_ms=3, next_token=empty.next_token)
    assert (empty.events, empty.next_token) == ([], "n")
    assert page.next_token is None
    assert page.events == [LogEvent("s", "e", 5, 6, "hello"), LogEvent("s", "", 7, 7, "late")]
    assert aws.calls["FilterLogEvents"][1][1] == {
        "logGroupName": "g",
        "logStreamNames": ["s"],
        "startTime": 3,
        "interleaved": True,
        "nextToken": "n",
    }


async def test_events_of_one_stream(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply(
        "GetLogEvents",
        (200, {"events": [{"timestamp": 5, "ingestionTime": 6, "message": "x"}], "nextForwardToken": "f/1"}),
        (200, {"events": [], "nextForwardToken": "f/1"}),
        (200, {"events": []}),
    )
    async with open_aws(TARGET, settings) as access:
        logs = access.logs("us-east-1")
        page = await logs.get_log_events("g", "s", start_ms=3)
        last = await logs.get_log_events("g", "s", start_ms=3, next_token=page.next_token)
        with pytest.raises(MalformedAnswer, match="no nextForwardToken"):
            await logs.get_log_events("g", "s", start_ms=3, next_token=page.next_token)
    assert page.events == [LogEvent("s", "", 5, 6, "x")]
    assert last.next_token == page.next_token == "f/1"
    assert aws.calls["GetLogEvents"][0][1]["startFromHead"] is True


async def test_missing_stream_is_not_found(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.error("FilterLogEvents", "ResourceNotFoundException", message="The specified log stream does not exist.")
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(NotFound, match="The specified log stream does not exist"):
            await access.logs().filter_log_events("g", ["s"], start_ms=0)


async def test_facades_are_what_api_py_says(connect: Connect, settings: Settings) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        whole: AwsAccess = access
        ecs: EcsApi = whole.ecs
        logs: LogsApi = whole.logs()
        assert len({whole.key, ecs.key, logs.key}) == 3, "hashable"
