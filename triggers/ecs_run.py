"""One ECS task of ours, watched to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from asyncrun.clients.api import AwsAccess
from asyncrun.clients.aws import open_aws
from asyncrun.clients.patience import for_a_stop, patiently
from asyncrun.launch.ecs import EcsLauncher
from asyncrun.model.ecs import STOPPED, EcsTaskState
from asyncrun.model.ecs_definition import TaskPlan
from asyncrun.model.ecs_diagnosis import diagnose
from asyncrun.model.ecs_outcome import decide, gave_up
from asyncrun.model.ecs_streams import container_of_prefix
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import AccessDenied, RemoteError
from asyncrun.model.event import RESULT_LIMIT, CompletionEvent, cut_last_lines, cut_result
from asyncrun.model.outcome import Decision, Outcome, StopCause, Verdict, to_blame
from asyncrun.model.settings import Settings
from asyncrun.triggers.deadline import Deadline
from asyncrun.triggers.definitions import PlanAnswer, definitions
from asyncrun.triggers.ecs_log import EcsRunLog
from asyncrun.triggers.leaving import Leaving
from asyncrun.triggers.metrics.endings import endings
from asyncrun.triggers.opening import open_patiently
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.subscribing import subscribe_task
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.wakeup import Wakeup, is_due
from asyncrun.triggers.watch.news import Broken, Gone, News, Recovered, Seen, Trouble

# After a StopTask a container has stopTimeout to end, which is 120 s at most on Fargate; then ECS tells.
_STOP_PATIENCE = 150.0  # s
_FIRST_LOOK = 30.0  # s; so long the deadline waits for the first news of the task
_PLAN_PATIENCE = 60.0  # s after the end of a run whose definition could not be read all the time
_BETWEEN_LOOKS = 1.0  # s between two looks for news while the definition is waited for
_NEVER_READ = (
    "The task definition could not be read before the end, so the log is found by the awslogs_* arguments only, and "
    "every container counts as essential"
)


class EcsRun:
    """
    Watches one ECS task: subscribes to the shared poller, follows the logs, decides the outcome.

    What is known (the task's state, its definition) only grows; after each piece of news ``_decided`` says whether that
    is enough. The definition is read beside the watching, so that neither the deadline nor the watching waits for it.

    :param watch: what the worker handed over.
    :param clock: seconds since the epoch; the deadline is in that time.
    """

    __slots__ = (
        "_access",
        "_answer",
        "_answered",
        "_clock",
        "_ended",
        "_error",
        "_log",
        "_settings",
        "_stack",
        "_state",
        "_task_log",
        "_was_seen_alive",
        "_watch",
    )

    def __init__(
        self, watch: EcsTaskWatch, settings: Settings, task_log: TaskLog, *, clock: Callable[[], float] = time.time
    ) -> None:
        self._watch, self._settings, self._task_log, self._clock = watch, settings, task_log, clock
        self._stack = Leaving()
        self._log = EcsRunLog(watch, settings, task_log)
        self._access: AwsAccess | None = None
        self._state: EcsTaskState | None = None
        self._answer: PlanAnswer | None = None  # about the definition, once it is final
        self._answered = Wakeup()
        self._ended: _Ended | None = None
        self._was_seen_alive = False
        self._error: RemoteError | None = None  # for which we gave up

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
        endings().note(outcome.verdict, self._lag(outcome))
        if self._answer is None and self._state is not None and outcome.stop_cause is not StopCause.ACCESS:
            self._know(PlanAnswer(None, _NEVER_READ))
        await self._log.drain(outcome)
        succeeded = outcome.verdict is Verdict.SUCCEEDED
        return CompletionEvent(
            ref=self._watch.ref,
            outcome=outcome,
            diagnosis=diagnose(outcome, self._plan, self._error),
            last_lines=() if succeeded else self._last_lines(outcome),
            result=self._result(outcome) if succeeded and self._watch.wants_result else None,
        )

    async def stop(self, reason: str) -> None:
        """
        Stop the ECS task, repeating the call until it is answered.

        :raises RemoteError: it was refused, or nobody answered for ``kill_grace``.
        """

        async def call() -> None:
            async with open_aws(self._watch.target, self._settings, account=self._watch.ref.account) as access:
                stop = partial(
                    EcsLauncher(access.ecs).stop, self._watch.ref, reason,
                    launched_at=self._watch.launched_at or self._watch.deferred_at,
                    missing_grace=self._settings.missing_grace,
                )  # fmt: skip
                try:
                    await stop()
                except AccessDenied:
                    await access.renew()  # rotated since the last look-up, perhaps
                    await stop()

        await patiently(call, partial(self._task_log.say, "warning"), for_a_stop(self._settings.kill_grace))
        self._task_log.say("info", f"Stopping {self}: {reason}")

    async def stop_at_deadline(self, reason: str) -> None:
        """See ``deadline.Ending``."""
        await self.stop(reason)

    def say(self, level: str, text: str) -> None:
        """See ``deadline.Ending``."""
        self._task_log.say(level, text)

    def patience(self) -> float:
        """See ``deadline.Ending``."""
        return _STOP_PATIENCE

    async def _outcome(self) -> Outcome:
        loop = asyncio.get_running_loop()
        left = None if self._watch.deadline is None else max(0.0, self._watch.deadline - self._clock())
        due = None if left is None else loop.time() + left
        deadline = Deadline(due, self._watch.deadline_reason, self)
        try:
            self._access = await open_patiently(
                self._stack, partial(open_aws, self._watch.target, self._settings, account=self._watch.ref.account),
                self._settings, self._task_log.say,
                platform="AWS", patience=None if left is None else left + self._settings.access_grace,
            )  # fmt: skip
        except RemoteError as error:
            return self._given_up(error)
        if due is not None:
            # A trigger that starts after the deadline first looks whether the task has ended by itself meanwhile.
            deadline.due = max(due, loop.time() + _FIRST_LOOK)
        with self._subscribe(self._access) as subscription:
            while True:
                news = await self._news(subscription, deadline)
                if isinstance(news, Seen) and self._state is None:
                    deadline.due = due
                outcome = (self._hear(news) if news is not None else None) or self._decided(deadline)
                if outcome is not None:
                    return outcome
                if self._is_due(deadline) and not await deadline.enforce():
                    return self._gave_up(
                        Verdict.STOPPED, deadline.reason, StopCause.DEADLINE, not_ended=deadline.not_ended
                    )

    def _subscribe(self, access: AwsAccess) -> Subscription[EcsTaskState]:
        return subscribe_task(access, self._watch.ref.cluster, self._watch.ref.task_arn, self._settings)

    def _is_due(self, deadline: Deadline) -> bool:
        # What ended by itself keeps its own outcome, also if that was noticed only after the deadline.
        return self._ended is None and deadline.due is not None and is_due(deadline.due)

    async def _news(self, subscription: Subscription[EcsTaskState], deadline: Deadline) -> News[EcsTaskState] | None:
        """The next news, or None when there may be something else to do."""
        if self._answer is None and self._state is not None and STOPPED in (
            self._state.status, self._state.desired_status
        ):  # fmt: skip
            # The definition may decide it, and ECS may have nothing more to say.
            await self._answered.wait(_BETWEEN_LOOKS)
            return await subscription.news(0)
        until = deadline.due if self._ended is None else self._ended.at + self._settings.reason_wait
        return await subscription.news(None if until is None else max(0.0, until - asyncio.get_running_loop().time()))

    def _hear(self, news: News[EcsTaskState]) -> Outcome | None:
        """Take it in. Returns the outcome where it means that we cannot go on."""
        match news:
            case Seen(state=state):
                self._see(state)
            case Trouble(fatal=True, error=error):
                return self._given_up(error)
            case Trouble(error=error):
                self._task_log.say("warning", f"{self} cannot be seen at the moment; the watching goes on. {error}")
            case Recovered(trouble=trouble, at=at):
                self._task_log.say("info", f"{self} can be seen again, after {at - trouble.since:.0f} s")
            case Gone(first_missing_at=since):
                return self._gave_up(Verdict.LOST, f"it has been reported MISSING for {self._clock() - since:.0f} s")
            case Broken(error=error):
                return self._given_up(error)
        return None

    def _see(self, state: EcsTaskState) -> None:
        previous, self._state = self._state, state
        if previous is None or previous.status != state.status:
            self._task_log.say("info", f"{self} is {state.status}")
        if previous is None and self._access is not None:
            if state.definition_arn:
                self._stack.enter_context(definitions().wanted(self._access.ecs, state.definition_arn, self._know))
            else:
                self._answer = PlanAnswer(None)
        self._follow()

    def _know(self, answer: PlanAnswer) -> None:
        """What the task definition says, or why that is not known."""
        if answer.problem:
            self._task_log.say("warning", answer.problem)
        if answer.final:
            self._answer = answer
            self._follow()
            self._answered.set()

    def _follow(self) -> None:
        # Not before the definition is known: it says where the log is, and the order of its containers fixes the
        # records. A log is followed from its beginning whenever that is.
        if self._answer is not None and self._state is not None and self._access is not None:
            self._log.look(self._state, self._plan, self._access)

    @property
    def _plan(self) -> TaskPlan | None:
        return None if self._answer is None else self._answer.plan

    @property
    def _container_name(self) -> str | None:
        """The container that the user named; without a definition also by ``prefix/container``."""
        if self._watch.container_name is not None or self._plan is not None or self._state is None:
            return self._watch.container_name
        return container_of_prefix(self._watch.log_stream_prefix, [one.name for one in self._state.containers])

    def _decided(self, deadline: Deadline) -> Outcome | None:
        """The outcome, once nothing that may still come would change it, or that was waited for long enough."""
        if self._state is None:
            return None
        decision = decide(self._state, self._plan, self._container_name, stopping=deadline.asked)
        if decision is None:
            self._was_seen_alive, self._ended = True, None
            return None
        if self._ended is None:
            self._ended = _Ended(asyncio.get_running_loop().time(), self._clock())
        if self._may_change(decision, self._ended.at):
            return None
        outcome = decision.outcome
        if deadline.asked and outcome.verdict is Verdict.STOPPED:
            return msgspec.structs.replace(outcome, stop_cause=StopCause.DEADLINE, our_reason=deadline.reason)
        return outcome

    def _may_change(self, decision: Decision, ended_at: float) -> bool:
        """Whether something that decides is still to be waited for."""
        if self._answer is None and not is_due(ended_at + _PLAN_PATIENCE):
            return True
        return not decision.complete and not is_due(ended_at + self._settings.reason_wait)

    def _given_up(self, error: RemoteError) -> Outcome:
        self._error = error
        grace = f" (for {self._settings.access_grace:.0f} s)" if isinstance(error, AccessDenied) else ""
        return self._gave_up(Verdict.LOST, f"{error}{grace}", StopCause.ACCESS)

    def _gave_up(self, verdict: Verdict, why: str, cause: StopCause | None = None, *, not_ended: str = "") -> Outcome:
        return gave_up(
            verdict, why, cause,
            not_ended=not_ended, state=self._state, plan=self._plan, container_name=self._container_name,
        )  # fmt: skip

    def _lag(self, outcome: Outcome) -> float | None:
        """Seconds from its end to our knowing, None if it is not known or says nothing about us."""
        if not self._was_seen_alive or outcome.finished_at is None or self._ended is None:
            return None
        return self._ended.known_at - outcome.finished_at

    def _last_lines(self, outcome: Outcome) -> tuple[str, ...]:
        container = to_blame(outcome)
        name = self._watch.container_name if container is None else container.name
        return cut_last_lines(self._log.last_lines(name, self._watch.number_logs_exception))

    def _result(self, outcome: Outcome) -> str | None:
        line = self._log.last_line(outcome.decided_by)
        if line is None:
            return None
        result, cut = cut_result(line)
        if cut:
            self._task_log.say(
                "warning",
                f"The last line of container {outcome.decided_by!r} is too long for a result: its first "
                f"{RESULT_LIMIT:,} bytes are taken, and {cut:,} are cut",
            )
        return result


class _Ended(msgspec.Struct, frozen=True):
    """
    When a run was first seen to have ended.

    :param at: the event loop's time.
    :param known_at: the same, seconds since the epoch.
    """

    at: float
    known_at: float
