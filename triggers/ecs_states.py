"""Triggers that wait for a state: clusters, task definitions, and ECS tasks that are not ours (sensors)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack
from functools import partial
from typing import Any, ClassVar

from airflow.triggers.base import TriggerEvent

from asyncrun.clients.api import AwsAccess
from asyncrun.clients.aws import open_aws
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import RemoteError
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import StoredTrigger
from asyncrun.triggers.ends import turn_to_end
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
    state_of_missing: ClassVar[str] = MISSING
    """What it means that AWS does not know it, and has not for ``missing_grace``."""

    def subscribe(self, watch: Any, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """This trigger's share of the watcher."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield exactly one event, as the last thing."""
        yield await self._event()

    async def _event(self) -> TriggerEvent:
        watch = self.watch_type.from_dict(self.watch)
        async with self.logged() as (settings, task_log):
            event = await self._wait(watch, settings, task_log)
        await self.hold_resume(watch.deferred_at, settings)
        if not self.inline:
            await turn_to_end(settings)
        return event

    async def _wait(self, watch: AnyWatch, settings: Settings, task_log: TaskLog) -> TriggerEvent:
        async with AsyncExitStack() as stack:
            try:
                access = await open_patiently(
                    stack, partial(open_aws, watch.target, settings), settings, task_log.say,
                    platform="AWS", patience=_left(watch),
                )  # fmt: skip
            except RemoteError as refused:
                return _event("failed", "", str(refused))
            subscription = stack.enter_context(self.subscribe(watch, access, settings))
            waiting = _Waiting(watch, self.state_of_missing, self.read, settings.missing_grace, task_log)
            while True:
                news = await subscription.news(waiting.seconds())
                event = waiting.time_is_up(subscription.trouble) if news is None else waiting.hear(news)
                if event is not None:
                    return event

    def read(self, seen: Any) -> str:
        """The state that this answer means."""
        return self.state_of_missing if seen.status == MISSING else str(seen.status)


class _Waiting:
    """
    What was heard so far, and what it means.

    What was just made is not shown at once (eventual consistency). So to whoever does not wait for its absence, what
    AWS does not know is *young* first, and only after the grace is it missing.

    :param state_of_missing: what it means that AWS does not know it.
    :param missing_grace: seconds.
    """

    def __init__(
        self,
        watch: AnyWatch,
        state_of_missing: str,
        read: Callable[[Any], str],
        missing_grace: float,
        task_log: TaskLog,
    ) -> None:
        self._watch, self._state_of_missing, self._read, self._task_log = watch, state_of_missing, read, task_log
        self._missing_grace = missing_grace
        self._state = ""
        self._young_until: float | None = None  # in the event loop's time

    def seconds(self) -> float | None:
        """How long to wait for news, None: for ever."""
        left = _left(self._watch)
        if self._young_until is None:
            return left
        young = max(0.0, self._young_until - _now())
        return young if left is None else min(left, young)

    def hear(self, news: Any) -> TriggerEvent | None:
        """The event if that is the end."""
        match news:
            case Seen(state=seen):
                return self._see(seen)
            case Trouble(fatal=True, error=error) | Broken(error=error):
                return _event("failed", self._state, str(error))
            case Trouble(error=error):
                self._say("warning", f"The state cannot be seen at the moment; the waiting goes on. {error}")
            case Recovered():
                self._say("info", "The state can be seen again")
            case Gone():
                return _event("failed", MISSING, "AWS does not know it")
        return None

    def _see(self, seen: Any) -> TriggerEvent | None:
        if seen.status == MISSING and self._state_of_missing not in self._watch.desired:
            self._state, self._young_until = MISSING, _now() + self._missing_grace
            self._say("info", "AWS does not show it yet; the waiting goes on")
            return None
        self._state, self._young_until = self._read(seen), None
        if self._state in self._watch.desired:
            return _event("success", self._state)
        if self._state in self._watch.failing:
            return _event("failed", self._state)
        self._say_state()
        return None

    def time_is_up(self, trouble: Trouble | None) -> TriggerEvent | None:
        """
        There was no news for ``seconds()``.

        :param trouble: why the state cannot be seen now, None if it can.
        """
        if self._young_until is None or _left(self._watch) == 0:
            return _event("timeout", self._state)
        if trouble is not None:  # nobody says that it is still missing
            self._young_until = _now() + self._missing_grace
            return None
        self._state, self._young_until = self._state_of_missing, None
        if self._state == MISSING or self._state in self._watch.failing:
            return _event("failed", self._state, "AWS does not know it: check the name, the region and the account")
        self._say_state()
        return None

    def _say_state(self) -> None:
        self._say("info", f"The state is {self._state}, waiting for {' or '.join(self._watch.desired)}")

    def _say(self, level: str, text: str) -> None:
        self._task_log.say(level, text)


def _now() -> float:
    return asyncio.get_running_loop().time()


def _left(watch: AnyWatch) -> float | None:
    """Seconds until the deadline, None if there is none."""
    return None if watch.deadline is None else max(0.0, watch.deadline - time.time())


def _event(status: str, state: str, message: str = "") -> TriggerEvent:
    return TriggerEvent({"version": VERSION, "status": status, "state": state, "message": message})


class EcsClusterTrigger(StateTrigger):
    """
    Waits for a cluster's state. One that AWS does not know is INACTIVE: deleted clusters are forgotten after a while.
    Whoever waits for another state takes it for young first, for ``missing_grace``.

    :param watch: ``EcsClusterWatch.to_dict()``.
    """

    watch_type = EcsClusterWatch
    state_of_missing = "INACTIVE"

    def subscribe(self, watch: EcsClusterWatch, access: AwsAccess, settings: Settings) -> Subscription[Any]:
        """One DescribeClusters for all."""
        return subscribe_cluster(access, watch.cluster, settings)


class EcsTaskDefinitionTrigger(StateTrigger):
    """
    Waits for a task definition's state. One that AWS has not known for ``missing_grace`` fails: deregistered ones stay
    describable.

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
