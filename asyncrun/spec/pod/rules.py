"""
What the API server would surely refuse in one part of a pod. Pure.

Types and unknown fields are judged by ``models.plain``; here stands what Kubernetes's validation adds for single parts.
What it may accept in some version or cluster is not judged. Messages never show an environment variable's value.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from asyncrun.model.errors import InvalidArgument
from asyncrun.model.pod_fields import fields_of, required_fields
from asyncrun.spec.pod import handler_rules, scheduling_rules
from asyncrun.spec.pod.syntax import (
    QUALIFIED,
    check_name,
    check_one_of,
    check_quantity,
    check_range,
    is_env_name,
    is_inner_path,
    is_label_value,
    is_port_name,
    is_qualified_name,
)
from asyncrun.spec.values import Kind, is_unrendered

_MOST = 2**31 - 1
# Bytes of all keys and values; trace k_bad_requests: "may not be more than 262144 bytes".
_ANNOTATIONS_LIMIT = 256 * 1024
# Merged with others before it is sent, so what is missing there may come from them.
_COMPLETED_LATER = frozenset({"PodSpec", "Container"})
# Required in the client's models; the API server takes 0 and empty text.
_MAY_BE_EMPTY = frozenset({("ISCSIVolumeSource", "lun"), ("HTTPHeader", "value"), ("Sysctl", "value")})

Fields = Mapping[str, Any]


def check_part(value: Any, kind: str, where: str, *, complete: bool = True) -> None:
    """
    Check a part of a pod and everything in it.

    :param value: from ``models.plain``; templates are passed over.
    :param kind: what it is, in the notation of ``pod_fields``.
    :param where: the argument's name, or the path in the pod.
    :param complete: False: a pod or container may lack required fields, which come from elsewhere.
    :raises InvalidArgument: naming the field, its value and what is allowed.
    """
    if value is None or is_unrendered(value):
        return
    if kind.startswith("[]") and isinstance(value, list):
        for index, one in enumerate(value):
            if one is None:
                raise InvalidArgument(f"{where}[{index}]", None, "a value")
            check_part(one, kind[2:], f"{where}[{index}]", complete=complete)
    elif kind.startswith("{}") and isinstance(value, Mapping):
        for key, one in value.items():
            check_part(one, kind[2:], f"{where}[{key!r}]", complete=complete)
    elif kind == "q":
        check_quantity(where, value)
    elif isinstance(value, Mapping):
        _check_object(value, kind, where, complete)


def _check_object(part: Fields, kind: str, where: str, complete: bool) -> None:
    if (fields := fields_of(kind)) is None:
        return
    if complete or kind not in _COMPLETED_LATER:
        _check_required(part, kind, where)
    for name, one in part.items():
        check_part(one, fields.get(name, ""), f"{where}.{name}", complete=complete)
    if (rule := _RULES.get(kind)) is not None:
        rule(part, where)


def _check_required(part: Fields, kind: str, where: str) -> None:
    for name in sorted(required_fields(kind)):
        if (kind, name) not in _MAY_BE_EMPTY and part.get(name) in (None, "", []):
            raise InvalidArgument(f"{where}.{name}", part.get(name), f"a value: Kubernetes requires it in every {kind}")


def check_labels(labels: object, where: str) -> None:
    """
    Check keys and values of labels, or of a node selector.

    :raises InvalidArgument: the API server would refuse one.
    """
    for key, value in labels.items() if isinstance(labels, Mapping) else ():
        if not is_qualified_name(key):
            raise InvalidArgument(where, key, f"labels whose keys are {QUALIFIED}")
        if isinstance(value, str) and not is_unrendered(value) and not is_label_value(value):
            raise InvalidArgument(
                f"{where}[{key!r}]",
                value,
                "at most 63 letters, digits, dashes, underscores and dots, beginning and ending with a letter or digit",
            )


def check_annotations(annotations: object, where: str) -> None:
    """
    Check keys and total length of annotations, of which templates count as they stand, and other tasks' outputs not.

    :raises InvalidArgument: the API server would refuse them.
    """
    if not isinstance(annotations, Mapping):
        return
    for key in annotations:
        if not is_qualified_name(key.lower()):
            raise InvalidArgument(where, key, f"annotations whose keys are {QUALIFIED}")
    texts = (text for pair in annotations.items() for text in pair if isinstance(text, str))
    length = sum(len(text.encode()) for text in texts)
    if length > _ANNOTATIONS_LIMIT:
        raise InvalidArgument(where, f"{length} bytes", f"at most {_ANNOTATIONS_LIMIT} bytes in all")


def _metadata(part: Fields, where: str) -> None:
    check_name(f"{where}.name", part.get("name") or None)
    check_name(f"{where}.namespace", part.get("namespace") or None, subdomain=False)
    check_labels(part.get("labels"), f"{where}.labels")
    check_annotations(part.get("annotations"), f"{where}.annotations")
    if part.get("resourceVersion"):
        raise InvalidArgument(
            f"{where}.resourceVersion", part["resourceVersion"], "nothing: the pod is new (remove it from the template)"
        )


def _pod(part: Fields, where: str) -> None:
    check_one_of(f"{where}.kind", part.get("kind"), "Pod")
    check_one_of(f"{where}.apiVersion", part.get("apiVersion"), "v1")


def _spec(part: Fields, where: str) -> None:
    # Here and below, what is empty has Kubernetes's default, as if it were not given.
    check_one_of(f"{where}.restartPolicy", part.get("restartPolicy") or None, "Always", "OnFailure", "Never")
    check_one_of(
        f"{where}.dnsPolicy",
        part.get("dnsPolicy") or None,
        "ClusterFirst",
        "ClusterFirstWithHostNet",
        "Default",
        "None",
    )
    check_range(f"{where}.activeDeadlineSeconds", part.get("activeDeadlineSeconds"), 1, _MOST, " of seconds")
    check_range(
        f"{where}.terminationGracePeriodSeconds", part.get("terminationGracePeriodSeconds"), 0, _MOST, " of seconds"
    )
    for name in ("hostname", "subdomain"):
        check_name(f"{where}.{name}", part.get(name) or None, subdomain=False)
    for name in ("serviceAccountName", "priorityClassName", "runtimeClassName"):
        check_name(f"{where}.{name}", part.get(name) or None)
    check_labels(part.get("nodeSelector"), f"{where}.nodeSelector")
    _unique(part.get("volumes"), "name", f"{where}.volumes")
    _unique(part.get("containers"), "name", f"{where}.containers")
    _unique(part.get("initContainers"), "name", f"{where}.initContainers")
    if part.get("ephemeralContainers"):
        raise InvalidArgument(f"{where}.ephemeralContainers", "a list", "nothing: they are added to running pods only")


def _unique(parts: object, field: str, where: str) -> None:
    seen: set[str] = set()
    for index, one in enumerate(parts if isinstance(parts, list) else ()):
        value = one.get(field) if isinstance(one, Mapping) else None
        if not isinstance(value, str) or is_unrendered(value):
            continue
        if value in seen:
            raise InvalidArgument(f"{where}[{index}].{field}", value, "another: it is there already")
        seen.add(value)


def _container(part: Fields, where: str) -> None:
    check_name(f"{where}.name", part.get("name") or None, subdomain=False)
    image = part.get("image")
    if isinstance(image, str) and not is_unrendered(image) and image != image.strip():
        raise InvalidArgument(f"{where}.image", image, "an image's name without spaces around it")
    check_one_of(f"{where}.imagePullPolicy", part.get("imagePullPolicy") or None, "Always", "IfNotPresent", "Never")
    check_one_of(
        f"{where}.terminationMessagePolicy",
        part.get("terminationMessagePolicy") or None,
        "File",
        "FallbackToLogsOnError",
    )
    _unique(part.get("volumeMounts"), "mountPath", f"{where}.volumeMounts")
    _unique(part.get("ports"), "name", f"{where}.ports")


def _variable(part: Fields, where: str) -> None:
    check_env_name(part.get("name"), f"{where}.name")
    if part.get("value") and part.get("valueFrom") is not None:
        raise InvalidArgument(f"{where}.valueFrom", Kind(part["valueFrom"]), "nothing, since there is a value")


def check_env_name(name: object, where: str) -> None:
    """
    Check the name of an environment variable.

    :raises InvalidArgument: the API server would refuse it.
    """
    if isinstance(name, str) and not is_unrendered(name) and not is_env_name(name):
        raise InvalidArgument(where, name, "the name of an environment variable: printable ASCII without '='")


def _one_source(part: Fields, where: str) -> None:
    if len(part) != 1:
        shown = ", ".join(sorted(part)) or "none"
        raise InvalidArgument(where, shown, "exactly one source")


def _env_from(part: Fields, where: str) -> None:
    given = [name for name in ("configMapRef", "secretRef") if part.get(name) is not None]
    if len(given) != 1:
        raise InvalidArgument(where, " and ".join(given) or "nothing", "either configMapRef or secretRef")
    source = part[given[0]]
    if isinstance(source, Mapping):
        if not source.get("name"):
            raise InvalidArgument(f"{where}.{given[0]}.name", source.get("name"), "the name of it")
        check_name(f"{where}.{given[0]}.name", source["name"])
    if part.get("prefix"):
        check_env_name(part["prefix"], f"{where}.prefix")


def _port(part: Fields, where: str) -> None:
    check_range(f"{where}.containerPort", part.get("containerPort"), 1, 65535)
    check_range(f"{where}.hostPort", part.get("hostPort"), 0, 65535)
    check_one_of(f"{where}.protocol", part.get("protocol") or None, "TCP", "UDP", "SCTP")
    name = part.get("name")
    if name and not is_unrendered(name) and not is_port_name(name):
        raise InvalidArgument(
            f"{where}.name", name, "1 to 15 lower-case letters, digits and single dashes, with at least one letter"
        )


def _mount(part: Fields, where: str) -> None:
    for name in ("subPath", "subPathExpr"):
        path = part.get(name)
        if isinstance(path, str) and not is_unrendered(path) and not is_inner_path(path):
            raise InvalidArgument(f"{where}.{name}", path, "a path inside the volume: relative, without '..'")
    if part.get("subPath") and part.get("subPathExpr"):
        raise InvalidArgument(f"{where}.subPathExpr", part["subPathExpr"], "nothing, since there is a subPath")


def _volume(part: Fields, where: str) -> None:
    check_name(f"{where}.name", part.get("name") or None, subdomain=False)
    sources = sorted(name for name, one in part.items() if name != "name" and one is not None)
    if len(sources) > 1:
        raise InvalidArgument(where, ", ".join(sources), "one kind of volume")


def _path_item(part: Fields, where: str) -> None:
    path = part.get("path")
    if isinstance(path, str) and not is_unrendered(path) and not is_inner_path(path):
        raise InvalidArgument(f"{where}.path", path, "a path inside the volume: relative, without '..'")


def _identity(part: Fields, where: str) -> None:
    for name in ("runAsUser", "runAsGroup", "fsGroup"):
        check_range(f"{where}.{name}", part.get(name), 0, _MOST)
    if part.get("privileged") is True and part.get("allowPrivilegeEscalation") is False:
        raise InvalidArgument(f"{where}.allowPrivilegeEscalation", False, "True, or nothing, since privileged is True")


_RULES: dict[str, Callable[[Fields, str], None]] = {
    "Pod": _pod,
    "ObjectMeta": _metadata,
    "PodSpec": _spec,
    "Container": _container,
    "EnvVar": _variable,
    "EnvVarSource": _one_source,
    "EnvFromSource": _env_from,
    "ContainerPort": _port,
    "VolumeMount": _mount,
    "Volume": _volume,
    "KeyToPath": _path_item,
    "ResourceRequirements": scheduling_rules.resources,
    "Toleration": scheduling_rules.toleration,
    "NodeSelectorRequirement": scheduling_rules.node_requirement,
    "PreferredSchedulingTerm": scheduling_rules.weight,
    "WeightedPodAffinityTerm": scheduling_rules.weight,
    "PodSecurityContext": _identity,
    "SecurityContext": _identity,
    "Probe": handler_rules.probe,
    "LifecycleHandler": handler_rules.hook,
    "HostAlias": handler_rules.host_alias,
    "PodDNSConfig": handler_rules.dns_config,
}
