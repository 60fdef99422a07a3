"""An embedded AWS and the hands to work with it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from asyncrun.local.aws import EmbeddedAws, LifecycleDelays

FARGATE: dict[str, Any] = {
    "launchType": "FARGATE",
    "networkConfiguration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
}
QUICK = LifecycleDelays(provisioning=0.05, pending=0.05, deprovisioning=0.1)


@dataclass
class Lab:
    """A server, its clients, and what every test does with them."""

    aws: EmbeddedAws
    ecs: Any = field(init=False)
    logs: Any = field(init=False)
    families: int = 0

    def __post_init__(self) -> None:
        self.ecs = self.client("ecs")
        self.logs = self.client("logs")

    def client(self, service: str, **changed: Any) -> Any:
        import boto3
        from botocore.config import Config

        config = Config(retries={"total_max_attempts": 1, "mode": "standard"}, read_timeout=20)
        return boto3.client(service, config=config, **{**self.aws.client_options(), **changed})

    def define(self, *containers: dict[str, Any], fargate: bool = True, **more: Any) -> str:
        """Registers a task definition of these containers and returns its family."""
        self.families += 1
        family = f"family-{self.families}"
        kind = {"requiresCompatibilities": ["FARGATE"], "networkMode": "awsvpc", "cpu": "256", "memory": "512"}
        self.ecs.register_task_definition(
            family=family, containerDefinitions=list(containers), **{**(kind if fargate else {}), **more}
        )
        return family

    def run(self, *containers: dict[str, Any], **params: Any) -> str:
        """Runs these containers as one Fargate task and returns its ARN."""
        answer = self.ecs.run_task(taskDefinition=self.define(*containers), **{**FARGATE, **params})
        assert answer["failures"] == []
        return str(answer["tasks"][0]["taskArn"])

    def describe(self, arn: str, **params: Any) -> dict[str, Any]:
        answer = self.ecs.describe_tasks(tasks=[arn], **params)
        assert answer["failures"] == []
        return dict(answer["tasks"][0])

    def wait(self, arn: str, status: str = "STOPPED") -> dict[str, Any]:
        """The task once it has this lastStatus."""
        return until(lambda: self.describe(arn), lambda task: task["lastStatus"] == status)

    def stream_names(self, group: str = "/lab") -> list[str]:
        pages = self.logs.get_paginator("describe_log_streams").paginate(logGroupName=group)
        return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]

    def lines(self, stream: str, group: str = "/lab", client: Any = None) -> list[str]:
        """All messages of a stream, by FilterLogEvents."""
        pages = (
            (client or self.logs)
            .get_paginator("filter_log_events")
            .paginate(logGroupName=group, logStreamNames=[stream])
        )
        return [event["message"] for page in pages for event in page["events"]]


def refused(call: Any, code: str, message: str, **params: Any) -> dict[str, Any]:
    """The whole answer to a call that must be refused with that code, and that text in its message."""
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert message in error["Message"]
    return dict(caught.value.response)


def until(read: Callable[[], Any], good: Callable[[Any], Any], timeout: float = 15) -> Any:
    """Reads until the value is good: what is watched are real processes, so real time passes."""
    deadline = time.monotonic() + timeout
    while not good(value := read()):
        assert time.monotonic() < deadline, f"still {value}"
        time.sleep(0.02)
    return value


def container(command: str | None = None, name: str = "main", **more: Any) -> dict[str, Any]:
    """A container definition that runs a shell command."""
    run = {} if command is None else {"entryPoint": ["/bin/sh", "-c"], "command": [command]}
    return {"name": name, "image": "busybox", **run, **more}


def logging_to(group: str = "/lab", prefix: str | None = "p", **options: str) -> dict[str, Any]:
    """A container definition's logConfiguration with the awslogs driver."""
    driver = {"awslogs-group": group, "awslogs-region": "us-east-1", **options}
    if prefix is not None:
        driver["awslogs-stream-prefix"] = prefix
    return {"logConfiguration": {"logDriver": "awslogs", "options": driver}}
