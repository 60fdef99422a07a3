"""The arguments of the pod operator that become the pod, under upstream's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

BASE_CONTAINER = "base"
"""The name of the container that decides, where the user does not name it."""


@dataclass(frozen=True, kw_only=True)
class PodArguments:
    """See upstream's ``KubernetesPodOperator``: the meaning of each argument is the same."""

    image: str | None = None
    name: str | None = None
    namespace: str | None = None
    random_name_suffix: bool = True
    cmds: Sequence[str] | None = None
    arguments: Sequence[str] | None = None
    ports: Sequence[Any] | None = None
    volume_mounts: Sequence[Any] | None = None
    volumes: Sequence[Any] | None = None
    env_vars: Sequence[Any] | Mapping[str, str] | None = None
    env_from: Sequence[Any] | None = None
    configmaps: Sequence[str] | None = None
    secrets: Sequence[Any] | None = None
    pod_runtime_info_envs: Sequence[Any] | None = None
    labels: Mapping[str, str | None] | None = None
    annotations: Mapping[str, str] | None = None
    base_container_name: str | None = None
    image_pull_policy: str | None = None
    image_pull_secrets: Sequence[Any] | str | None = None
    container_resources: Any = None
    affinity: Any = None
    tolerations: Sequence[Any] | None = None
    node_selector: Mapping[str, str] | None = None
    runtime_class_name: str | None = None
    priority_class_name: str | None = None
    schedulername: str | None = None
    service_account_name: str | None = None
    automount_service_account_token: bool | None = None
    hostnetwork: bool = False
    host_aliases: Sequence[Any] | None = None
    hostname: str | None = None
    subdomain: str | None = None
    dnspolicy: str | None = None
    dns_config: Any = None
    security_context: Any = None
    container_security_context: Any = None
    init_containers: Sequence[Any] | None = None
    full_pod_spec: Any = None
    pod_template_file: str | None = None
    pod_template_dict: Mapping[str, Any] | None = None
    termination_grace_period: int | None = None
    termination_message_policy: str | None = "File"
    active_deadline_seconds: int | None = None
    do_xcom_push: bool = False
    xcom_sidecar_container_security_context: Any = None

    @classmethod
    def of(cls, operator: object) -> PodArguments:
        """Read them from an object that has attributes of these names."""
        return cls(**{one.name: getattr(operator, one.name) for one in fields(cls)})

    @property
    def base_name(self) -> str:
        """The base container's name."""
        return self.base_container_name or BASE_CONTAINER


# argument -> what it has to be, in the notation of ``fields``. Not here: what does not become part of a pod as it is.
KINDS = {
    "image": "s",
    "namespace": "s",
    "cmds": "[]s",
    "arguments": "[]s",
    "ports": "[]ContainerPort",
    "volume_mounts": "[]VolumeMount",
    "volumes": "[]Volume",
    "env_from": "[]EnvFromSource",
    "configmaps": "[]s",
    "pod_runtime_info_envs": "[]EnvVar",
    "labels": "{}s",
    "annotations": "{}s",
    "base_container_name": "s",
    "image_pull_policy": "s",
    "container_resources": "ResourceRequirements",
    "affinity": "Affinity",
    "tolerations": "[]Toleration",
    "node_selector": "{}s",
    "runtime_class_name": "s",
    "priority_class_name": "s",
    "schedulername": "s",
    "service_account_name": "s",
    "automount_service_account_token": "b",
    "hostnetwork": "b",
    "host_aliases": "[]HostAlias",
    "hostname": "s",
    "subdomain": "s",
    "dnspolicy": "s",
    "dns_config": "PodDNSConfig",
    "security_context": "PodSecurityContext",
    "container_security_context": "SecurityContext",
    "init_containers": "[]Container",
    "full_pod_spec": "Pod",
    "pod_template_dict": "Pod",
    "termination_grace_period": "i",
    "termination_message_policy": "s",
    "active_deadline_seconds": "i",
    "xcom_sidecar_container_security_context": "SecurityContext",
}

# Upstream reads these through the client's deserializer, which converts scalars.
LENIENT = frozenset({"pod_template_dict", "affinity", "tolerations", "full_pod_spec"})
