"""An AWS in memory, for what takes minutes: in virtual time no other process can take part."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from typing import Any

from asyncrun.clients import aws as clients_aws
from asyncrun.clients.api import Described, Failure, LogEvent, LogPage
from asyncrun.clients.credentials import target_hash
from asyncrun.model.errors import NotFound, RemoteError
from asyncrun.model.refs import AwsTarget
from tests.support.lab import container, logging_to


def arn_of(number: int) -> str:
    return f"arn:aws:ecs:us-east-1:123456789012:task/default/{number:032x}"


def stream_of(number: int) -> str:
    return f"p/main/{number:032x}"


def at(seconds: float, work: Callable[[], object]) -> None:
    """Do that then."""
    asyncio.get_running_loop().call_later(seconds, work)


class MemoryAws:
    """
    One target's shared way to AWS, in memory: stands where ``open_aws`` looks for one, so everything above is real.

    Each call takes 50 ms. ``fault`` may raise for a call.
    """

    region = "us-east-1"
    ahead = 0.0

    def __init__(self, target: AwsTarget) -> None:
        self.key = ("memory", id(self))
        self.tasks: dict[str, dict[str, Any]] = {}
        self.lines: dict[str, list[str]] = {}
        self.fault: Callable[[str], RemoteError | None] = lambda operation: None
        self.stop_ends = True
        self.status = "ACTIVE"
        self.known = True  # clusters and task definitions
        self.users = 0
        self.written = int(time.time()) * 1000  # ms since the epoch, all lines; in virtual time the epoch stands still
        clients_aws._registry()[target_hash(target)] = self  # type: ignore[assignment]

    @property
    def ecs(self) -> Any:
        return self

    def logs(self, region: str | None = None) -> Any:
        return self

    def put(self, number: int, status: str = "RUNNING", **more: Any) -> str:
        arn = arn_of(number)
        old = self.tasks.get(arn, {"version": 0})
        self.tasks[arn] = {
            "taskArn": arn, "taskDefinitionArn": "arn:def:1", "lastStatus": status, "desiredStatus": status,
            "version": old["version"] + 1, "createdAt": time.time(), "startedAt": time.time(),
            "containers": [{"name": "main", "lastStatus": status}], **more,
        }  # fmt: skip
        return arn

    def finish(self, number: int, code: int = 0, stop_code: str = "EssentialContainerExited") -> str:
        main = {"name": "main", "lastStatus": "STOPPED", "exitCode": code}
        return self.put(
            number, "STOPPED", containers=[main], stopCode=stop_code, stoppedReason="Essential container exited"
        )

    async def _call(self, operation: str) -> None:
        await asyncio.sleep(0.05)
        if (error := self.fault(operation)) is not None:
            raise error

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        await self._call("DescribeTasks")
        missing = [Failure(arn, "MISSING") for arn in arns if arn not in self.tasks]
        return Described([dict(self.tasks[arn]) for arn in arns if arn in self.tasks], missing)

    async def describe_clusters(self, names: Sequence[str]) -> Described:
        await self._call("DescribeClusters")
        if not self.known:
            return Described([], [Failure(name, "MISSING") for name in names])
        return Described([{"clusterName": name, "clusterArn": name, "status": self.status} for name in names], [])

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        await self._call("DescribeTaskDefinition")
        if not self.known:
            raise NotFound("Unable to describe task definition")
        main = container(**(logging_to() if self.lines else {}))
        return {"taskDefinitionArn": name, "status": self.status, "containerDefinitions": [main]}

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        await self._call("StopTask")
        if self.stop_ends:
            self.finish(int(task_arn.rsplit("/", 1)[1], 16), 143, "UserInitiated")

    async def filter_log_events(
        self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None, **_: object
    ) -> LogPage:
        await self._call("FilterLogEvents")
        found = [
            LogEvent(name, f"{name}{at}", self.written, self.written, text)
            for name in streams
            for at, text in enumerate(self.lines.get(name, ()))
        ]
        return LogPage(found, None)

    def suppose_account(self, account: str) -> None: ...

    async def renew(self) -> None:
        await self._call("renew")

    def enter(self) -> None:
        self.users += 1

    async def ready(self) -> None:
        await self._call("open")

    def leave(self) -> None:
        self.users -= 1

    async def close(self) -> None:
        clients_aws._registry().clear()
