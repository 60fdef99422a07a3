"""Clusters and task definitions as moto keeps them, and the checks of RunTask that concern them."""

from __future__ import annotations

from typing import Any

from asyncrun.local.aws.tasks import TaskDefinition
from asyncrun.local.aws.wire import ACCOUNT, AwsError


def invalid(message: str) -> AwsError:
    """A call whose parameters AWS refuses."""
    return AwsError("InvalidParameterException", message)


def backend(region: str) -> Any:
    """Moto's ECS of the region."""
    from moto.ecs.models import ecs_backends

    return ecs_backends[ACCOUNT][region]


def find_cluster(region: str, name: str | None) -> Any:
    """Moto's cluster, by name or ARN; ``default`` if none is named.

    :raises AwsError: ClusterNotFoundException.
    """
    cluster = backend(region).clusters.get((name or "default").rpartition("/")[2])
    if cluster is None or cluster.status != "ACTIVE":
        raise AwsError("ClusterNotFoundException", "Cluster not found.")
    return cluster


def find_task_definition(region: str, name: str) -> TaskDefinition:
    """By ARN, ``family:revision``, or ``family`` (its latest active revision).

    :raises AwsError: ClientException when it is unknown or inactive.
    """
    family, _, revision = name.rpartition("/")[2].partition(":")
    revisions: dict[int, Any] = backend(region).task_definitions.get(family, {})
    if revision:
        found = revisions.get(int(revision)) if revision.isdigit() else None
        if found is not None and found.status != "ACTIVE":
            raise AwsError("ClientException", "TaskDefinition is inactive")
    else:
        active = [number for number, definition in revisions.items() if definition.status == "ACTIVE"]
        found = revisions[max(active)] if active else None
    if found is None:
        raise AwsError("ClientException", "TaskDefinition not found.")
    return _read(found)


def _read(found: Any) -> TaskDefinition:
    requires = found.requires_compatibilities or []
    fargate = "FARGATE" in requires
    # moto says awsvpc for everything but EC2, EXTERNAL included.
    network_mode = "awsvpc" if fargate else "bridge" if "EXTERNAL" in requires else str(found.network_mode)
    return TaskDefinition(
        arn=found.arn,
        family=found.family,
        containers=found.container_definitions,
        network_mode=network_mode,
        cpu=found.cpu,
        memory=found.memory,
        execution_role_arn=getattr(found, "execution_role_arn", None),
        task_role_arn=getattr(found, "task_role_arn", None),
        tags=found.tags,
        volumes=found.volumes,
        fargate=fargate or network_mode == "awsvpc",
    )


def check_registration(params: dict[str, Any]) -> None:
    """What RegisterTaskDefinition refuses and moto does not.

    :raises AwsError: ClientException.
    """
    fargate = "FARGATE" in (params.get("requiresCompatibilities") or [])
    containers: list[dict[str, Any]] = params.get("containerDefinitions") or []
    for container in containers:
        configuration = container.get("logConfiguration") or {}
        if configuration.get("logDriver") != "awslogs":
            continue
        options = configuration.get("options") or {}
        if "awslogs-group" not in options:
            raise AwsError("ClientException", "Log driver awslogs requires options: awslogs-group")
        if fargate and "awslogs-stream-prefix" not in options:
            raise AwsError(
                "ClientException",
                "Fargate requires log configuration options to include awslogs-stream-prefix to support log driver "
                "awslogs.",
            )
    if containers and not any(container.get("essential", True) for container in containers):
        raise AwsError("ClientException", "A task definition must have at least one essential container.")
    _check_dependencies(containers)


def _check_dependencies(containers: list[dict[str, Any]]) -> None:
    """Refuses dependencies on containers that are not there, and cycles; AWS does, in words we do not know."""
    waiting = {
        str(container.get("name")): {str(one["containerName"]) for one in container.get("dependsOn") or []}
        for container in containers
    }
    for name, dependencies in waiting.items():
        if unknown := dependencies - waiting.keys():
            message = f"Container {name} depends on the unknown container {min(unknown)}."
            raise AwsError("ClientException", message)
    while ready := {name for name, dependencies in waiting.items() if not dependencies & waiting.keys()}:
        waiting = {name: dependencies for name, dependencies in waiting.items() if name not in ready}
    if waiting:
        raise AwsError("ClientException", f"Cyclic dependency between the containers {sorted(waiting)}.")


def check_network(definition: TaskDefinition, network: dict[str, Any] | None) -> None:
    """Network configuration against network mode.

    :raises AwsError: InvalidParameterException.
    """
    configuration = (network or {}).get("awsvpcConfiguration")
    if definition.network_mode != "awsvpc":
        if configuration:
            raise invalid("Network Configuration is not valid for the given networkMode of this task definition.")
        return
    if not configuration:
        raise invalid("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
    if not configuration.get("subnets"):
        raise invalid("subnets can not be empty.")


def apply_overrides(definition: TaskDefinition, overrides: dict[str, Any]) -> list[dict[str, Any]]:
    """Container definitions with the overrides of RunTask applied.

    :raises AwsError: InvalidParameterException for a container that the task definition does not have.
    """
    given = overrides.get("containerOverrides") or []
    by_name = {override["name"]: override for override in given if "name" in override}
    known = {container["name"] for container in definition.containers}
    for name in by_name:
        if name not in known:
            raise invalid(f"Override for container named {name} is not a container in the TaskDefinition.")
    return [_override(container, by_name.get(container["name"], {})) for container in definition.containers]


def _override(container: dict[str, Any], override: dict[str, Any]) -> dict[str, Any]:
    merged = {**container}
    for name in ("command", "cpu", "memory", "memoryReservation"):
        if override.get(name) is not None:
            merged[name] = override[name]
    environment = {entry["name"]: entry for entry in container.get("environment") or []}
    environment.update({entry["name"]: entry for entry in override.get("environment") or []})
    merged["environment"] = list(environment.values())
    return merged
