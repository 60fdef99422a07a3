"""What a task definition says about containers and their logs, reduced to what we use."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from asyncrun.model.errors import MalformedAnswer

AWSLOGS = "awslogs"


class LogDestination(msgspec.Struct, frozen=True, kw_only=True):
    """
    Where a container's output goes.

    :param driver: ``awslogs``, ``awsfirelens``, ``splunk``, ...
    :param region: None: the task's own.
    :param stream_prefix: None: on EC2 the stream is named after the container's runtime id.
    """

    driver: str
    group: str = ""
    region: str | None = None
    stream_prefix: str | None = None


class ContainerPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    One container of a task definition.

    :param memory_mib: its hard limit, None if only the task has one.
    :param log: None where its definition has no logConfiguration.
    """

    name: str
    essential: bool = True
    image: str = ""
    memory_mib: int | None = None
    log: LogDestination | None = None

    def stream_name(self, task_id: str, runtime_id: str | None) -> str | None:
        """The name of its CloudWatch stream; None while it cannot be known, or where it logs elsewhere."""
        if self.log is None or self.log.driver != AWSLOGS:
            return None
        if self.log.stream_prefix:
            return f"{self.log.stream_prefix}/{self.name}/{task_id}"
        return runtime_id


class TaskPlan(msgspec.Struct, frozen=True, kw_only=True):
    """
    A task definition, in its own order of containers.

    :param memory_mib: the task's own limit, None if it has none.
    """

    arn: str
    containers: tuple[ContainerPlan, ...] = ()
    memory_mib: int | None = None
    execution_role: str = ""

    def container(self, name: str | None) -> ContainerPlan | None:
        """The container of that name, or None."""
        return next((one for one in self.containers if one.name == name), None)

    def decider(self, wanted: str | None) -> str | None:
        """Name of the container that decides the outcome: the user's, or the first essential one."""
        if wanted is not None and self.container(wanted) is not None:
            return wanted
        return next((one.name for one in self.containers if one.essential), None)


def parse_definition(raw: Mapping[str, Any]) -> TaskPlan:
    """
    Read the ``taskDefinition`` of DescribeTaskDefinition.

    :raises MalformedAnswer: where it is not what the API documents.
    """
    try:
        return TaskPlan(
            arn=str(raw["taskDefinitionArn"]),
            containers=tuple(_container(one) for one in raw["containerDefinitions"]),
            memory_mib=_number(raw.get("memory")),
            execution_role=str(raw.get("executionRoleArn") or ""),
        )
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise MalformedAnswer(
            f"ECS described a task definition in a form that cannot be read: {error!r}",
            service="ecs",
            operation="DescribeTaskDefinition",
        ) from error


def _container(raw: Mapping[str, Any]) -> ContainerPlan:
    return ContainerPlan(
        name=str(raw["name"]),
        essential=raw.get("essential") is not False,
        image=str(raw.get("image") or ""),
        memory_mib=_number(raw.get("memory")),
        log=_log(raw.get("logConfiguration")),
    )


def _log(raw: Mapping[str, Any] | None) -> LogDestination | None:
    if not raw:
        return None
    options = raw.get("options") or {}
    return LogDestination(
        driver=str(raw["logDriver"]),
        group=str(options.get("awslogs-group") or ""),
        region=options.get("awslogs-region") or None,
        stream_prefix=options.get("awslogs-stream-prefix") or None,
    )


def _number(value: object) -> int | None:
    return None if value is None else int(str(value))
