"""What the API server would surely refuse in a pod as a whole. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.rules import check_part
from asyncrun.spec.values import Kind, has_unrendered, is_unrendered

_ROOT = "pod"
_LENGTH_LIMIT = 3 * 2**20  # bytes; trace k_bad_requests: "Request entity too large: limit is 3145728"
_FIRST = f"{_ROOT}.spec.containers[0]"
# Where a problem of the merged pod comes from, mostly; the longest beginning that fits goes.
_ARGUMENTS = {
    f"{_ROOT}.metadata.name": "name",
    f"{_ROOT}.metadata.namespace": "namespace",
    f"{_ROOT}.metadata.labels": "labels",
    f"{_ROOT}.metadata.annotations": "annotations",
    f"{_ROOT}.spec.volumes": "volumes",
    f"{_ROOT}.spec.initContainers": "init_containers",
    f"{_ROOT}.spec.nodeSelector": "node_selector",
    f"{_ROOT}.spec.imagePullSecrets": "image_pull_secrets",
    f"{_ROOT}.spec.tolerations": "tolerations",
    f"{_ROOT}.spec.affinity": "affinity",
    f"{_ROOT}.spec.hostname": "hostname",
    f"{_ROOT}.spec.subdomain": "subdomain",
    f"{_ROOT}.spec.dnsPolicy": "dnspolicy",
    f"{_ROOT}.spec.dnsConfig": "dns_config",
    f"{_ROOT}.spec.securityContext": "security_context",
    f"{_ROOT}.spec.serviceAccountName": "service_account_name",
    f"{_ROOT}.spec.runtimeClassName": "runtime_class_name",
    f"{_ROOT}.spec.priorityClassName": "priority_class_name",
    f"{_ROOT}.spec.activeDeadlineSeconds": "active_deadline_seconds",
    f"{_ROOT}.spec.terminationGracePeriodSeconds": "termination_grace_period",
    f"{_FIRST}.name": "base_container_name",
    f"{_FIRST}.image": "image",
    f"{_FIRST}.imagePullPolicy": "image_pull_policy",
    f"{_FIRST}.command": "cmds",
    f"{_FIRST}.args": "arguments",
    f"{_FIRST}.ports": "ports",
    f"{_FIRST}.env": "env_vars",
    f"{_FIRST}.envFrom": "env_from",
    f"{_FIRST}.volumeMounts": "volume_mounts",
    f"{_FIRST}.resources": "container_resources",
    f"{_FIRST}.securityContext": "container_security_context",
    f"{_FIRST}.terminationMessagePolicy": "termination_message_policy",
}


def check_manifest(manifest: Mapping[str, Any], *, images_known: bool = True, volumes_known: bool = True) -> None:
    """
    Check a merged pod: each part, and what only the parts together show.

    :param manifest: from ``build_manifest``.
    :param images_known: False: the image of a container may come from elsewhere.
    :param volumes_known: False: the pod has volumes that are not in it yet.
    :raises InvalidArgument: naming the argument that describes the field, and the field's path in the pod.
    """
    try:
        if not isinstance(spec := manifest.get("spec"), Mapping) or not spec.get("containers"):
            raise InvalidArgument(f"{_ROOT}.spec.containers", None, "at least one container")
        _check_base_name(spec)
        check_part(manifest, "Pod", _ROOT)
        _check_dns(spec)
        _check_host_ports(spec)
        _check_containers(spec, images_known=images_known, volumes_known=volumes_known)
        _check_length(manifest)
    except InvalidArgument as refused:
        raise _named(refused) from None


def _check_length(manifest: Mapping[str, Any]) -> None:
    if has_unrendered(manifest):
        return  # its length is not known yet; and to encode another task's output is to encode that task, its DAG, ...
    length = len(msgspec.json.encode(manifest))
    if length > _LENGTH_LIMIT:
        raise InvalidArgument(_ROOT, f"{length} bytes", f"at most {_LENGTH_LIMIT} bytes in all")


def _named(refused: InvalidArgument) -> InvalidArgument:
    path = refused.argument
    argument = next(
        (path[: len(beginning)] for beginning in sorted(_ARGUMENTS, key=len, reverse=True) if _begins(path, beginning)),
        "",
    )
    if not argument:
        return refused
    return InvalidArgument(_ARGUMENTS[argument], refused.value, f"{refused.allowed} (field {path[len(_ROOT) + 1 :]})")


def _begins(path: str, beginning: str) -> bool:
    return path.startswith(beginning) and path[len(beginning) :][:1] in ("", ".", "[")


def _check_base_name(spec: Mapping[str, Any]) -> None:
    first, *others = [one.get("name") for one in spec["containers"]]
    if first in others and not is_unrendered(first):
        raise InvalidArgument(
            "base_container_name",
            first,
            f"the name of the first container in the pod template or full_pod_spec, with which the operator's own is "
            f"merged: {first!r} is number {others.index(first) + 2} there",
        )


def _check_containers(spec: Mapping[str, Any], *, images_known: bool, volumes_known: bool) -> None:
    volumes = {one.get("name") for one in spec.get("volumes") or [] if isinstance(one, Mapping)}
    volumes_known = volumes_known and not any(is_unrendered(one) for one in volumes)
    mains = {one.get("name") for one in spec["containers"]}
    for field in ("initContainers", "containers"):
        for index, one in enumerate(spec.get(field) or []):
            where = f"{_ROOT}.spec.{field}[{index}]"
            if field == "initContainers" and one.get("name") in mains:
                raise InvalidArgument(f"{where}.name", one.get("name"), "another: a main container has that name")
            if not one.get("image") and images_known:
                raise InvalidArgument(
                    f"{where}.image", one.get("image"), "an image, here or in full_pod_spec or the pod template"
                )
            if volumes_known:
                _check_mounts(one, volumes, where)
            if field == "initContainers" and one.get("restartPolicy") != "Always":
                _check_ends(one, where)


def _check_ends(init: Mapping[str, Any], where: str) -> None:
    for name in ("lifecycle", "livenessProbe", "readinessProbe", "startupProbe"):
        if init.get(name) is not None and not is_unrendered(init.get("restartPolicy")):
            raise InvalidArgument(
                f"{where}.{name}",
                Kind(init[name]),
                "nothing in an init container (unless its restartPolicy is Always)",
            )


def _check_dns(spec: Mapping[str, Any]) -> None:
    config = spec.get("dnsConfig")
    given = config.get("nameservers") if isinstance(config, Mapping) else config
    if spec.get("dnsPolicy") == "None" and not given:
        raise InvalidArgument(f"{_ROOT}.spec.dnsConfig", None, "nameservers, since dnspolicy is 'None'")


def _check_host_ports(spec: Mapping[str, Any]) -> None:
    """Of main containers: "must match `containerPort` when `hostNetwork` is true". One that is not given does."""
    if spec.get("hostNetwork") is not True:
        return
    for place, container in enumerate(spec["containers"]):
        for index, port in enumerate(_listed(container, "ports")):
            given, wanted = (
                port.get(name) if isinstance(port, Mapping) else None for name in ("hostPort", "containerPort")
            )
            if given and given != wanted and not is_unrendered(given) and not is_unrendered(wanted):
                raise InvalidArgument(
                    f"{_ROOT}.spec.containers[{place}].ports[{index}].hostPort",
                    given,
                    f"the containerPort, {wanted}, or nothing, since hostNetwork is True",
                )


def _listed(container: Mapping[str, Any], field: str) -> list[Any]:
    """What a list of a container holds, as far as it is known."""
    value = container.get(field)
    return value if isinstance(value, list) else []


def _check_mounts(container: Mapping[str, Any], volumes: set[Any], where: str) -> None:
    for index, mount in enumerate(_listed(container, "volumeMounts")):
        name = mount.get("name") if isinstance(mount, Mapping) else None
        if isinstance(name, str) and not is_unrendered(name) and name not in volumes:
            known = ", ".join(sorted(str(one) for one in volumes)) or "none"
            raise InvalidArgument(
                f"{where}.volumeMounts[{index}].name", name, f"the name of one of the pod's volumes ({known})"
            )
