"""Triggers of ECS tasks in a test's own event loop: making them, starting them, and hearing what they say."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from airflow.triggers.base import TriggerEvent

from asyncrun.clients.aws import open_aws
from asyncrun.clients.config import load_settings
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.event import CompletionEvent
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.triggers.ecs import EcsTaskTrigger
from asyncrun.triggers.registry import registry
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from asyncrun.triggers.watch.questions import Tuning
from tests.support.lab import container, logging_to
from tests.triggers.conftest import TaskLogReader

TARGET = AwsTarget(conn_id=None)
ONE, TWO = AwsTarget(conn_id="fate_one"), AwsTarget(conn_id="fate_two")


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Blocking work of a test, in a thread."""
    return await asyncio.to_thread(work, *arguments, **named)


def trigger(
    number: int, arn: str, target: AwsTarget = TARGET, kind: type[EcsTaskTrigger] = EcsTaskTrigger, **fields: Any
) -> EcsTaskTrigger:
    """A trigger with an id of its own: the task log tells them apart by it."""
    ref = EcsTaskRef(cluster="default", task_arn=arn)
    given = {"end_in_triggerer": True, **fields}
    made = kind(EcsTaskWatch(ref=ref, target=target, deferred_at=time.time(), **given).to_dict())
    made.trigger_id = number
    return made


async def event_of(made: Any) -> TriggerEvent:
    (event,) = [event async for event in made.run()]
    assert isinstance(event, TriggerEvent)
    return event


def start(made: Any) -> asyncio.Task[TriggerEvent]:
    return asyncio.create_task(event_of(made), name=f"trigger {made.trigger_id}")


def end(event: TriggerEvent) -> CompletionEvent:
    """What the worker gets."""
    return CompletionEvent.from_dict(event.payload)


async def completion(arn: str, **fields: Any) -> CompletionEvent:
    """How the watching of that task ends, where a worker has to resume."""
    return end(await event_of(trigger(0, arn, **{"end_in_triggerer": False, **fields})))


@asynccontextmanager
async def tuned_poller(target: AwsTarget, arn: str, tuning: Tuning) -> AsyncIterator[None]:
    """The shared poller of that target's tasks, tuned: whoever subscribes first brings it."""
    settings = load_settings()
    async with open_aws(target, settings) as access:
        key = ("ecs tasks", access.key, "default")

        def make() -> EcsTaskPoller:
            return EcsTaskPoller(access.ecs, "default", settings, access.renew, tuning=tuning)

        with registry().subscribe(key, arn, make):
            yield


def said(task_log: TaskLogReader, number: int, logger: str = "asyncrun") -> str:
    """All that stands in one task's log, of one logger."""
    return "\n".join(one["event"] for one in task_log.records(logger) if one["trigger_id"] == number)


async def until(good: Callable[[], Any], seconds: float = 30) -> None:
    """Until another process, or the other side of a socket, has come so far."""
    async with asyncio.timeout(seconds):
        while not await call(good):  # noqa: ASYNC110 - not ours to signal
            await asyncio.sleep(0.05)


async def hears(task_log: TaskLogReader, number: int, text: str, logger: str = "asyncrun") -> None:
    """Until that text stands in that task's log."""
    await until(lambda: text in said(task_log, number, logger))


def until_told(folder: Path, *, each: str = "", group: str = "/lab") -> dict[str, Any]:
    """
    A container that writes ``before``, and ``after`` once it was told; then it ends well.

    :param each: a shell command that is repeated ten times a second meanwhile.
    :param group: of its log.
    """
    command = f"echo before; while [ ! -e {folder}/told ]; do {each or ':'}; sleep 0.1; done; echo after"
    return container(command, **logging_to(group))


def tell(folder: Path) -> None:
    (folder / "told").touch()
