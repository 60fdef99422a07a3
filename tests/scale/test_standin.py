"""The stand-in answers as AWS does, where a measurement depends on it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest

from benchmarks.standin import Options, StandIn, TaskSpec
from benchmarks.standin.simulation import LOG_GROUP
from tests.support.lab import until


@pytest.fixture
def standin() -> Iterator[StandIn]:
    with StandIn() as server:
        yield server


def _client(server: StandIn, service: str) -> Any:
    from botocore.config import Config
    from botocore.session import Session

    return Session().create_client(
        service,
        region_name="us-east-1",
        endpoint_url=server.url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=Config(retries={"max_attempts": 0}, proxies={}),
    )


def _refused(what: str) -> Any:
    """The SDK raises an error that says so."""
    from botocore.exceptions import ClientError

    return pytest.raises(ClientError, match=what)


def _written(server: StandIn, count: int, **spec: Any) -> list[dict[str, Any]]:
    """Tasks that have written all their lines already."""
    tasks = server.create(count, TaskSpec(lifetime=0.2, lines_per_second=50, ingest_delay=0, **spec))
    until(lambda: _last_line_readable_at(server), lambda at: at < time.time())
    return tasks


def _last_line_readable_at(server: StandIn) -> float:
    return max(at for run in server.truth() for lines in run["lines"].values() for _, at in lines)


def test_a_launch_with_the_same_token_is_the_same_task_and_with_other_parameters_a_conflict(standin: StandIn) -> None:
    ecs = _client(standin, "ecs")
    standin.create(1)
    spec = {"name": "STANDIN_SPEC", "value": json.dumps({"lifetime": 0.1, "exit_codes": [7]})}
    request = {
        "taskDefinition": "bench-main",
        "clientToken": "once",
        "overrides": {"containerOverrides": [{"name": "main", "environment": [spec]}]},
    }
    first = ecs.run_task(**request)["tasks"][0]["taskArn"]
    assert ecs.run_task(**request)["tasks"][0]["taskArn"] == first
    with _refused("ConflictException"):
        ecs.run_task(**request, startedBy="me")
    task = until(
        lambda: ecs.describe_tasks(tasks=[first])["tasks"][0], lambda task: task["lastStatus"] == "DEPROVISIONING"
    )
    assert (task["lastStatus"], task["desiredStatus"], task["containers"][0]["exitCode"]) == (
        "DEPROVISIONING",
        "STOPPED",
        7,
    )


def test_an_unknown_task_is_missing_and_more_than_a_hundred_are_refused(standin: StandIn) -> None:
    ecs = _client(standin, "ecs")
    known = standin.create(1)[0]["arn"]
    answer = ecs.describe_tasks(tasks=[known, known[:-4] + "0000"])
    assert [one["taskArn"] for one in answer["tasks"]] == [known]
    assert [one["reason"] for one in answer["failures"]] == ["MISSING"]
    assert 3000 < len(json.dumps(answer["tasks"][0], default=str)) < 5000, "as large as a real one"
    with _refused("length less than or equal to 100"):
        ecs.describe_tasks(tasks=[known] * 101)


def test_each_change_of_state_is_a_greater_version(standin: StandIn) -> None:
    ecs = _client(standin, "ecs")
    arn = standin.create(1, TaskSpec(lifetime=60, stop_delay=0.5, deprovisioning=0.5))[0]["arn"]
    seen: list[Any] = []

    def look() -> str:
        task = ecs.describe_tasks(tasks=[arn])["tasks"][0]
        if not seen or task["version"] != seen[-1]["version"]:
            seen.append(task)
        return str(task["lastStatus"])

    look()
    ecs.stop_task(task=arn, reason="enough")
    until(look, lambda status: status == "STOPPED")
    assert [one["lastStatus"] for one in seen] == ["RUNNING", "RUNNING", "DEPROVISIONING", "STOPPED"]
    versions = [one["version"] for one in seen]
    assert versions == sorted(set(versions))
    assert (seen[-1]["stopCode"], seen[-1]["stoppedReason"]) == ("UserInitiated", "enough")


def test_one_stream_that_does_not_exist_yet_refuses_the_whole_call(standin: StandIn) -> None:
    logs = _client(standin, "logs")
    old = _written(standin, 1)[0]["streams"]["main"]
    new = standin.create(1)[0]["streams"]["main"]
    assert logs.filter_log_events(logGroupName=LOG_GROUP, logStreamNames=[old])["events"]
    with _refused("ResourceNotFoundException"):
        logs.filter_log_events(logGroupName=LOG_GROUP, logStreamNames=[old, new])


def test_pages_of_both_apis_give_every_line_once_and_in_order(standin: StandIn) -> None:
    standin.options(page_events=7, empty_pages=0.3)
    logs = _client(standin, "logs")
    streams = [one["streams"]["main"] for one in _written(standin, 3, last_lines=5)]
    events: list[Any] = []
    for page in logs.get_paginator("filter_log_events").paginate(logGroupName=LOG_GROUP, logStreamNames=streams):
        events += page["events"]
    assert len({one["eventId"] for one in events}) == len(events) == 3 * 15
    assert [one["timestamp"] for one in events] == sorted(one["timestamp"] for one in events)
    standin.options(page_events=7, empty_pages=0)
    got, token = [], None
    while True:
        more = {"nextToken": token} if token else {}
        page = logs.get_log_events(logGroupName=LOG_GROUP, logStreamName=streams[0], startFromHead=True, **more)
        got += page["events"]
        if page["nextForwardToken"] == token:
            break
        token = page["nextForwardToken"]
    assert [one["message"] for one in got] == [one["message"] for one in events if one["logStreamName"] == streams[0]]


def test_lines_are_readable_from_the_time_that_the_truth_says(standin: StandIn) -> None:
    logs = _client(standin, "logs")
    spec = TaskSpec(lifetime=1.0, lines_per_second=20, flush=0.5, ingest_delay=0.1, late_share=0.5, late_by=0.4)
    stream = standin.create(1, spec)[0]["streams"]["main"]
    first = min(at for _, at in standin.truth()[0]["lines"]["main"])
    until(time.time, lambda now: now > first)
    asked = time.time()
    seen = len(logs.filter_log_events(logGroupName=LOG_GROUP, logStreamNames=[stream])["events"])
    answered = time.time()
    readable = [at for _, at in standin.truth()[0]["lines"]["main"]]
    assert sum(at <= asked for at in readable) <= seen <= sum(at <= answered for at in readable)
    assert 0 < seen < 10


def _ask_often(logs: Any, stream: str) -> None:
    for _ in range(50):
        logs.filter_log_events(logGroupName=LOG_GROUP, logStreamNames=[stream])


def test_quotas_throttle_like_aws() -> None:
    with StandIn(Options(quotas=True)) as server:
        logs = _client(server, "logs")
        stream = _written(server, 1)[0]["streams"]["main"]
        with _refused("ThrottlingException"):
            _ask_often(logs, stream)
        assert 5 <= server.counts()["FilterLogEvents"]["calls"] <= 10
