"""Operator arguments -> RunTask request. Pure: no Airflow, no SDK, no clock."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

_STARTED_BY_LIMIT = 128  # RunTask, startedBy: up to 128 letters, numbers, hyphens, forward slashes and underscores
_NOT_IN_STARTED_BY = re.compile(r"[^A-Za-z0-9\-/_]")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTaskArguments:
    """The arguments of ``EcsRunTaskOperator`` that become RunTask's, under the operator's names; see there."""

    task_definition: str
    cluster: str
    overrides: dict[str, Any]
    launch_type: str | None = "EC2"
    capacity_provider_strategy: list[dict[str, Any]] | None = None
    volume_configurations: list[dict[str, Any]] | None = None
    group: str | None = None
    placement_constraints: list[dict[str, Any]] | None = None
    placement_strategy: list[dict[str, Any]] | None = None
    platform_version: str | None = None
    network_configuration: dict[str, Any] | None = None
    tags: dict[str, str] | None = None
    propagate_tags: str | None = None
    enable_execute_command: bool | None = None

    @classmethod
    def of(cls, operator: object) -> RunTaskArguments:
        """Read them from an object that has attributes of these names."""
        return cls(**{one.name: getattr(operator, one.name) for one in fields(cls)})


# Attributes that are passed on as they are where they are not None.
_OPTIONAL = {
    "volume_configurations": "volumeConfigurations",
    "platform_version": "platformVersion",
    "group": "group",
    "placement_constraints": "placementConstraints",
    "placement_strategy": "placementStrategy",
    "network_configuration": "networkConfiguration",
    "propagate_tags": "propagateTags",
    "enable_execute_command": "enableExecuteCommand",
}


def run_task_request(arguments: RunTaskArguments, *, started_by: str, client_token: str) -> dict[str, Any]:
    """
    The RunTask request of these arguments.

    A capacity provider strategy replaces the launch type: ECS refuses both together. With neither, the cluster's
    default strategy is used.

    :param started_by: from ``reattach_started_by`` or ``owner_started_by``.
    :param client_token: from ``client_token``.
    """
    request: dict[str, Any] = {
        "cluster": arguments.cluster,
        "taskDefinition": arguments.task_definition,
        "overrides": arguments.overrides,
        "startedBy": started_by,
        "clientToken": client_token,
    }
    if arguments.capacity_provider_strategy:
        request["capacityProviderStrategy"] = arguments.capacity_provider_strategy
    elif arguments.launch_type:
        request["launchType"] = arguments.launch_type
    for ours, theirs in _OPTIONAL.items():
        value = getattr(arguments, ours)
        if value is not None:
            request[theirs] = value
    if arguments.tags is not None:
        request["tags"] = [{"key": key, "value": value} for key, value in arguments.tags.items()]
    return request


def client_token(ti_id: object) -> str:
    """
    RunTask's ``clientToken`` of one try: 56 hexadecimal digits.

    ECS takes up to 64 characters (facts/aws.md 2); the launcher appends the ordinal of a relaunch.

    :param ti_id: the task instance's UUID, which is new for each try. Names and numbers would not do: they are equal
        in two deployments, and after a DAG run was deleted and made again, and ECS would answer with the old task.
    """
    return hashlib.sha256(f"asyncrun:{ti_id}".encode()).hexdigest()[:56]


def reattach_started_by(dag_id: str, task_id: str, run_id: str, map_index: int, deployment: str) -> str:
    """
    A ``startedBy`` that is the same for all tries of one task instance, cleared ones included.

    :param deployment: setting ``deployment``: tells apart two Airflows with equal DAGs that share a cluster.
    :return: for people the beginning of DAG and task id, then 32 hexadecimal digits that make it unique.
    """
    identity = "\x1f".join((dag_id, task_id, run_id, str(map_index), deployment))
    digest = hashlib.sha256(identity.encode()).hexdigest()[:32]
    readable = _NOT_IN_STARTED_BY.sub("_", f"asyncrun/{dag_id}/{task_id}")
    return f"{readable[: _STARTED_BY_LIMIT - len(digest) - 1]}/{digest}"


def owner_started_by(owner: str | None) -> str:
    """The task's owner as ``startedBy``, with what ECS would refuse replaced by ``_``."""
    return _NOT_IN_STARTED_BY.sub("_", owner or "")[:_STARTED_BY_LIMIT] or "airflow"


def log_stream(prefix: str | None, container: str | None, task_id: str) -> str | None:
    """
    The stream that the awslogs driver writes to, or None where prefix and container do not tell.

    :param prefix: the driver's prefix, or ``prefix/container``, which upstream's operator accepts too.
    """
    if not prefix:
        return None
    if container and not prefix.endswith(f"/{container}"):
        return f"{prefix}/{container}/{task_id}"
    return f"{prefix}/{task_id}" if "/" in prefix else None


def names_of(definitions: Sequence[Mapping[str, Any]]) -> list[str]:
    """Container names in a list of container definitions, for a log: the rest of them may hold secrets."""
    return [str(one.get("name", "?")) for one in definitions]
