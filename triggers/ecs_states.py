"""Triggers that wait for a state: clusters, task definitions, and ECS tasks that are not ours (sensors)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar, Protocol

from airflow.triggers.base import TriggerEvent

from asyncrun.clients.api import AwsAccess
from asyncrun.clients.aws import open_aws
from asyncrun.clients.config import load_settings
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import StoredTrigger, hold_resume
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.ecs_clusters import EcsClusterPoller
from asyncrun.triggers.watch.ecs_definitions import EcsTaskDefinitionPoller
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from asyncrun.triggers.watch.news import Broken, Gone, News, Recovered, Seen, Trouble

VERSION = 1
_OPEN_WAIT = 5.0  # s between two attempts to resolve a connection

AnyWatch = EcsClusterWatch | EcsTaskStateWatch | EcsTaskDefinitionWatch


class _HasStatus(Protocol):
    @property
    def status(self) -> str: ...


class StateTrigger(StoredTrigger):
    """
    Waits for one of the desired states; reports ``{"version", "status", "state", "message"}``.

    ``status`` is ``success``, ``failed`` or ``timeout``; ``state`` the last one seen, empty if none was.
    """

    watch_type: ClassVar[type[AnyWatch]]

    def subscribe(self, watch: Any, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """This trigger's share of the watcher."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield exactly one event, as the last thing."""
        yield await self._event()

    async def _event(self) -> TriggerEvent:
        watch = self.watch_type.from_dict(self.watch)
        settings = load_settings()
        async with TaskLog(self.trigger_number, settings) as task_log:
            event = await self._wait(watch, settings, task_log)
        await hold_resume(watch.deferred_at, settings)
        return event

    async def _wait(self, watch: AnyWatch, settings: Settings, task_log: TaskLog) -> TriggerEvent:
        state = ""
        async with AsyncExitStack() as stack:
            try:
                access = await self._open(stack, watch, settings, task_log)
            except RemoteError as refused:
                return _event("failed", state, str(refused))
            subscription = stack.enter_context(self.subscribe(watch, access, settings))
            while True:
                left = None if watch.deadline is None else max(0.0, watch.deadline - time.time())
                news: News[_HasStatus] | None = await subscription.news(left)
                if news is None:
                    return _event("timeout", state)
                match news:
                    case Seen(state=seen):
                        state = seen.status
                        if (verdict := _judge(state, watch)) is not None:
                            return verdict
                        task_log.say("info", f"The state is {state}, waiting for {' or '.join(watch.desired)}")
                    case Trouble(fatal=True, error=error) | Broken(error=error):
                        return _event("failed", state, str(error))
                    case Trouble(error=error):
                        task_log.say("warning", f"The state cannot be seen at the moment; the waiting goes on. {error}")
                    case Recovered():
                        task_log.say("info", "The state can be seen again")
                    case Gone():
                        return _judge("MISSING", watch) or _event("failed", "MISSING", "AWS does not know it")

    async def _open(self, stack: AsyncExitStack, watch: AnyWatch, settings: Settings, task_log: TaskLog) -> AwsAccess:
        give_up_at = asyncio.get_running_loop().time() + settings.access_grace
        said = False
        while True:
            try:
                return await stack.enter_async_context(open_aws(watch.target, settings))
            except RemoteError as error:
                if not said:
                    task_log.say("warning", f"The state cannot be seen yet: {error}")
                    said = True
                if asyncio.get_running_loop().time() > give_up_at and not isinstance(error, Unavailable):
                    raise
            await asyncio.sleep(_OPEN_WAIT)


def _judge(state: str, watch: AnyWatch) -> TriggerEvent | None:
    if state in watch.desired or (state == "MISSING" and "INACTIVE" in watch.desired):
        return _event("success", state)
    return _event("failed", state) if state in watch.failing else None


def _event(status: str, state: str, message: str = "") -> TriggerEvent:
    return TriggerEvent({"version": VERSION, "status": status, "state": state, "message": message})


class EcsClusterTrigger(StateTrigger):
    """
    Waits for a cluster's state.

    :param watch: ``EcsClusterWatch.to_dict()``.
    """

    watch_type = EcsClusterWatch

    def subscribe(self, watch: EcsClusterWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """One DescribeClusters for all."""
        return registry().subscribe(
            ("ecs clusters", access.key),
            watch.cluster,
            lambda: EcsClusterPoller(access.ecs, settings, access.renew),
            linger=settings.watcher_linger,
        )


class EcsTaskDefinitionTrigger(StateTrigger):
    """
    Waits for a task definition's state.

    :param watch: ``EcsTaskDefinitionWatch.to_dict()``.
    """

    watch_type = EcsTaskDefinitionWatch

    def subscribe(self, watch: EcsTaskDefinitionWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """AWS has no batch for these: one call for each."""
        return registry().subscribe(
            ("ecs task definitions", access.key),
            watch.name,
            lambda: EcsTaskDefinitionPoller(access.ecs, settings, access.renew),
            linger=settings.watcher_linger,
        )


class EcsTaskStateTrigger(StateTrigger):
    """
    Waits for the state of any ECS task: the same poller as for tasks of ours.

    :param watch: ``EcsTaskStateWatch.to_dict()``.
    """

    watch_type = EcsTaskStateWatch

    def subscribe(self, watch: EcsTaskStateWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """One DescribeTasks for all of a cluster."""
        return registry().subscribe(
            ("ecs tasks", access.key, watch.cluster),
            watch.task,
            lambda: EcsTaskPoller(access.ecs, watch.cluster, settings, access.renew),
            linger=settings.watcher_linger,
        )
