"""Triggers that wait for a state: clusters, task definitions, and ECS tasks that are not ours (sensors)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Any, ClassVar

from airflow.triggers.base import TriggerEvent

from asyncrun.clients.api import AwsAccess
from asyncrun.clients.config import load_settings
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import RemoteError
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import StoredTrigger, hold_resume
from asyncrun.triggers.opening import open_patiently
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.subscribing import subscribe_cluster, subscribe_definition, subscribe_task
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.book import MISSING
from asyncrun.triggers.watch.news import Broken, Gone, Recovered, Seen, Trouble

VERSION = 1

AnyWatch = EcsClusterWatch | EcsTaskStateWatch | EcsTaskDefinitionWatch


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
        if not self.inline:
            await hold_resume(watch.deferred_at, settings)
        return event

    async def _wait(self, watch: AnyWatch, settings: Settings, task_log: TaskLog) -> TriggerEvent:
        state = ""
        async with AsyncExitStack() as stack:
            try:
                access = await open_patiently(stack, watch.target, settings, task_log.say, patience=_left(watch))
            except RemoteError as refused:
                return _event("failed", state, str(refused))
            subscription = stack.enter_context(self.subscribe(watch, access, settings))
            while (news := await subscription.news(_left(watch))) is not None:
                match news:
                    case Seen(state=seen):
                        state = self.read(seen)
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
                        return _event("failed", MISSING, "AWS does not know it")
            return _event("timeout", state)

    def read(self, seen: Any) -> str:
        """The state that this answer means."""
        return str(seen.status)


def _left(watch: AnyWatch) -> float | None:
    """Seconds until the deadline, None if there is none."""
    return None if watch.deadline is None else max(0.0, watch.deadline - time.time())


def _judge(state: str, watch: AnyWatch) -> TriggerEvent | None:
    if state in watch.desired:
        return _event("success", state)
    if state == MISSING:
        return _event("failed", state, "AWS does not know it: check the name, the region and the account")
    return _event("failed", state) if state in watch.failing else None


def _event(status: str, state: str, message: str = "") -> TriggerEvent:
    return TriggerEvent({"version": VERSION, "status": status, "state": state, "message": message})


class EcsClusterTrigger(StateTrigger):
    """
    Waits for a cluster's state. One that AWS does not know is INACTIVE: deleted clusters are forgotten after a while.

    :param watch: ``EcsClusterWatch.to_dict()``.
    """

    watch_type = EcsClusterWatch

    def subscribe(self, watch: EcsClusterWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """One DescribeClusters for all."""
        return subscribe_cluster(access, watch.cluster, settings)

    def read(self, seen: Any) -> str:
        """The state that this answer means."""
        return "INACTIVE" if seen.status == MISSING else str(seen.status)


class EcsTaskDefinitionTrigger(StateTrigger):
    """
    Waits for a task definition's state. One that AWS does not know fails: deregistered ones stay describable.

    :param watch: ``EcsTaskDefinitionWatch.to_dict()``.
    """

    watch_type = EcsTaskDefinitionWatch

    def subscribe(self, watch: EcsTaskDefinitionWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """AWS has no batch for these: one call for each."""
        return subscribe_definition(access, watch.name, settings)


class EcsTaskStateTrigger(StateTrigger):
    """
    Waits for the state of any ECS task: the same poller as for tasks of ours.

    :param watch: ``EcsTaskStateWatch.to_dict()``.
    """

    watch_type = EcsTaskStateWatch

    def subscribe(self, watch: EcsTaskStateWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """One DescribeTasks for all of a cluster."""
        return subscribe_task(access, watch.cluster, watch.task, settings)
