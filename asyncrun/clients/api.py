"""
What the rest of asyncrun may ask of AWS: interfaces and plain values, without an SDK.

The implementation is ``asyncrun.clients.aws``; tests may bring their own. Every method raises only errors of
``asyncrun.model.errors`` (a ``RemoteError``), waits for its call budget first, and never blocks the event loop.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from typing import Any, Protocol

import msgspec


class Failure(msgspec.Struct, frozen=True):
    """One element of a batch answer's ``failures``: what was asked for, and why there is no answer."""

    arn: str
    reason: str
    detail: str = ""


class Described(msgspec.Struct, frozen=True):
    """
    A batch answer of ECS: raw objects as decoded JSON (times are numbers, seconds since the epoch), and failures.

    :param items: ``tasks`` or ``clusters``.
    """

    items: list[dict[str, Any]]
    failures: list[Failure]


class LogEvent(msgspec.Struct, frozen=True, gc=False):
    """
    One event of CloudWatch Logs.

    :param stream: name of its log stream.
    :param event_id: unique in its log group; empty from GetLogEvents, which has none.
    :param time_ms: when the container wrote it, milliseconds since the epoch.
    :param ingested_ms: when CloudWatch took it in, milliseconds since the epoch; 0 if unknown.
    """

    stream: str
    event_id: str
    time_ms: int
    ingested_ms: int
    message: str


class LogPage(msgspec.Struct, frozen=True):
    """
    One page of log events. A page may be empty and still have a next one.

    :param next_token: what to ask for next. FilterLogEvents: None at the end. GetLogEvents: never None; the end is
        where the token that was sent comes back.
    """

    events: list[LogEvent]
    next_token: str | None


class EcsApi(Protocol):
    """ECS of one account and region."""

    @property
    def key(self) -> Hashable:
        """Equal for two objects that reach the same account and region with the same credentials."""

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        """DescribeTasks for at most 100 tasks."""

    async def describe_clusters(self, names: Sequence[str]) -> Described:
        """DescribeClusters for at most 100 clusters."""

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        """The ``taskDefinition`` of that name, family:revision or ARN."""

    async def list_tasks(self, cluster: str, *, started_by: str, desired_status: str) -> list[str]:
        """ARNs of the tasks with that ``startedBy``, every page of them; ``desired_status`` RUNNING or STOPPED."""

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        """RunTask with exactly these arguments."""

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        """
        StopTask; a task that is already stopped is no error.

        :raises NotShown: ECS does not know it.
        """

    async def create_cluster(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """CreateCluster; the ``cluster``."""

    async def delete_cluster(self, name: str) -> dict[str, Any]:
        """DeleteCluster; the ``cluster``."""

    async def register_task_definition(self, request: Mapping[str, Any]) -> dict[str, Any]:
        """RegisterTaskDefinition; the ``taskDefinition``."""

    async def deregister_task_definition(self, name: str) -> dict[str, Any]:
        """DeregisterTaskDefinition; the ``taskDefinition``."""


class LogsApi(Protocol):
    """CloudWatch Logs of one account and region."""

    @property
    def key(self) -> Hashable:
        """Equal for two objects that reach the same account and region with the same credentials."""

    @property
    def region(self) -> str:
        """The region it reads from."""

    @property
    def ahead(self) -> float:
        """How many seconds its clock is ahead of ours, at least; 0 while it has not answered."""

    async def filter_log_events(
        self,
        group: str,
        streams: Sequence[str],
        *,
        start_ms: int,
        next_token: str | None = None,
        limit: int | None = None,
    ) -> LogPage:
        """
        FilterLogEvents for at most 100 streams, sorted by time.

        :param limit: events, at most; None: as many as AWS gives, 1 MB or 10,000.
        :raises NotFound: the group, or one of the streams, does not exist.
        """

    async def get_log_events(
        self, group: str, stream: str, *, start_ms: int, next_token: str | None = None, limit: int | None = None
    ) -> LogPage:
        """
        GetLogEvents forward from ``start_ms``; send the same ``start_ms`` with each token.

        :param limit: as for ``filter_log_events``.
        :raises NotFound: the group or the stream does not exist.
        """


class AwsAccess(Protocol):
    """One ``AwsTarget``'s way to AWS in this process and event loop. Stays valid when credentials rotate."""

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target in the same event loop."""

    @property
    def region(self) -> str:
        """The region that the target resolves to."""

    @property
    def ecs(self) -> EcsApi:
        """ECS in the target's region."""

    def logs(self, region: str | None = None) -> LogsApi:
        """CloudWatch Logs in that region, or the target's."""

    async def renew(self) -> None:
        """
        Look up the connection and its credentials again, now.

        Single-flight; calls that are under way finish with the old client.

        :raises RemoteError: they cannot be resolved.
        """
