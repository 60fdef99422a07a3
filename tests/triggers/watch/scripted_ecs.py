"""A small ECS in memory, behind our interface to AWS: what it answers is written by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from asyncrun.clients.api import Described, Failure
from asyncrun.model.errors import RemoteError, RequestRefused


def arn(number: int) -> str:
    return f"arn:aws:ecs:eu-west-1:123456789012:task/jobs/{number:032x}"


class ScriptedEcs:
    """Tasks by ARN; ``fault`` may raise for a call; refuses calls for more than 100 tasks, as AWS does."""

    key = "scripted"

    def __init__(self) -> None:
        self.tasks: dict[str, dict[str, Any]] = {}
        self.clusters: dict[str, dict[str, Any]] = {}
        self.definitions: dict[str, Any] = {}
        self.reasons: dict[str, str] = {}
        self.left_out: set[str] = set()
        self.refused: set[str] = set()
        self.fault: Callable[[Sequence[str]], RemoteError | BaseException | None] = lambda arns: None
        self.extra_items: list[Any] = []
        self.latency = 0.0
        self.calls: list[tuple[float, list[str]]] = []
        self.in_flight = self.most_in_flight = 0

    def put(self, number: int, status: str = "RUNNING", version: int | None = 1, **more: Any) -> str:
        raw = {"taskArn": arn(number), "lastStatus": status, "desiredStatus": "RUNNING", "version": version, **more}
        self.tasks[arn(number)] = {key: value for key, value in raw.items() if value is not None}
        return arn(number)

    def times_asked(self, name: str) -> int:
        return sum(name in asked for _, asked in self.calls)

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        assert cluster == "jobs"
        await self._call(arns)
        return self._answer(self.tasks, arns)

    async def describe_clusters(self, names: Sequence[str]) -> Described:
        await self._call(names)
        return self._answer(self.clusters, names)

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        await self._call([name])
        found = self.definitions[name]
        if isinstance(found, Exception):
            raise found
        return dict(found)

    async def _call(self, names: Sequence[str]) -> None:
        self.calls.append((asyncio.get_running_loop().time(), list(names)))
        assert 1 <= len(names) <= 100, f"{len(names)} names in one call"
        assert len(set(names)) == len(names)
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        try:
            await asyncio.sleep(self.latency)
        finally:
            self.in_flight -= 1
        if (error := self.fault(names)) is not None:
            raise error
        if self.refused & set(names):
            raise RequestRefused("taskId length should be one of [32,36]", code="InvalidParameterException")

    def _answer(self, known: dict[str, dict[str, Any]], names: Sequence[str]) -> Described:
        asked = [name for name in names if name not in self.left_out]
        failed = [Failure(one, self.reasons.get(one, "MISSING")) for one in asked if one not in known]
        failed += [Failure(one, self.reasons[one]) for one in asked if one in known and one in self.reasons]
        items = [known[one] for one in asked if one in known and one not in self.reasons]
        return Described([*items, *self.extra_items], failed)


class Renewal:
    """What the poller calls to renew the credentials."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.then: Callable[[], None] = lambda: None
        self.error: RemoteError | None = None
        self.hangs = False

    async def __call__(self) -> None:
        self.times.append(asyncio.get_running_loop().time())
        if self.hangs:
            await asyncio.sleep(10_000)
        if self.error is not None:
            raise self.error
        self.then()
