"""ECS's API in memory, for the launcher: what it answers is written by the test."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from asyncrun.clients.api import Described, Failure
from asyncrun.model.errors import NotShown, Throttled

ARN = "arn:aws:ecs:us-east-1:123456789012:task/c/0123"
REQUEST = {"cluster": "c", "taskDefinition": "f:1", "clientToken": "t" * 60}
PLACED = Described(items=[{"taskArn": ARN}], failures=[])
THROTTLED = Throttled("Rate exceeded")
NO_MEMORY = Described(items=[], failures=[Failure(arn="i-1", reason="RESOURCE:MEMORY")])


class Ecs:
    """Answers RunTask from a script, and remembers what it was asked."""

    key = "account"

    def __init__(self, *answers: Described | Exception, tasks: Sequence[dict[str, Any]] = ()) -> None:
        self.answers, self.tasks = list(answers), list(tasks)
        self.requests: list[Mapping[str, Any]] = []
        self.stopped: list[tuple[str, str, str]] = []

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list_tasks(self, cluster: str, *, started_by: str, desired_status: str) -> list[str]:
        return [t["taskArn"] for t in self.tasks if t["startedBy"] == started_by]

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        return Described(items=[t for t in self.tasks if t["taskArn"] in arns], failures=[])

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        self.stopped.append((cluster, task_arn, reason))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AssertionError(f"the launcher must not call {name}")

    @property
    def tokens(self) -> list[str]:
        return [request["clientToken"] for request in self.requests]


class Hiding(Ecs):
    """Does not show the task before some moment of the event loop's time."""

    def __init__(self, shown_after: float) -> None:
        super().__init__(PLACED)
        self.shown_at = asyncio.get_running_loop().time() + shown_after
        self.attempts = 0

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        self.attempts += 1
        if asyncio.get_running_loop().time() < self.shown_at:
            raise NotShown("too young, or forgotten")
        await super().stop_task(cluster, task_arn, reason)
