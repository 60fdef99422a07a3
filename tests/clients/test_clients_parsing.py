"""Answers that are read without the SDK's parser are the same, and errors are still the SDK's to read."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from asyncrun.clients.accounts import account_in
from asyncrun.clients.credentials import _prepared
from asyncrun.clients.faults import sdk_errors
from asyncrun.clients.parsing import read_cheaply
from asyncrun.model.ecs import parse_task
from benchmarks.standin import Options, StandIn, TaskSpec


@pytest.fixture(scope="module")
def standin() -> Iterator[StandIn]:
    with StandIn(Options(page_events=7)) as server:
        yield server


@asynccontextmanager
async def _client(url: str, service: str, *, cheap: bool) -> AsyncIterator[Any]:
    from aiobotocore.config import AioConfig
    from aiobotocore.session import get_session

    creator = _prepared(get_session()).create_client(
        service,
        region_name="us-east-1",
        endpoint_url=url,
        aws_access_key_id="x",
        aws_secret_access_key="x",
        config=AioConfig(retries={"max_attempts": 0}),
    )
    async with creator as client:
        if cheap:
            read_cheaply(client)
        yield client


async def _answers(url: str, service: str, operation: str, **arguments: Any) -> tuple[Any, Any]:
    found = []
    for cheap in (False, True):
        async with _client(url, service, cheap=cheap) as client:
            answer = await getattr(client, operation)(**arguments)
            meta = answer.pop("ResponseMetadata")
            assert (meta["HTTPStatusCode"], meta["RetryAttempts"]) == (200, 0)
            found.append(answer)
    return found[0], found[1]


async def test_of_tasks_what_we_use_is_read_as_the_sdk_reads_it(standin: StandIn) -> None:
    arns = [task["arn"] for task in standin.create(2, TaskSpec(lifetime=60))]
    arns += [task["arn"] for task in standin.create(2, TaskSpec(lifetime=0, exit_codes=(7,)))]
    sdks, ours = await _answers(standin.url, "ecs", "describe_tasks", tasks=[*arns, arns[0][:-4] + "0000"])
    assert [parse_task(one) for one in ours["tasks"]] == [parse_task(one) for one in sdks["tasks"]]
    assert [one.stopped_reason != "" for one in map(parse_task, ours["tasks"])] == [False, False, True, True]
    assert account_in(ours) == account_in(sdks) is not None
    assert ours["failures"] == sdks["failures"]
    assert [one["reason"] for one in ours["failures"]] == ["MISSING"]


async def test_what_we_do_not_use_of_a_task_is_not_read(standin: StandIn) -> None:
    arn = standin.create(1, TaskSpec(lifetime=60))[0]["arn"]
    sdks, ours = await _answers(standin.url, "ecs", "describe_tasks", tasks=[arn])
    assert len(repr(ours)) < len(repr(sdks)) / 5
    assert "overrides" in sdks["tasks"][0]
    assert "overrides" not in ours["tasks"][0]


@pytest.mark.parametrize("odd", [{"containers": "none"}, {"containers": [None]}, "no task", None, 7])
async def test_a_task_of_another_form_is_no_other_tasks_trouble(odd: Any) -> None:
    good = {"taskArn": "arn:aws:ecs:us-east-1:123456789012:task/c/1", "version": 3, "lastStatus": "RUNNING"}
    body = json.dumps({"tasks": [good, odd], "failures": [], "more": 1}).encode()
    response: dict[str, Any] = {"status_code": 200, "body": body}
    async with _client("http://127.0.0.1:9", "ecs", cheap=True) as client:
        answer: dict[str, Any] = {}
        await client.meta.events.emit(
            "before-parse.ecs.DescribeTasks", response_dict=response, customized_response_dict=answer
        )
    assert answer["tasks"] == [good, odd]


@pytest.mark.parametrize("operation", ["filter_log_events", "get_log_events"])
async def test_log_events_are_read_as_the_sdk_reads_them(standin: StandIn, operation: str) -> None:
    task = standin.create(1, TaskSpec(lifetime=0.0, last_lines=20, lines_per_second=0, ingest_delay=0))[0]
    stream = next(iter(task["streams"].values()))
    which = {"logStreamNames": [stream]} if operation == "filter_log_events" else {"logStreamName": stream}
    ours, sdks = await _answers(standin.url, "logs", operation, logGroupName=task["log_group"], **which)
    assert ours == sdks
    assert len(ours["events"]) == 7


async def test_errors_have_the_codes_of_aws(standin: StandIn) -> None:
    from botocore.exceptions import ClientError

    async with _client(standin.url, "ecs", cheap=True) as ecs:
        with pytest.raises(ClientError, match="ClusterNotFoundException"):
            await ecs.describe_tasks(cluster="nowhere", tasks=["x"])


@pytest.mark.parametrize("body", [b"<html>a proxy's page</html>", b"[1]", b'"text"', b"", b'{"tasks": [', b"\xff"])
async def test_what_is_no_answer_ends_as_it_does_with_the_sdks_parser(body: bytes) -> None:
    """The SDK's parser raises for some, and makes an answer without tasks of others: so do we."""
    from aiohttp import web
    from aiohttp.test_utils import TestServer

    async def answer(_: web.Request) -> web.Response:
        return web.Response(body=body, content_type="application/x-amz-json-1.1")

    application = web.Application()
    application.router.add_route("*", "/{any:.*}", answer)
    endings = []
    async with TestServer(application) as server:
        for cheap in (False, True):
            async with _client(str(server.make_url("")), "ecs", cheap=cheap) as ecs:
                try:
                    answered = await ecs.describe_tasks(tasks=["x"])
                    endings.append(json.dumps(sorted(set(answered) - {"ResponseMetadata", "message"})))
                except sdk_errors() as error:
                    endings.append(type(error).__name__)
    assert endings[0] == endings[1]


async def test_other_operations_and_other_clients_are_left_to_the_sdk(standin: StandIn) -> None:
    standin.create(1)
    async with _client(standin.url, "ecs", cheap=True) as ours, _client(standin.url, "ecs", cheap=False) as other:
        seen: list[bytes] = []
        for client in (ours, other):
            client.meta.events.register_last(
                "before-parse.ecs", lambda response_dict, **_: seen.append(response_dict["body"])
            )
        await ours.list_tasks()
        await other.describe_tasks(tasks=["x"])
    assert all(seen), "the SDK's parser gets the body"
