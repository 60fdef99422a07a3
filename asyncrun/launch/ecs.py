"""Launch, find and stop ECS tasks. Async, and free of a worker's context: workers and triggers use it alike."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any

import anyio
import msgspec

from asyncrun.clients.api import Described, EcsApi
from asyncrun.model.ecs import parse_task
from asyncrun.model.errors import (
    LaunchRefused,
    MalformedAnswer,
    OutOfCapacity,
    RemoteError,
    RequestRefused,
    Unavailable,
)
from asyncrun.model.refs import EcsTaskRef

# ECS's words for "there is no room now", in RunTask's failures and refusals. RESOURCE:* names what is short.
# "AGENT": the container instance's agent is not connected.
_NO_ROOM = ("RESOURCE:", "Capacity is unavailable", "AGENT", "No Container Instances", "EMPTY CAPACITY PROVIDER")


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
_UNANSWERED = RetryPolicy(multiplier=1, min=1, max=10, stop_after_delay=120)


class EcsLauncher:
    """
    Launches ECS tasks exactly once, finds and stops them.

    :param api: ECS of the account and region.
    :param retry: what to do when there is no room; None: it is an error at once.
    :ivar unanswered: a RunTask request that may have placed a task though nothing said so; None if there is none.
    """

    def __init__(self, api: EcsApi, retry: RetryPolicy | None = None) -> None:
        self._api = api
        self._retry = retry
        self.unanswered: Mapping[str, Any] | None = None

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
            except OutOfCapacity:
                ordinal += 1
                wait = self._retry.wait(ordinal) if self._retry else 0
                if self._retry is None or _now() + wait > give_up_at:
                    raise
                await anyio.sleep(wait)

    async def find_existing(self, cluster: str, started_by: str) -> EcsTaskRef | None:
        """
        The task with that ``startedBy`` that still runs, the oldest if there are several; None if there is none.

        :raises RemoteError: ListTasks was refused, or nobody answered.
        """
        arns = await self._api.list_tasks(cluster, started_by=started_by, desired_status="RUNNING")
        if not arns:
            return None
        described = await self._api.describe_tasks(cluster, arns[:100])
        states = [parse_task(raw) for raw in described.items]
        alive = sorted((state.created_at or 0.0, state.arn) for state in states if not state.stopped)
        return EcsTaskRef(cluster=cluster, task_arn=alive[0][1]) if alive else None

    async def stop(self, ref: EcsTaskRef, reason: str) -> None:
        """
        Stop that task; one that has already stopped is no error.

        :param reason: shown by ECS as ``stoppedReason``.
        :raises RemoteError: StopTask was refused, or nobody answered: the task may still be running.
        """
        await self._api.stop_task(ref.cluster, ref.task_arn, reason[:_LONGEST_STOP_REASON])

    async def take_back(self) -> EcsTaskRef | None:
        """
        Stop what an unanswered request may have placed: the same token again makes ECS name it.

        :return: the task that is being stopped; None if every request was answered.
        :raises RemoteError: that was refused, or not answered either: a task may be running.
        """
        if self.unanswered is None:
            return None
        request, self.unanswered = self.unanswered, None
        ref = _placed(request, await self._api.run_task(request))
        await self.stop(ref, "Stopped by Airflow: nobody waits for this launch any more")
        return ref

    async def _launch_answered(self, request: Mapping[str, Any]) -> EcsTaskRef:
        """One placement, asked for until it is answered: the token makes that safe."""
        give_up_at = _now() + _UNANSWERED.stop_after_delay
        attempt = 0
        while True:
            self.unanswered = request
            try:
                answer = await self._api.run_task(request)
            except (Unavailable, MalformedAnswer):
                attempt += 1
                wait = _UNANSWERED.wait(attempt) * random.uniform(0.5, 1)  # noqa: S311 - jitter, not cryptography
                if _now() + wait > give_up_at:
                    raise
                await anyio.sleep(wait)
            except RemoteError as error:
                if not attempt:
                    self.unanswered = None
                if not isinstance(error, RequestRefused):
                    raise
                if _no_room(str(error)):
                    raise OutOfCapacity(f"ECS has no room for the task now: {error}", reasons=(error.code,)) from error
                raise
            else:
                self.unanswered = None
                return _placed(request, answer)


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
        if all(_no_room(reason) for reason in reasons):
            raise OutOfCapacity(
                f"ECS has no room for the task in cluster {cluster!r} now: {said}. Retry later, allow more "
                "capacity, or set quota_retry to let the launch wait for it",
                reasons=reasons,
            )
        raise LaunchRefused(f"ECS did not place the task in cluster {cluster!r}: {said}", reasons=reasons)
    if not answer.items or not answer.items[0].get("taskArn"):
        raise MalformedAnswer("ECS accepted RunTask and named no task", service="ecs", operation="RunTask")
    return EcsTaskRef(cluster=cluster, task_arn=str(answer.items[0]["taskArn"]))


def _no_room(reason: str) -> bool:
    return any(words in reason for words in _NO_ROOM)


def _now() -> float:
    return anyio.current_time()
