"""An ECS task as DescribeTasks tells it, reduced to what we use."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

import msgspec

from asyncrun.model.errors import MalformedAnswer

STOPPED = "STOPPED"


class EcsContainerState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One container of an ECS task.

    :param status: ``lastStatus``, empty if the answer has none.
    :param runtime_id: the container runtime's id, None before it runs: on EC2 without a prefix the log stream's name.
    """

    name: str
    status: str = ""
    exit_code: int | None = None
    reason: str = ""
    runtime_id: str | None = None


class EcsTaskState(msgspec.Struct, frozen=True, kw_only=True, gc=False):
    """
    One ECS task at one moment. Times are seconds since the epoch.

    :param version: grows with every change: an equal version means no news.
    """

    arn: str
    version: int
    status: str
    desired_status: str
    definition_arn: str = ""
    stop_code: str = ""
    stopped_reason: str = ""
    containers: tuple[EcsContainerState, ...] = ()
    created_at: float | None = None
    started_at: float | None = None
    execution_stopped_at: float | None = None
    stopped_at: float | None = None

    @property
    def stopped(self) -> bool:
        """Whether ECS is done with the task entirely."""
        return self.status == STOPPED


def parse_task(raw: Any) -> EcsTaskState:
    """
    Read one element of DescribeTasks' ``tasks``.

    :param raw: the decoded JSON; times may be numbers (as on the wire) or datetimes.
    :raises MalformedAnswer: where it is not what the API documents; says which task if that can be told.
    """
    try:
        return EcsTaskState(
            arn=_text(raw, "taskArn", required=True),
            version=int(raw.get("version") or 0),
            status=_common(raw, "lastStatus", required=True),
            desired_status=_common(raw, "desiredStatus"),
            definition_arn=_common(raw, "taskDefinitionArn"),
            stop_code=_common(raw, "stopCode"),
            stopped_reason=_text(raw, "stoppedReason"),
            containers=tuple(_container(one) for one in raw.get("containers") or ()),
            created_at=_time(raw, "createdAt"),
            started_at=_time(raw, "startedAt"),
            execution_stopped_at=_time(raw, "executionStoppedAt"),
            stopped_at=_time(raw, "stoppedAt"),
        )
    except (TypeError, ValueError, ArithmeticError, AttributeError, KeyError) as error:
        arn = raw.get("taskArn") if isinstance(raw, Mapping) else None
        raise MalformedAnswer(
            f"ECS described task {arn or '(no ARN)'} in a form that cannot be read: {error}",
            service="ecs",
            operation="DescribeTasks",
        ) from error


def _container(raw: Mapping[str, Any]) -> EcsContainerState:
    exit_code = raw.get("exitCode")
    return EcsContainerState(
        name=_common(raw, "name", required=True),
        status=_common(raw, "lastStatus"),
        exit_code=None if exit_code is None else int(exit_code),
        reason=_text(raw, "reason"),
        runtime_id=_text(raw, "runtimeId") or None,
    )


def _text(raw: Mapping[str, Any], key: str, *, required: bool = False) -> str:
    value = raw.get(key)
    if value is None and not required:
        return ""
    if not isinstance(value, str):
        raise TypeError(f"{key} is {value!r}, not text")
    return value


def _common(raw: Mapping[str, Any], key: str, *, required: bool = False) -> str:
    """A text that many tasks have alike: one for all of them in memory."""
    return sys.intern(_text(raw, key, required=required))


def _time(raw: Mapping[str, Any], key: str) -> float | None:
    value = raw.get(key)
    if value is None:
        return None
    timestamp = getattr(value, "timestamp", None)
    return float(timestamp() if callable(timestamp) else value)
