"""One ECS task of ours, watched to its end."""

from __future__ import annotations

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
from asyncrun.model.ecs_streams import container_of_prefix
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import AccessDenied, RemoteError
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.settings import Settings
from asyncrun.triggers.definitions import definitions
from asyncrun.triggers.ecs_log import EcsRunLog
from asyncrun.triggers.kill import persist
from asyncrun.triggers.opening import open_patiently
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.subscribing import subscribe_task
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.news import Broken, Gone, News, Recovered, Seen, Trouble

# After a StopTask a container has stopTimeout to end, which is 120 s at most on Fargate; then ECS tells.
_STOP_PATIENCE = 150.0  # s
_STOP_AGAIN = 15.0  # s between two attempts to stop at the deadline
_FIRST_LOOK = 30.0  # s; so long the deadline waits for the first news of the task


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
        self._stop_began: float | None = None  # at the deadline
        self._is_stopping = False
        self._not_stopped = ""

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
                launcher = EcsLauncher(access.ecs)
                try:
                    await launcher.stop(self._watch.ref, reason)
                except AccessDenied:
                    await access.renew()  # rotated since the last look-up, perhaps
                    await launcher.stop(self._watch.ref, reason)

        await persist(call, self._settings.kill_grace)
        self._task_log.say("info", f"Stopping {self}: {reason}")

    async def _outcome(self) -> Outcome:
        patience = None if self._until is None else max(0.0, self._until - self._clock()) + self._settings.access_grace
        try:
            access = await open_patiently(
                self._stack, self._watch.target, self._settings, self._task_log.say,
                account=self._watch.ref.account, patience=patience,
            )  # fmt: skip
        except RemoteError as error:
            return self._given_up(error)
        if self._until is not None:
            # A trigger that starts after the deadline first looks whether the task has ended by itself meanwhile.
            self._until = max(self._until, self._clock() + _FIRST_LOOK)
        with self._subscribe(access) as subscription:
            while True:
                wait = None if self._until is None else max(0.0, self._until - self._clock())
                news = await subscription.news(wait)
                outcome = await self._hear(news, access) if news is not None else await self._time_is_up()
                if outcome is not None:
                    return outcome

    def _subscribe(self, access: AwsAccess) -> Subscription[EcsTaskState]:
        return subscribe_task(access, self._watch.ref.cluster, self._watch.ref.task_arn, self._settings)

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
        if previous is None:
            self._until = self._watch.deadline
        if previous is None and state.definition_arn:
            answer = await definitions().plan(access.ecs, state.definition_arn)
            self._plan = answer.plan
            if answer.problem:
                self._task_log.say("warning", answer.problem)
        self._log.look(state, self._plan, access)
        decision = decide(state, self._plan, self._decider(state))
        if decision is None:
            return None
        first = self._decision is None
        self._decision = decision
        if decision.complete:
            return self._decided(decision)
        if first:  # ECS may still add why: wait for that, but not for long
            self._until = self._clock() + self._settings.reason_wait
        return None

    def _decider(self, state: EcsTaskState) -> str | None:
        """The container that the user named; without a definition also by ``prefix/container``."""
        if self._watch.container_name is not None or self._plan is not None:
            return self._watch.container_name
        return container_of_prefix(self._watch.log_stream_prefix, [one.name for one in state.containers])

    async def _time_is_up(self) -> Outcome | None:
        """Something was waited for, and did not come: the platform's reason, the deadline, or the end after it."""
        if self._decision is not None:
            return self._decided(self._decision)
        reason = self._watch.deadline_reason or "its deadline"
        if self._stop_began is None:
            self._task_log.say("error", f"{self} takes longer than {reason} allows: it is stopped")
            self._stop_began = self._clock()
        if self._clock() >= self._stop_began + _STOP_PATIENCE:
            return gave_up(self._state, StopCause.DEADLINE, reason + self._not_stopped, Verdict.STOPPED)
        if not self._is_stopping:
            try:
                await self.stop(f"Stopped by Airflow: {reason}")
                self._is_stopping, self._not_stopped = True, "; it has not ended since"
            except RemoteError as error:
                self._not_stopped = f"; it could not be stopped, and may still be running: {error}"
        again = self._clock() + (_STOP_PATIENCE if self._is_stopping else _STOP_AGAIN)
        self._until = min(again, self._stop_began + _STOP_PATIENCE)
        return None

    def _decided(self, decision: Decision) -> Outcome:
        """What ended by itself keeps its own outcome, also if that was noticed only after the deadline."""
        outcome = decision.outcome
        if self._stop_began is None or outcome.verdict is not Verdict.STOPPED:
            return outcome
        reason = self._watch.deadline_reason or "its deadline"
        return msgspec.structs.replace(outcome, stop_cause=StopCause.DEADLINE, reason=reason)

    def _given_up(self, error: RemoteError) -> Outcome:
        grace = f" (for {self._settings.access_grace:.0f} s)" if isinstance(error, AccessDenied) else ""
        return gave_up(self._state, StopCause.ACCESS, f"{error}{grace}", Verdict.LOST)

    def _lost(self, why: str) -> Outcome:
        return msgspec.structs.replace(gave_up(self._state, StopCause.ACCESS, why, Verdict.LOST), stop_cause=None)
