"""
A pod as the Kubernetes API shows it: only the fields that we use, under their own names.

Decoding keeps nothing else, so a pod of 10 KiB of JSON costs some microseconds and little memory.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

import msgspec

from asyncrun.model.errors import MalformedAnswer


class _Part(msgspec.Struct, frozen=True, kw_only=True, rename="camel", gc=False):
    """
    JSON of the Kubernetes API, which leaves out what is empty: unknown fields are ignored, missing have defaults.

    What JSON makes has no cycles, so the garbage collector need not look at it (``gc=False``).
    """


BASE_HAS_ENDED = "asyncrun/base-has-ended"
"""Annotation: the container that decides had ended by itself when we told the others to."""


class Metadata(_Part, frozen=True, kw_only=True):
    """What identifies an object."""

    uid: str
    name: str
    namespace: str = ""
    resource_version: str = ""
    labels: dict[str, str] | None = None
    annotations: dict[str, str] | None = None
    creation_timestamp: datetime | None = None
    deletion_timestamp: datetime | None = None
    deletion_grace_period_seconds: int | None = None


class Waiting(_Part, frozen=True, kw_only=True):
    """A container that does not run yet, or not at the moment."""

    reason: str = ""
    message: str = ""


class Running(_Part, frozen=True, kw_only=True):
    """A container that runs."""

    started_at: datetime | None = None


class Terminated(_Part, frozen=True, kw_only=True):
    """An instance of a container that has ended."""

    exit_code: int = 0
    reason: str = ""
    message: str = ""
    started_at: datetime | None = None
    finished_at: datetime | None = None
    container_id: str = msgspec.field(default="", name="containerID")


class ContainerState(_Part, frozen=True, kw_only=True):
    """At most one of the three is set; none: nothing is known, which counts as waiting."""

    waiting: Waiting | None = None
    running: Running | None = None
    terminated: Terminated | None = None


class ContainerStatus(_Part, frozen=True, kw_only=True):
    """One container's present and last instance."""

    name: str
    state: ContainerState = ContainerState()
    last_state: ContainerState = ContainerState()
    restart_count: int = 0
    container_id: str = msgspec.field(default="", name="containerID")
    image: str = ""


class Condition(_Part, frozen=True, kw_only=True):
    """``PodScheduled``, ``DisruptionTarget``, ``Ready``, ..."""

    type: str
    status: str = ""
    reason: str | None = None
    message: str | None = None
    last_transition_time: datetime | None = None


class Resources(_Part, frozen=True, kw_only=True):
    """What a container may use at most; quantities as Kubernetes writes them (``256Mi``)."""

    limits: dict[str, Any] | None = None


class RestartOnExitCodes(_Part, frozen=True, kw_only=True):
    """Which exit codes a rule is about; ``operator`` is ``In`` or ``NotIn``."""

    operator: str = "In"
    values: tuple[int, ...] | None = None


class RestartRule(_Part, frozen=True, kw_only=True):
    """Goes before the container's ``restartPolicy`` (KEP-5307); each known action starts it again."""

    action: str = ""
    exit_codes: RestartOnExitCodes | None = None

    def restarts(self, exit_code: int) -> bool:
        """Whether a container that ends so is started again by this rule."""
        if self.exit_codes is None:
            return False
        return (exit_code in (self.exit_codes.values or ())) == (self.exit_codes.operator == "In")


class ContainerSpec(_Part, frozen=True, kw_only=True):
    """What was asked for; ``restart_policy`` ``Always`` makes an init container a native sidecar."""

    name: str
    image: str = ""
    restart_policy: str | None = None
    restart_policy_rules: tuple[RestartRule, ...] | None = None
    resources: Resources | None = None


class PodSpec(_Part, frozen=True, kw_only=True):
    """What was asked for."""

    containers: tuple[ContainerSpec, ...] | None = None
    init_containers: tuple[ContainerSpec, ...] | None = None
    node_name: str = ""
    restart_policy: str = "Always"
    active_deadline_seconds: int | None = None
    termination_grace_period_seconds: int | None = None


class PodStatus(_Part, frozen=True, kw_only=True):
    """What became of it so far."""

    phase: str = ""
    reason: str | None = None
    message: str | None = None
    conditions: tuple[Condition, ...] | None = None
    container_statuses: tuple[ContainerStatus, ...] | None = None
    init_container_statuses: tuple[ContainerStatus, ...] | None = None


class Pod(_Part, frozen=True, kw_only=True):
    """One pod at one moment."""

    metadata: Metadata
    spec: PodSpec = PodSpec()
    status: PodStatus = PodStatus()

    @property
    def uid(self) -> str:
        """The pod's identity; a pod that is deleted and created again under its name has another one."""
        return self.metadata.uid

    @property
    def is_final(self) -> bool:
        """Whether its phase is the last one: no container of it will run again."""
        return self.status.phase in ("Succeeded", "Failed")

    def statuses(self) -> tuple[ContainerStatus, ...]:
        """Of init containers and native sidecars, then of the main ones; in the order of the definition."""
        return (*(self.status.init_container_statuses or ()), *(self.status.container_statuses or ()))

    def status_of(self, container: str) -> ContainerStatus | None:
        """That container's, None if the kubelet has not said anything of it yet."""
        return next((one for one in self.statuses() if one.name == container), None)

    def condition(self, kind: str) -> Condition | None:
        """That condition, None if it is not there."""
        return next((one for one in self.status.conditions or () if one.type == kind), None)

    def spec_of(self, container: str) -> ContainerSpec | None:
        """What was asked for of that container, None if the pod has none of the name."""
        specs = (*(self.spec.init_containers or ()), *(self.spec.containers or ()))
        return next((one for one in specs if one.name == container), None)

    def may_restart(self, container: str) -> bool:
        """Whether Kubernetes may start that container again after an end of its own."""
        spec = self.spec_of(container)
        policy = (spec.restart_policy if spec is not None else None) or self.spec.restart_policy
        return policy != "Never" or bool(spec is not None and spec.restart_policy_rules)

    def init_containers(self) -> tuple[str, ...]:
        """Names of the init containers that run to their end before the main ones, in order."""
        return tuple(one.name for one in self.spec.init_containers or () if one.restart_policy != "Always")

    def sidecars(self) -> tuple[str, ...]:
        """Names of the native sidecars."""
        return tuple(one.name for one in self.spec.init_containers or () if one.restart_policy == "Always")

    def containers(self) -> tuple[str, ...]:
        """Names of the main containers."""
        return tuple(one.name for one in self.spec.containers or ())


_decode = msgspec.json.Decoder(Pod).decode


def read_pod(body: bytes | msgspec.Raw) -> Pod:
    """
    A pod from its JSON.

    :raises MalformedAnswer: it is something else.
    """
    try:
        return _decode(body)
    except msgspec.MsgspecError as error:
        raise MalformedAnswer(
            f"Kubernetes's answer about a pod cannot be read: {error}", service="kubernetes"
        ) from error


class PodEvent(msgspec.Struct, frozen=True, kw_only=True):
    """
    A Kubernetes event about a pod: what the scheduler, the kubelet or a controller said.

    :param uid: the event's own.
    :param kind: ``Normal`` or ``Warning``.
    :param reason: ``FailedScheduling``, ``Failed``, ``BackOff``, ``Evicted``, ...
    :param first_at: seconds since the epoch, None if it does not say.
    :param last_at: the same, of its latest occurrence.
    """

    uid: str
    kind: str
    reason: str
    message: str
    count: int = 1
    first_at: float | None = None
    last_at: float | None = None
