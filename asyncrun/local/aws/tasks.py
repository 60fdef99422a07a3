"""Tasks and containers as DescribeTasks shows them."""

from __future__ import annotations

import threading
import time
import uuid
from dataclasses import dataclass, field
from typing import Any

from asyncrun.local.aws.process import ContainerProcess


@dataclass(slots=True)
class TaskDefinition:
    """What of a registered task definition concerns a run."""

    arn: str
    family: str
    containers: list[dict[str, Any]]
    network_mode: str
    cpu: str | None
    memory: str | None
    execution_role_arn: str | None
    task_role_arn: str | None
    tags: list[dict[str, str]]
    volumes: list[dict[str, Any]]
    fargate: bool


@dataclass(slots=True)
class Container:
    """One container of a task: its definition with the overrides applied, and its state.

    ``definition`` has the shape of the API's ContainerDefinition.
    """

    definition: dict[str, Any]
    task_arn: str
    region: str
    account: str
    runtime_id: str
    last_status: str = "PENDING"
    exit_code: int | None = None
    reason: str | None = None
    network_interfaces: list[dict[str, Any]] = field(default_factory=list)
    process: ContainerProcess | None = None
    started: bool = False
    kill_at: float | None = None
    out_of_memory: bool = False
    arn: str = ""

    def __post_init__(self) -> None:
        cluster_and_task = self.task_arn.partition(":task/")[2]
        self.arn = f"arn:aws:ecs:{self.region}:{self.account}:container/{cluster_and_task}/{uuid.uuid4()}"

    @property
    def name(self) -> str:
        return str(self.definition["name"])

    @property
    def essential(self) -> bool:
        return bool(self.definition.get("essential", True))

    @property
    def stopped(self) -> bool:
        return self.last_status == "STOPPED"

    def to_api(self) -> dict[str, Any]:
        """The API's Container; names without a value are left out, as AWS does."""
        definition = self.definition
        shown = {
            "containerArn": self.arn,
            "taskArn": self.task_arn,
            "name": self.name,
            "image": definition.get("image"),
            "runtimeId": self.runtime_id if self.started else None,
            "lastStatus": self.last_status,
            "exitCode": self.exit_code,
            "reason": self.reason,
            "networkBindings": [] if self.started else None,
            "networkInterfaces": list(self.network_interfaces),
            "healthStatus": "UNKNOWN",
            "cpu": str(definition.get("cpu") or 0),
            "memory": _text(definition.get("memory")),
            "memoryReservation": _text(definition.get("memoryReservation")),
        }
        return {name: value for name, value in shown.items() if value is not None}


class Task:
    """One task. All its fields are read and written under the server's lock; `change` makes each change a new version.

    :param facts: members of the API's Task that never change.
    :param lock: the lock of the whole server.
    """

    def __init__(
        self,
        facts: dict[str, Any],
        containers: list[Container],
        definition: TaskDefinition,
        lock: threading.RLock,
        *,
        region: str,
        visible_after: float,
        reserved_mib: int,
    ) -> None:
        self._lock = lock
        self.facts = facts
        self.containers = containers
        self.definition = definition
        self.region = region
        self.reserved_mib = reserved_mib
        self.visible_at = time.monotonic() + visible_after
        self.vanished = False
        self.version = 1
        self.tags: list[dict[str, str]] = facts.pop("tags", [])
        self.state: dict[str, Any] = {
            "lastStatus": "PROVISIONING",
            "desiredStatus": "RUNNING",
            "createdAt": time.time(),
        }
        self.stopped_monotonic: float | None = None

    @property
    def arn(self) -> str:
        return str(self.facts["taskArn"])

    @property
    def id(self) -> str:
        return self.arn.rpartition("/")[2]

    @property
    def cluster_arn(self) -> str:
        return str(self.facts["clusterArn"])

    @property
    def launch_type(self) -> str:
        return str(self.facts["launchType"])

    @property
    def last_status(self) -> str:
        return str(self.state["lastStatus"])

    @property
    def desired_status(self) -> str:
        return str(self.state["desiredStatus"])

    @property
    def has_network_interface(self) -> bool:
        """Fargate and awsvpc tasks: only these pass through PROVISIONING and DEPROVISIONING."""
        return self.launch_type == "FARGATE" or self.definition.network_mode == "awsvpc"

    @property
    def occupies_instance(self) -> bool:
        """Whether it takes memory of a container instance."""
        return self.launch_type != "FARGATE" and self.last_status != "STOPPED"

    def change(self, **state: Any) -> None:
        """Sets members of the API's Task and counts a version."""
        with self._lock:
            self.state.update(state)
            self.version += 1
            if state.get("lastStatus") == "STOPPED":
                self.stopped_monotonic = time.monotonic()

    def begin_stop(self) -> bool:
        """Sets desiredStatus to STOPPED; False if it was already. Decides which reason is the first."""
        with self._lock:
            if self.desired_status == "STOPPED":
                return False
            self.change(desiredStatus="STOPPED", stoppingAt=time.time())
            return True

    def change_container(self, container: Container, **state: Any) -> None:
        """Sets fields of a container and counts a version of the task."""
        with self._lock:
            for name, value in state.items():
                setattr(container, name, value)
            self.version += 1

    def attachment_status(self, status: str) -> None:
        """Sets the status of the task's network interface."""
        with self._lock:
            for attachment in self.facts["attachments"]:
                attachment["status"] = status

    def container(self, name: str) -> Container:
        """The container of that name."""
        return next(container for container in self.containers if container.name == name)

    def to_api(self, *, tags: bool = False) -> dict[str, Any]:
        """The API's Task, complete and detached from this object."""
        with self._lock:
            shown = {
                **self.facts,
                "attachments": [dict(attachment) for attachment in self.facts["attachments"]],
                **self.state,
                "version": self.version,
                "containers": [container.to_api() for container in self.containers],
            }
            if tags:
                shown["tags"] = [dict(tag) for tag in self.tags]
            return {name: value for name, value in shown.items() if value is not None}


def _text(value: object) -> str | None:
    return None if value is None else str(value)
