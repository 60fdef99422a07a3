"""Launch, find and stop ECS tasks. Async, and free of a worker's context: workers and triggers use it alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import Any

import anyio
import msgspec

from asyncrun.clients.api import Described, EcsApi
from asyncrun.clients.patience import Patience, Say, patiently
from asyncrun.launch.advice import advised
from asyncrun.model.backoff import Backoff
from asyncrun.model.ecs import parse_task
from asyncrun.model.errors import (
    LaunchRefused,
    MalformedAnswer,
    NotShown,
    OutOfCapacity,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.model.refs import EcsTaskRef
from asyncrun.model.stopping import stop_reason

# ECS's words for "there is no room now". RESOURCE:* names what is short; AGENT: the agent of the container instance is
# not connected.
_FULL = ("Capacity is unavailable", "EMPTY CAPACITY PROVIDER")
_NO_ROOM_FAILURES = (*_FULL, "RESOURCE:", "AGENT", "NO ACTIVE INSTANCES")
_NO_ROOM_REFUSALS = (*_FULL, "No Container Instances")


class RetryPolicy(msgspec.Struct, frozen=True, kw_only=True):
    """
    Upstream's ``quota_retry``: how a launch that found no room is repeated. All in seconds.

    :param multiplier: factor of the exponential waits.
    :param min: shortest wait.
    :param max: longest wait.
    :param stop_after_delay: no attempt starts later than that after the first.
    """

    multiplier: float = 1
    min: float = 1
    max: float = 1
    stop_after_delay: float = 10

    def wait(self, attempt: int) -> float:
        """The wait after that attempt (1 is the first): exponential, within ``min`` and ``max``."""
        return max(self.min, min(self.max, self.multiplier * 2.0 ** (attempt - 1)))


# Limits of the API: clientToken and StopTask's reason, in characters.
_LONGEST_TOKEN = 64
_ORDINAL_ROOM = 4
_LONGEST_STOP_REASON = 255

# A launch is idempotent through its token, so an answer that did not come is asked for again.
_UNANSWERED = Patience(first=1, longest=10, lasts=120)
# A young task is shown after seconds, mostly.
_NOT_SHOWN = Backoff(first=1, longest=5)


def _ignored(*_: str) -> None:
    """Nobody wants to know."""


class EcsLauncher:
    """
    Launches ECS tasks exactly once, finds and stops them.

    :param api: ECS of the account and region.
    :param retry: what to do when there is no room; None: it is an error at once.
    :param before_request: called before each RunTask; it raises where nobody wants the task any more.
    :param say: told before each further attempt of ``launch`` why there is one.
    :ivar unanswered: a RunTask request that may have placed a task though nothing said so; None if there is none.
    :ivar placed: the task that ``launch`` returned, or was about to return when it was interrupted.
    """

    def __init__(
        self,
        api: EcsApi,
        retry: RetryPolicy | None = None,
        before_request: Callable[[], None] = _ignored,
        say: Say = _ignored,
    ) -> None:
        self._api = api
        self._retry = retry
        self._before_request, self._say = before_request, say
        self.unanswered: Mapping[str, Any] | None = None
        self.placed: EcsTaskRef | None = None

    async def launch(self, request: Mapping[str, Any]) -> EcsTaskRef:
        """
        Run one task.

        The request must carry a ``clientToken``: a repeated request then gets the first one's answer, so answers that
        were lost on the way are asked for again, and a worker that died after the launch finds its task.

        :raises OutOfCapacity: there is no room, and ``retry`` is exhausted.
        :raises LaunchRefused: ECS placed nothing for another reason.
        :raises RemoteError: the request was refused, or nobody answered.
        """
        give_up_at = _now() + (self._retry.stop_after_delay if self._retry else 0)
        ordinal = 0
        while True:
            try:
                return await self._launch_answered(with_ordinal(request, ordinal))
            except OutOfCapacity as error:
                ordinal += 1
                wait = self._retry.wait(ordinal) if self._retry else 0
                if self._retry is None or _now() + wait > give_up_at:
                    raise
                why = ", ".join(error.reasons)
                self._say(f"ECS has no room for the task now: {why}. It is tried again in {wait:.1f} s")
                await anyio.sleep(wait)

    async def find_existing(self, cluster: str, started_by: str) -> EcsTaskRef | None:
        """
        The task with that ``startedBy`` that still runs, the oldest if there are several; None if there is none.

        :raises RemoteError: ListTasks was refused, or nobody answered.
        """
        try:
            arns = await self._api.list_tasks(cluster, started_by=started_by, desired_status="RUNNING")
            if not arns:
                return None
            described = await self._api.describe_tasks(cluster, arns[:100])
        except RemoteError as error:
            raise advised(error) from error.__cause__
        states = [parse_task(raw) for raw in described.items]
        alive = sorted((state.created_at or 0.0, state.arn) for state in states if not state.stopped)
        return EcsTaskRef(cluster=cluster, task_arn=alive[0][1]) if alive else None

    async def stop(
        self,
        ref: EcsTaskRef,
        reason: str,
        *,
        launched_at: float | None = None,
        missing_grace: float,
        on_hidden: Callable[[], None] = _ignored,
    ) -> None:
        """
        Stop that task; one that has already stopped, or that ECS has forgotten, is no error.

        :param reason: shown by ECS as ``stoppedReason``.
        :param launched_at: seconds since the epoch; None: not known, so it may be young.
        :param missing_grace: setting of that name: until so many seconds after the launch a task that ECS does not show
            is young, and the call is repeated; after that it is gone.
        :param on_hidden: called when ECS has answered that it does not show the task, and the call will be repeated.
        :raises RemoteError: StopTask was refused, or nobody answered: the task may still be running.
        """
        age = 0.0 if launched_at is None else max(0.0, time.time() - launched_at)
        gone_at, misses = _now() + missing_grace - age, 0
        while True:
            try:
                return await self._api.stop_task(ref.cluster, ref.task_arn, reason[:_LONGEST_STOP_REASON])
            except NotShown:
                left = gone_at - _now()
                if left <= 0:
                    return None
                misses += 1
                on_hidden()
                await anyio.sleep(min(_NOT_SHOWN.wait(misses), left))

    async def take_back(self, *, missing_grace: float, on_hidden: Callable[[], None] = _ignored) -> EcsTaskRef | None:
        """
        Stop what was placed, or what an unanswered request may have placed: the same token again makes ECS name it.

        :param missing_grace: see ``stop``.
        :param on_hidden: see ``stop``.
        :return: the task that is being stopped; None if there is none.
        :raises LaunchRefused: ECS answers that there is none, after all.
        :raises RemoteError: that was refused, or not answered either: a task may be running.
        """
        if self.placed is None and self.unanswered is not None:
            self.placed = _placed(self.unanswered, await self._api.run_task(self.unanswered))
        if self.placed is None:
            return None
        ref, why = self.placed, stop_reason("nobody waits for this launch any more")
        await self.stop(ref, why, missing_grace=missing_grace, on_hidden=on_hidden)
        self.placed = self.unanswered = None
        return ref

    async def _launch_answered(self, request: Mapping[str, Any]) -> EcsTaskRef:
        """One placement, asked for until it is answered: the token makes that safe."""
        try:
            return await patiently(lambda: self._place(request), self._say, _UNANSWERED)
        except RemoteError as error:
            if isinstance(error, RequestRefused) and _has(error.said or str(error), _NO_ROOM_REFUSALS):
                raise OutOfCapacity(f"ECS has no room for the task now: {error}", reasons=(error.code,)) from error
            raise advised(error) from error.__cause__

    async def _place(self, request: Mapping[str, Any]) -> EcsTaskRef:
        """
        One RunTask. However it is interrupted, ``unanswered`` holds the request until ``placed`` holds its task.

        Whether a call still waits for its turn in the budget cannot be told here: it counts as being under way.
        """
        self._before_request()
        before, self.unanswered = self.unanswered, request
        try:
            self.placed = _placed(request, await self._api.run_task(request))
        except LaunchRefused:  # an answer
            self.unanswered = None
            raise
        except RemoteError as error:
            if not _leaves_open(error):
                self.unanswered = before
            raise
        self.unanswered = None
        return self.placed


def with_ordinal(request: Mapping[str, Any], ordinal: int) -> dict[str, Any]:
    """
    The request of that relaunch, 0 being the first launch.

    ECS answers a token that it knows from its memory, a refusal for want of room included; another attempt needs
    another token.
    """
    token = str(request["clientToken"])
    if len(token) > _LONGEST_TOKEN - _ORDINAL_ROOM:
        raise ValueError(
            f"clientToken {token!r} leaves no room for a relaunch ordinal within {_LONGEST_TOKEN} characters"
        )
    return {**request, "clientToken": f"{token}-{ordinal}"}


def _placed(request: Mapping[str, Any], answer: Described) -> EcsTaskRef:
    cluster = str(request.get("cluster") or "default")
    if answer.failures:
        reasons = tuple(failure.reason for failure in answer.failures)
        said = ", ".join(f"{one.reason} {one.detail}".strip() for one in answer.failures)
        if all(_has(reason, _NO_ROOM_FAILURES) for reason in reasons):
            raise OutOfCapacity(
                f"ECS has no room for the task in cluster {cluster!r} now: {said}. Retry later, allow more "
                "capacity, or set quota_retry to let the launch wait for it",
                reasons=reasons,
            )
        definition = request.get("taskDefinition")
        raise LaunchRefused(
            f"ECS did not place the task in cluster {cluster!r}: {said}. Change task definition {definition!r} or the "
            "operator's placement arguments, or add container instances to the cluster that fit them",
            reasons=reasons,
        )
    if not answer.items or not answer.items[0].get("taskArn"):
        raise MalformedAnswer("ECS accepted RunTask and named no task", service="ecs", operation="RunTask")
    return EcsTaskRef(cluster=cluster, task_arn=str(answer.items[0]["taskArn"]))


def _leaves_open(error: RemoteError) -> bool:
    """Whether RunTask may have placed a task all the same. What is throttled was refused before anything was done."""
    return isinstance(error, (Unavailable, MalformedAnswer)) and not isinstance(error, Throttled)


def _has(text: str, words: tuple[str, ...]) -> bool:
    return any(one in text for one in words)


def _now() -> float:
    return anyio.current_time()
