"""One pod of ours, watched to its end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from types import TracebackType
from typing import Self

import msgspec

from asyncrun.clients.kube import open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.launch.pod_finish import holds_up
from asyncrun.model.errors import AccessDenied, RemoteError
from asyncrun.model.event import PodCompletionEvent, cut_last_lines
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.pod import Pod
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import DEADLINE as ACTIVE_DEADLINE
from asyncrun.model.pod_outcome import Decision, decide, ended_apart, gave_up, needs_events
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.settings import Settings
from asyncrun.triggers.deadline import Deadline
from asyncrun.triggers.leaving import Leaving
from asyncrun.triggers.metrics.endings import pod_endings
from asyncrun.triggers.opening import open_patiently
from asyncrun.triggers.pod_events import PodEvents
from asyncrun.triggers.pod_log import PodRunLog
from asyncrun.triggers.pod_observer import PodObserver
from asyncrun.triggers.pod_start import PodStart
from asyncrun.triggers.pod_stopping import PodStopping
from asyncrun.triggers.pod_xcom import PodXCom
from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.subscribing_pods import subscribe_pod
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.wakeup import is_due
from asyncrun.triggers.watch.news import Broken, Deleted, Gone, News, Recovered, Remark, Seen, Trouble

_FIRST_LOOK = 30.0  # s; so long the deadline waits for the first news of the pod
_EVENTS_AGAIN = 2.0  # s between two readings of events without which the outcome is not sure
_LOOK_AGAIN = 5.0  # s between two looks at a pod that is about to be given up


class PodRun:
    """
    Watches one pod: subscribes to the shared reflector, follows the logs, decides the outcome.

    :param watch: what the worker handed over.
    :param observer: see ``PodTrigger``.
    :param clock: seconds since the epoch; the deadlines are in that time.
    """

    __slots__ = (
        "_access",
        "_apart",
        "_clock",
        "_doubt_is_said",
        "_ended_at",
        "_error",
        "_events",
        "_gone",
        "_known_at",
        "_log",
        "_observer",
        "_pod",
        "_settings",
        "_stack",
        "_start",
        "_stopping",
        "_subscription",
        "_task_log",
        "_was_seen_alive",
        "_was_started",
        "_watch",
    )

    def __init__(
        self,
        watch: PodWatch,
        settings: Settings,
        task_log: TaskLog,
        *,
        observer: PodObserver | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._watch, self._settings, self._task_log, self._clock = watch, settings, task_log, clock
        self._stack = Leaving()
        self._log = PodRunLog(watch, settings, task_log, observer)
        self._observer = observer
        self._start = PodStart(watch, task_log.say, clock)
        self._events = PodEvents(watch, task_log.say)
        self._stopping = PodStopping(watch, settings, task_log.say)
        self._access: KubeAccess | None = None
        self._subscription: Subscription[Pod]
        self._pod: Pod | None = None
        self._gone = False
        self._apart = False  # it was seen to end by itself, see ``ended_apart``
        self._ended_at: float | None = None  # when it was first seen to have ended, the event loop's time
        self._known_at: float | None = None  # the same, seconds since the epoch
        self._was_seen_alive = self._was_started = False
        self._error: RemoteError | None = None  # for which we gave up
        self._doubt_is_said = False

    def __str__(self) -> str:
        return f"Pod {self._watch.ref}"

    async def __aenter__(self) -> Self:
        await self._stack.__aenter__()
        self._stack.callback(self._log.close)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        await self._stack.__aexit__(kind, error, at)

    async def completion(self) -> PodCompletionEvent:
        """Wait for the end, read the log to its end, explain both."""
        outcome = await self._outcome()
        pod_endings().note(outcome.verdict, self._lag(outcome))
        xcom = PodXCom(self._watch, self._settings, self._task_log.say)
        if self._access is not None and outcome.stop_cause is not StopCause.ACCESS:
            if outcome.stop_cause is StopCause.START:
                await self._stopping.unstarted(self._pod)  # first: nothing of it may run any more
            if outcome.verdict is not Verdict.SUCCEEDED:
                await self._events.read(self._access, shown=self._watch.events_on_failure)
            endless = self._endless()
            self._follow()  # listeners are called soon, and this may have heard of the end before them
            await self._log.drain(outcome, endless=endless)
            outcome = await xcom.collect(self._access, self._subscription, outcome)
        return PodCompletionEvent(
            ref=self._watch.ref,
            outcome=outcome,
            diagnosis=diagnose(
                outcome,
                self._pod,
                self._events.evidence,
                base=self._watch.base,
                error=self._error or xcom.error,
                trouble=self._start.trouble,
            ),
            last_lines=() if outcome.verdict is Verdict.SUCCEEDED else self._last_lines(outcome),
            result=xcom.result,
        )

    def _endless(self) -> tuple[str, ...]:
        """Containers that go on: main ones, and the native sidecars, which Kubernetes ends only after all of these."""
        if self._pod is None or not (others := holds_up(self._pod, self._watch.base)):
            return ()
        return (*others, *self._pod.sidecars())

    async def stop(self, reason: str) -> None:
        """
        Delete the pod, repeating the call until it is answered.

        :raises RemoteError: it was refused, or nobody answered for ``kill_grace``.
        """
        await self._stopping.delete(reason)

    async def stop_at_deadline(self, reason: str) -> None:
        """See ``deadline.Ending``."""
        await self._stopping.at_deadline(reason)

    def say(self, level: str, text: str) -> None:
        """See ``deadline.Ending``."""
        self._task_log.say(level, text)

    def patience(self) -> float:
        """See ``deadline.Ending``."""
        return self._stopping.patience(self._pod)

    # -- until the end is known ----------------------------------------------------------------------------------------

    async def _outcome(self) -> Outcome:
        loop = asyncio.get_running_loop()
        left = None if self._watch.deadline is None else max(0.0, self._watch.deadline - self._clock())
        due = None if left is None else loop.time() + left
        deadline = Deadline(due, self._watch.deadline_reason, self, outage=self._settings.access_grace)
        try:
            self._access = await open_patiently(
                self._stack, partial(open_kube, self._watch.target, self._settings), self._settings,
                self._task_log.say,
                platform="Kubernetes", patience=None if left is None else left + self._settings.access_grace,
            )  # fmt: skip
        except RemoteError as error:
            return self._given_up(error)
        if self._watch.server not in ("", self._access.server):
            # Not wrong in itself: one cluster may be reached at two addresses, from inside and from outside.
            self._task_log.say("warning", f"The worker has launched {self} at {self._watch.server}, and it is watched "
                                          f"at {self._access.server}")  # fmt: skip
        if due is not None:
            # A trigger that starts after the deadline first looks whether the pod has ended by itself meanwhile.
            deadline.due = max(due, loop.time() + _FIRST_LOOK)
        self._subscription = self._stack.enter_context(subscribe_pod(self._access, self._watch.ref, self._settings))
        self._stack.enter_context(self._subscription.listening(self._follow))
        while True:
            news = await self._news(deadline)
            if isinstance(news, Seen) and self._pod is None:
                deadline.due = due
            outcome = (self._hear(news) if news is not None else None) or await self._decided(deadline)
            if outcome is not None:
                return outcome
            if self._is_due(deadline) and not await deadline.enforce():
                return self._gave_up(Verdict.STOPPED, deadline.reason, StopCause.DEADLINE, not_ended=deadline.not_ended)

    def _is_due(self, deadline: Deadline) -> bool:
        # What ended by itself keeps its own outcome, also if that was noticed only after the deadline.
        return self._ended_at is None and deadline.due is not None and is_due(deadline.due)

    async def _news(self, deadline: Deadline) -> News[Pod] | None:
        """The next news, or None when there may be something else to do."""
        now = asyncio.get_running_loop().time()
        if self._ended_at is not None:
            rest = max(0.0, self._ended_at + self._settings.reason_wait - now)
            return await self._subscription.news(min(rest, _EVENTS_AGAIN) if self._events.failed else rest)
        due = [moment - now for moment in (deadline.due,) if moment is not None]
        if self._pod is not None and (left := self._start.left()) is not None:
            due.append(left)
        return await self._subscription.news(max(0.0, min(due)) if due else None)

    def _hear(self, news: News[Pod]) -> Outcome | None:
        """Take it in. Returns the outcome where it means that we cannot go on."""
        match news:
            case Seen(state=pod):
                self._see(pod)
            case Deleted(state=pod):
                self._gone = True
                self._see(pod)
            case Trouble(fatal=True, error=error):
                return self._given_up(error)
            case Trouble(error=error):
                self._task_log.say("warning", f"{self} cannot be seen at the moment; the watching goes on. {error}")
            case Recovered(trouble=trouble, at=at):
                self._task_log.say("info", f"{self} can be seen again, after {at - trouble.since:.0f} s")
            case Remark(text=text):
                self._task_log.say("info", text)
            case Gone():
                if self._pod is None:
                    return self._gave_up(Verdict.LOST, "it is gone, and nobody saw how it ended")
                self._gone = True
            case Broken(error=error):
                return self._given_up(error)
        return None

    def _see(self, pod: Pod) -> None:
        previous, self._pod = self._pod, pod
        self._apart = self._apart or ended_apart(pod, self._watch.base)
        if previous is None or previous.status.phase != pod.status.phase:
            node = f" on node {pod.spec.node_name}" if pod.spec.node_name else ""
            self._task_log.say("info", f"{self} is {pod.status.phase}{node}")
        started, self._was_started = self._was_started, self._start.look(pod, self._events.known)
        if self._observer is not None and self._was_started and not started:
            self._observer.started(pod)

    def _follow(self) -> None:
        """Whenever there is news, also while its end is being worked on: the log needs every state."""
        latest = self._subscription.latest
        if isinstance(latest, Seen | Deleted) and self._access is not None:
            self._log.look(latest.state, self._access)

    async def _decided(self, deadline: Deadline) -> Outcome | None:
        """The outcome, once nothing that may still come would change it, or that was waited for long enough."""
        if self._pod is None or self._access is None:
            return None
        decision = self._decide(self._pod, deadline)
        if decision is None:
            self._was_seen_alive, self._ended_at = True, None
            return await self._not_started(self._pod, self._access)
        if self._ended_at is None:
            self._ended_at, self._known_at = asyncio.get_running_loop().time(), self._clock()
        if not decision.complete and not is_due(self._ended_at + self._settings.reason_wait):
            return None
        if needs_events(self._pod, self._watch.base, end_seen_apart=self._apart, stopping=deadline.asked):
            if not await self._is_told(self._access, self._ended_at):
                return None
            decision = self._decide(self._pod, deadline) or decision
        outcome = decision.outcome
        # A pod that is to be kept was ended by its active deadline, which we brought forward.
        if deadline.asked and (outcome.verdict is Verdict.STOPPED or outcome.code == ACTIVE_DEADLINE):
            return msgspec.structs.replace(
                outcome, verdict=Verdict.STOPPED, stop_cause=StopCause.DEADLINE, our_reason=deadline.reason
            )
        return outcome

    async def _is_told(self, access: KubeAccess, ended_at: float) -> bool:
        """Whether the events are known, or are no longer waited for: they alone tell an eviction from a success."""
        await self._events.read(access)
        why = "the verb list on events is needed for that" if self._events.denied else "nobody answered"
        if self._events.failed and not is_due(ended_at + self._settings.reason_wait):
            return False
        if self._events.denied or self._events.failed:
            self._task_log.say("warning", "Whether the pod was evicted is told by its events only, and they cannot "
                                          f"be read: {why}")  # fmt: skip
        return True

    def _decide(self, pod: Pod, deadline: Deadline) -> Decision | None:
        return decide(
            pod, self._watch.base,
            deleted=self._gone, end_seen_apart=self._apart, stopping=deadline.asked, events=self._events.known,
        )  # fmt: skip

    async def _not_started(self, pod: Pod, access: KubeAccess) -> Outcome | None:
        """The outcome where it is taking too long to start, or cannot; what delays it is said as it becomes known."""
        if self._start.wants_events():
            await self._events.read(access, shown=self._watch.events_on_startup)
            self._start.look(pod, self._events.known)
        if self._start.failure() and not await self._is_confirmed(access):
            return None
        why = self._start.failure()
        return self._gave_up(Verdict.NEVER_STARTED, why, StopCause.START) if why else None

    async def _is_confirmed(self, access: KubeAccess) -> bool:
        """What is known of the pod may be old, as in an outage: it is not given up before it was looked at."""
        ref = self._watch.ref
        try:
            pod = await access.pods(ref.namespace).get(ref.name)
        except AccessDenied:
            return True  # it never can be
        except RemoteError as error:  # NotFound, too: the watch will tell how it ended
            self._start.postpone(_LOOK_AGAIN)
            if not self._doubt_is_said:
                self._doubt_is_said = True
                self._task_log.say("info", f"{self} is not given up before it can be looked at once more. {error}")
            return False
        if pod.uid == ref.uid:
            self._see(pod)
        return True

    # -- what is told of the end ---------------------------------------------------------------------------------------

    def _given_up(self, error: RemoteError) -> Outcome:
        self._error = error
        grace = f" (for {self._settings.access_grace:.0f} s)" if isinstance(error, AccessDenied) else ""
        return self._gave_up(Verdict.LOST, f"{error}{grace}", StopCause.ACCESS)

    def _gave_up(self, verdict: Verdict, why: str, cause: StopCause | None = None, *, not_ended: str = "") -> Outcome:
        return gave_up(verdict, why, cause, base=self._watch.base, not_ended=not_ended, pod=self._pod)

    def _lag(self, outcome: Outcome) -> float | None:
        """Seconds from its end to our knowing, None if it is not known or says nothing about us."""
        if not self._was_seen_alive or outcome.finished_at is None or self._known_at is None:
            return None
        return self._known_at - outcome.finished_at

    def _last_lines(self, outcome: Outcome) -> tuple[str, ...]:
        name = outcome.decided_by or self._watch.base
        return cut_last_lines(self._log.last_lines(name, self._watch.last_lines))
