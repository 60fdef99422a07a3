"""What is wrong with a pod's spec, in the API server's words."""

from __future__ import annotations

import re
from collections.abc import Iterator

from asyncrun.local.kube.quantities import parse
from asyncrun.local.kube.status import Cause
from asyncrun.local.kube.store import Json

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
_LABEL_TEXT = (
    "a lowercase RFC 1123 label must consist of lower case alphanumeric characters or '-', and must start and end with"
    " an alphanumeric character (e.g. 'my-name',  or '123-abc', regex used for validation is"
    " '[a-z0-9]([-a-z0-9]*[a-z0-9])?')"
)
_CHOICES = {
    "restartPolicy": ("Always", "OnFailure", "Never"),
    "dnsPolicy": ("ClusterFirst", "ClusterFirstWithHostNet", "Default", "None"),
}


def spec_causes(spec: Json) -> Iterator[Cause]:
    """What is wrong with the spec of a new pod, defaults included."""
    volumes = spec.get("volumes") or []
    yield from _volume_causes(volumes)
    names: set[str] = set()
    known = {one.get("name") for one in volumes}
    if not spec["containers"]:
        yield Cause.required("spec.containers")
    for place in ("containers", "initContainers"):
        for at, container in enumerate(spec.get(place) or ()):
            yield from _container_causes(f"spec.{place}[{at}]", container, names, known)
    for name, choices in _CHOICES.items():
        if spec[name] not in choices:
            yield Cause.unsupported(f"spec.{name}", spec[name], choices)
    grace, deadline = spec["terminationGracePeriodSeconds"], spec.get("activeDeadlineSeconds")
    if grace < 0:
        yield Cause.invalid("spec.terminationGracePeriodSeconds", grace, "must be greater than or equal to 0")
    if deadline is not None and not 1 <= deadline <= 2147483647:
        detail = "must be between 1 and 2147483647, inclusive"
        yield Cause.invalid("spec.activeDeadlineSeconds", deadline, detail)


def _volume_causes(volumes: list[Json]) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, volume in enumerate(volumes):
        field, name = f"spec.volumes[{at}]", volume.get("name", "")
        if not name:
            yield Cause.required(f"{field}.name")
        elif not _LABEL.fullmatch(name) or len(name) > 63:
            yield Cause.invalid(f"{field}.name", name, _LABEL_TEXT)
        elif name in seen:
            yield Cause.duplicate(f"{field}.name", name)
        seen.add(name)
        if len(volume) > 2:
            extra = sorted(volume.keys() - {"name"})[1]
            yield Cause.forbidden(f"{field}.{extra}", "may not specify more than 1 volume type")


def _container_causes(field: str, container: Json, names: set[str], volumes: set[object]) -> Iterator[Cause]:
    name = container.get("name") or ""
    if not name:
        yield Cause.required(f"{field}.name")
    elif not _LABEL.fullmatch(name):
        yield Cause.invalid(f"{field}.name", name, _LABEL_TEXT)
    elif len(name) > 63:
        yield Cause.invalid(f"{field}.name", name, "must be no more than 63 bytes")
    elif name in names:
        yield Cause.duplicate(f"{field}.name", name)
    names.add(name)
    image = container.get("image") or ""
    if not image:
        yield Cause.required(f"{field}.image")
    elif image != image.strip():
        yield Cause.invalid(f"{field}.image", image, "must not have leading or trailing whitespace")
    policy = container["imagePullPolicy"]
    if policy not in {"Always", "IfNotPresent", "Never"}:
        yield Cause.unsupported(f"{field}.imagePullPolicy", policy, ("Always", "IfNotPresent", "Never"))
    for at, variable in enumerate(container.get("env") or ()):
        yield from _variable_causes(f"{field}.env[{at}]", variable)
    yield from _mount_causes(field, container, volumes)
    yield from _resource_causes(f"{field}.resources", container.get("resources") or {})


def _variable_causes(field: str, variable: Json) -> Iterator[Cause]:
    name = variable.get("name") or ""
    if not name:
        yield Cause.required(f"{field}.name")
    elif "=" in name or not (name.isascii() and name.isprintable()):
        text = "a valid environment variable name must consist only of printable ASCII characters other than '='"
        yield Cause.invalid(f"{field}.name", name, text)
    source = variable.get("valueFrom")
    if source is not None and variable.get("value"):
        yield Cause.invalid(f"{field}.valueFrom", "", "may not be specified when `value` is not empty")
    elif source is not None and not source:
        detail = (
            "must specify one of: `fieldRef`, `resourceFieldRef`, `configMapKeyRef`, `secretKeyRef` or `fileKeyRef`"
        )
        yield Cause.invalid(f"{field}.valueFrom", "", detail)


def _mount_causes(field: str, container: Json, volumes: set[object]) -> Iterator[Cause]:
    seen: set[str] = set()
    for at, mount in enumerate(container.get("volumeMounts") or ()):
        here, name, path = f"{field}.volumeMounts[{at}]", mount.get("name") or "", mount.get("mountPath") or ""
        if not name:
            yield Cause.required(f"{here}.name")
        elif name not in volumes:
            yield Cause.not_found(f"{here}.name", name)
        if not path:
            yield Cause.required(f"{here}.mountPath")
        elif path in seen:
            yield Cause.invalid(f"{here}.mountPath", path, "must be unique")
        seen.add(path)


def _resource_causes(field: str, resources: Json) -> Iterator[Cause]:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, request in requests.items():
        limit = limits.get(name)
        if limit is not None and parse(request) > parse(limit):
            detail = f"must be less than or equal to {name} limit of {limit}"
            yield Cause.invalid(f"{field}.requests", str(request), detail)
