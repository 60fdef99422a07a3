"""DescribeTaskDefinition in memory, and how its answer is waited for."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Callable, Hashable
from typing import Any

from asyncrun.triggers.definitions import Definitions, PlanAnswer

ARN = "arn:aws:ecs:eu-west-1:123456789012:task-definition/jobs:7"
ASKER = contextvars.ContextVar("ASKER", default="nobody")


class Api:
    """DescribeTaskDefinition with what the test wants it to answer; each call takes a second."""

    def __init__(self, key: Hashable = "account") -> None:
        self.key = key
        self.calls: list[float] = []
        self.contexts: list[str] = []
        self.in_flight = 0
        self.error: Callable[[int], Exception | None] = lambda call: None
        self.answer: dict[str, Any] = {
            "taskDefinitionArn": ARN,
            "containerDefinitions": [{"name": "main", "image": "busybox", "essential": True}],
        }

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        self.calls.append(asyncio.get_running_loop().time())
        self.contexts.append(ASKER.get())
        self.in_flight += 1
        try:
            await asyncio.sleep(1)
        finally:
            self.in_flight -= 1
        if (error := self.error(len(self.calls))) is not None:
            raise error
        return self.answer


async def ask(shelf: Definitions, api: Any, arn: str = ARN, heard: list[str] | None = None) -> PlanAnswer:
    """
    The final answer.

    :param heard: takes what is said before.
    """
    final: asyncio.Future[PlanAnswer] = asyncio.get_running_loop().create_future()

    def tell(answer: PlanAnswer) -> None:
        if answer.final:
            final.set_result(answer)
        elif heard is not None:
            heard.append(answer.problem)

    with shelf.wanted(api, arn, tell):
        return await final


def names(answer: PlanAnswer) -> list[str]:
    assert answer.plan is not None
    return [one.name for one in answer.plan.containers]
