"""One ECS task of ours, watched to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from types import TracebackType
from typing import Self

import msgspec

from asyncrun.clients.api import AwsAccess
from asyncrun.clients.aws import open_aws
from asyncrun.launch.ecs import EcsLauncher
from asyncrun.model.ecs import EcsTaskState
from asyncrun.model.ecs_definition import TaskPlan
from asyncrun.model.ecs_diagnosis import diagnose
from asyncrun.model.ecs_outcome import Decision, decide, gave_up
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import AccessDenied, RemoteError, Unavailable
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.settings import Settings
from asyncrun.triggers.definitions import definitions
from asyncrun.triggers.ecs_log import EcsRunLog
from asyncrun.triggers.kill import persist
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from asyncrun.triggers.watch.news import Broken, Gone, News, Recovered, Seen, Trouble

# After a StopTask a container has stopTimeout to end, which is 120 s at most on Fargate; then ECS tells.
_STOP_PATIENCE = 150.0  # s
_OPEN_WAIT = 5.0  # s between two attempts to resolve a connection


class EcsRun:
    """
    Watches one ECS task: subscribes to the shared poller, follows the logs, decides the outcome.

    :param watch: what the worker handed over.
    :param clock: seconds since the epoch; the deadline is in that time.
    """

    def __init__(
        self, watch: EcsTaskWatch, settings: Settings, task_log: TaskLog, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._watch, self._settings, self._task_log, self._clock = watch, settings, task_log, clock
        self._stack = AsyncExitStack()
        self._log = EcsRunLog(watch, settings, task_log)
        self._plan: TaskPlan | None = None
        self._state: EcsTaskState | None = None
        self._decision: Decision | None = None
        self._until: float | None = watch.deadline  # when to look again though nothing was heard
        self._stopped_at_deadline: str | None = None

    def __str__(self) -> str:
        return f"ECS task {self._watch.ref.task_arn}"

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        self._stack.callback(self._log.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, at)

    async def completion(self) -> CompletionEvent:
        """Wait for the end, read the log to its end, explain both."""
        outcome = await self._outcome()
        await self._log.drain(outcome)
        decider = outcome.decided_by or self._watch.container_name
        failed = outcome.verdict is not Verdict.SUCCEEDED
        return CompletionEvent(
            ref=self._watch.ref,
            outcome=outcome,
            diagnosis=diagnose(outcome, self._plan),
            last_lines=self._log.last_lines(decider, self._watch.number_logs_exception) if failed else (),
            result=self._log.last_line(decider),
        )

    async def stop(self, reason: str) -> None:
        """
        Stop the ECS task, repeating the call until it is answered.

        :raises RemoteError: it was refused, or nobody answered for ``kill_grace``.
        """

        async def call() -> None:
            async with open_aws(self._watch.target, self._settings, account=self._watch.ref.account) as access:
                await EcsLauncher(access.ecs).stop(self._watch.ref, reason)

        await persist(call, self._settings.kill_grace)
        self._task_log.say("info", f"Stopping {self}: {reason}")

    async def _outcome(self) -> Outcome:
        try:
            access = await self._open()
        except RemoteError as error:
            return self._given_up(error)
        with self._subscribe(access) as subscription:
            while True:
                wait = None if self._until is None else max(0.0, self._until - self._clock())
                news = await subscription.news(wait)
                outcome = await self._hear(news, access) if news is not None else await self._time_is_up()
                if outcome is not None:
                    return outcome

    async def _open(self) -> AwsAccess:
        """The way to AWS; a connection that cannot be resolved has ``access_grace`` to be mended."""
        give_up_at = asyncio.get_running_loop().time() + self._settings.access_grace
        said = False
        while True:
            try:
                return await self._stack.enter_async_context(
                    open_aws(self._watch.target, self._settings, account=self._watch.ref.account)
                )
            except RemoteError as error:
                if not said:
                    self._task_log.say("warning", f"{self} cannot be watched yet: {error}")
                    said = True
                if asyncio.get_running_loop().time() > give_up_at and not isinstance(error, Unavailable):
                    raise
            await asyncio.sleep(_OPEN_WAIT)

    def _subscribe(self, access: AwsAccess) -> Subscription[EcsTaskState]:
        cluster, settings = self._watch.ref.cluster, self._settings
        return registry().subscribe(
            ("ecs tasks", access.key, cluster),
            self._watch.ref.task_arn,
            lambda: EcsTaskPoller(access.ecs, cluster, settings, access.renew),
            linger=settings.watcher_linger,
        )

    async def _hear(self, news: News[EcsTaskState], access: AwsAccess) -> Outcome | None:
        match news:
            case Seen(state=state):
                return await self._look(state, access)
            case Trouble(fatal=True, error=error):
                return self._given_up(error)
            case Trouble(error=error):
                self._task_log.say("warning", f"{self} cannot be seen at the moment; the watching goes on. {error}")
            case Recovered(trouble=trouble, at=at):
                self._task_log.say("info", f"{self} can be seen again, after {at - trouble.since:.0f} s")
            case Gone(first_missing_at=since):
                return self._lost(f"it has been reported MISSING for {self._clock() - since:.0f} s")
            case Broken(error=error):
                return self._lost(str(error))
        return None

    async def _look(self, state: EcsTaskState, access: AwsAccess) -> Outcome | None:
        previous, self._state = self._state, state
        if previous is None or previous.status != state.status:
            self._task_log.say("info", f"{self} is {state.status}")
        if previous is None and state.definition_arn:
            answer = await definitions().plan(access.ecs, state.definition_arn)
            self._plan = answer.plan
            if answer.problem:
                self._task_log.say("warning", answer.problem)
        self._log.look(state, self._plan, access)
        decision = decide(state, self._plan, self._watch.container_name)
        if decision is None:
            return None
        first = self._decision is None
        self._decision = decision
        if decision.complete:
            return self._decided(decision)
        if first:  # ECS may still add why: wait for that, but not for long
            self._until = self._clock() + self._settings.reason_wait
        return None

    async def _time_is_up(self) -> Outcome | None:
        if self._decision is not None:
            return self._decided(self._decision)
        if self._stopped_at_deadline is not None:
            return gave_up(self._state, StopCause.DEADLINE, self._stopped_at_deadline, Verdict.STOPPED)
        reason = self._watch.deadline_reason or "its deadline"
        self._task_log.say("error", f"{self} takes longer than {reason} allows: it is stopped")
        try:
            await self.stop(f"Stopped by Airflow: {reason}")
        except RemoteError as error:
            reason += f"; it could not be stopped, and may still be running: {error}"
        self._stopped_at_deadline = reason
        self._until = self._clock() + _STOP_PATIENCE
        return None

    def _decided(self, decision: Decision) -> Outcome:
        outcome = decision.outcome
        if self._stopped_at_deadline is None or outcome.verdict is Verdict.SUCCEEDED:
            return outcome
        return msgspec.structs.replace(
            outcome, verdict=Verdict.STOPPED, stop_cause=StopCause.DEADLINE, reason=self._stopped_at_deadline
        )

    def _given_up(self, error: RemoteError) -> Outcome:
        grace = f" (for {self._settings.access_grace:.0f} s)" if isinstance(error, AccessDenied) else ""
        return gave_up(self._state, StopCause.ACCESS, f"{error}{grace}", Verdict.LOST)

    def _lost(self, why: str) -> Outcome:
        known = () if self._state is None else gave_up(self._state, StopCause.ACCESS, "", Verdict.LOST).containers
        return Outcome(verdict=Verdict.LOST, containers=known, reason=why)
