"""RunTask's parameters, checked, and the constant members of the tasks that come of them."""

from __future__ import annotations

import random
import re
import uuid
from dataclasses import dataclass, field
from typing import Any

from asyncrun.local.aws.definitions import apply_overrides, check_network, invalid
from asyncrun.local.aws.rules import check_role
from asyncrun.local.aws.tasks import Container, TaskDefinition

_FARGATE_PROVIDERS = ("FARGATE", "FARGATE_SPOT")


@dataclass(slots=True)
class Launch:
    """One checked RunTask call."""

    region: str
    cluster_arn: str
    cluster_name: str
    definition: TaskDefinition
    containers: list[dict[str, Any]]
    launch_type: str
    capacity_provider: str | None
    count: int
    params: dict[str, Any]
    instance_arn: str = field(init=False)

    def __post_init__(self) -> None:
        instance = uuid.uuid5(uuid.NAMESPACE_URL, self.cluster_arn).hex
        self.instance_arn = f"{self.cluster_arn.replace(':cluster/', ':container-instance/')}/{instance}"

    @property
    def memory_mib(self) -> int:
        """What the task reserves on an instance."""
        if self.definition.memory:
            return int(self.definition.memory)
        return sum(int(one.get("memoryReservation") or one.get("memory") or 0) for one in self.containers)

    def runtime_id(self, task_id: str) -> str:
        """The id of a container in its runtime: Fargate's begins with the task's id, Docker's is 64 hex digits."""
        if self.launch_type == "FARGATE":
            return f"{task_id}-{random.randrange(10**9, 10**10)}"
        return uuid.uuid4().hex + uuid.uuid4().hex

    def facts(self, task_arn: str, containers: list[Container]) -> dict[str, Any]:
        """The members of the API's Task that never change, and ``tags``."""
        params, overrides = self.params, self.params.get("overrides") or {}
        fargate = self.launch_type == "FARGATE"
        attachments = [*self._network_attachment(containers), *self._volume_attachments()]
        return {
            "taskArn": task_arn,
            "clusterArn": self.cluster_arn,
            "taskDefinitionArn": self.definition.arn,
            "launchType": self.launch_type,
            "capacityProviderName": self.capacity_provider,
            "containerInstanceArn": None if fargate else self.instance_arn,
            "group": params.get("group") or f"family:{self.definition.family}",
            "startedBy": params.get("startedBy"),
            "enableExecuteCommand": bool(params.get("enableExecuteCommand")),
            "availabilityZone": f"{self.region}a",
            "platformVersion": self._platform_version() if fargate else None,
            "platformFamily": "Linux" if fargate else None,
            "ephemeralStorage": overrides.get("ephemeralStorage") or ({"sizeInGiB": 20} if fargate else None),
            "cpu": overrides.get("cpu") or self.definition.cpu or _total(containers, "cpu"),
            "memory": overrides.get("memory") or self.definition.memory or _total(containers, "memory"),
            "attachments": attachments,
            "attributes": [{"name": "ecs.cpu-architecture", "value": "x86_64"}],
            "healthStatus": "UNKNOWN",
            "inferenceAccelerators": [],
            "overrides": self._shown_overrides(overrides),
            "tags": self._tags(),
        }

    def _platform_version(self) -> str:
        version = self.params.get("platformVersion") or "LATEST"
        return "1.4.0" if version == "LATEST" else str(version)

    def _shown_overrides(self, overrides: dict[str, Any]) -> dict[str, Any]:
        given = {override.get("name"): override for override in overrides.get("containerOverrides") or []}
        shown = [given.get(container["name"], {"name": container["name"]}) for container in self.containers]
        return {**overrides, "containerOverrides": shown, "inferenceAcceleratorOverrides": []}

    def _tags(self) -> list[dict[str, str]]:
        tags: dict[str, dict[str, str]] = {}
        if self.params.get("enableECSManagedTags"):
            tags["aws:ecs:clusterName"] = {"key": "aws:ecs:clusterName", "value": self.cluster_name}
        propagated = self.definition.tags if self.params.get("propagateTags") == "TASK_DEFINITION" else []
        for tag in [*(propagated or []), *(self.params.get("tags") or [])]:
            tags[tag["key"]] = dict(tag)
        return list(tags.values())

    def _network_attachment(self, containers: list[Container]) -> list[dict[str, Any]]:
        configuration = (self.params.get("networkConfiguration") or {}).get("awsvpcConfiguration")
        if not configuration:
            return []
        address = f"10.0.{random.randrange(256)}.{random.randrange(4, 255)}"
        interface = f"eni-{uuid.uuid4().hex[:17]}"
        details = {
            "subnetId": configuration["subnets"][0],
            "networkInterfaceId": interface,
            "privateIPv4Address": address,
        }
        attachment = {
            "id": str(uuid.uuid4()),
            "type": "ElasticNetworkInterface",
            "status": "PRECREATED",
            "details": [{"name": name, "value": value} for name, value in details.items()],
        }
        for container in containers:
            container.network_interfaces = [{"attachmentId": attachment["id"], "privateIpv4Address": address}]
        return [attachment]

    def _volume_attachments(self) -> list[dict[str, Any]]:
        attachments = []
        for configuration in self.params.get("volumeConfigurations") or []:
            volume = {"volumeName": configuration["name"], **(configuration.get("managedEBSVolume") or {})}
            details = [{"name": name, "value": str(value)} for name, value in volume.items()]
            attachments.append(
                {
                    "id": str(uuid.uuid4()),
                    "type": "AmazonElasticBlockStorage",
                    "status": "PRECREATED",
                    "details": details,
                }
            )
        return attachments


def plan_launch(region: str, cluster: Any, definition: TaskDefinition, params: dict[str, Any]) -> Launch:
    """Checks a RunTask call as AWS does.

    :raises AwsError: InvalidParameterException or ClientException.
    """
    count = int(params.get("count") or 1)
    if not 1 <= count <= 10:
        raise invalid("Count must be between 1 and 10.")
    started_by = params.get("startedBy")
    if started_by and not re.fullmatch(r"[A-Za-z0-9\-/_]{1,128}", started_by):
        raise invalid("startedBy must be at most 128 letters, numbers, hyphens, forward slashes and underscores.")
    launch_type, provider = _where(cluster, params)
    if launch_type == "FARGATE" and not definition.fargate:
        raise invalid("Task definition does not support launch_type FARGATE.")
    if params.get("propagateTags") == "SERVICE":
        raise invalid("The propagateTags value SERVICE is not valid for RunTask.")
    check_network(definition, params.get("networkConfiguration"))
    overrides = params.get("overrides") or {}
    containers = apply_overrides(definition, overrides)
    _check_volumes(definition, params)
    check_role(definition.execution_role_arn, overrides.get("executionRoleArn"))
    check_role(definition.task_role_arn, overrides.get("taskRoleArn"))
    return Launch(region, cluster.arn, cluster.name, definition, containers, launch_type, provider, count, params)


def _where(cluster: Any, params: dict[str, Any]) -> tuple[str, str | None]:
    launch_type, strategy = params.get("launchType"), params.get("capacityProviderStrategy")
    if launch_type and strategy:
        raise invalid(
            "Specifying both a launch type and capacity provider strategy is not supported. Remove one and try again."
        )
    if launch_type:
        if launch_type not in ("EC2", "FARGATE", "EXTERNAL"):
            raise invalid("launch type should be one of [EC2,FARGATE,EXTERNAL]")
        return launch_type, None
    strategy = strategy or cluster.default_capacity_provider_strategy
    if not strategy:
        return "EC2", None
    known = {*_FARGATE_PROVIDERS, *(cluster.capacity_providers or [])}
    for item in strategy:
        if item["capacityProvider"] not in known:
            raise invalid(
                "The specified capacity provider strategy cannot contain a capacity provider that is not associated "
                "with the cluster. Associate the capacity provider with the cluster and try again."
            )
    with_base = [item for item in strategy if item.get("base")]
    weights = [item.get("weight") or (0 if len(strategy) > 1 else 1) for item in strategy]
    chosen = with_base[0] if with_base else random.choices(strategy, weights if any(weights) else None)[0]
    provider = str(chosen["capacityProvider"])
    return ("FARGATE" if provider in _FARGATE_PROVIDERS else "EC2"), provider


def _check_volumes(definition: TaskDefinition, params: dict[str, Any]) -> None:
    known = {volume.get("name") for volume in definition.volumes or []}
    for configuration in params.get("volumeConfigurations") or []:
        if configuration.get("name") not in known:
            raise invalid(f"The volume {configuration.get('name')} is not a volume of the task definition.")


def _total(containers: list[Container], name: str) -> str | None:
    total = sum(int(container.definition.get(name) or 0) for container in containers)
    return str(total) if total else None
