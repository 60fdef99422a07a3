"""The environment and the command of a container."""

from __future__ import annotations

import base64
import os
import re
import sys
from collections.abc import Mapping
from fractions import Fraction
from pathlib import Path

from asyncrun.local.kube import quantities
from asyncrun.local.kube.store import Json, Store

_NAME = re.compile(r"[-._a-zA-Z][-._a-zA-Z0-9]*")
_REFERENCE = re.compile(r"\$\$|\$\(([^()]*)\)")
_KEYED = re.compile(r"metadata\.(labels|annotations)\['([^']*)'\]")


class ConfigError(Exception):
    """``CreateContainerConfigError`` (trace o_start_errors); the text is the kubelet's."""


def object_data(store: Store, kind: str, namespace: str, name: str) -> dict[str, bytes] | None:
    """Contents of a secret or a ConfigMap; None if there is none of that name."""
    found = store.get(kind, namespace, name)
    if found is None:
        return None
    data: dict[str, bytes] = {}
    for key, value in (found.get("data") or {}).items():
        data[key] = base64.b64decode(value) if kind == "secrets" else str(value).encode()
    for key, value in (found.get("binaryData") or {}).items():
        data[key] = base64.b64decode(value)
    for key, value in (found.get("stringData") or {}).items():
        data[key] = str(value).encode()
    return data


def field(pod: Json, path: str, fixed: Mapping[str, str]) -> str:
    """
    A ``fieldRef``.

    :param fixed: ``status.podIP`` and others that the node knows.
    :raises ConfigError: there is no such field.
    """
    metadata, spec = pod["metadata"], pod["spec"]
    values = {
        "metadata.name": metadata["name"],
        "metadata.namespace": metadata.get("namespace", ""),
        "metadata.uid": metadata["uid"],
        "spec.nodeName": spec.get("nodeName", ""),
        "spec.serviceAccountName": spec.get("serviceAccountName", ""),
        **fixed,
    }
    if path in values:
        return str(values[path])
    if path in ("metadata.labels", "metadata.annotations"):
        pairs = metadata.get(path.partition(".")[2]) or {}
        return "\n".join(f"{key}={_quoted(value)}" for key, value in sorted(pairs.items()))
    if match := _KEYED.fullmatch(path):
        return str((metadata.get(match[1]) or {}).get(match[2], ""))
    raise ConfigError(f"unsupported fieldPath: {path}")


def _quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n") + '"'


def resource(pod: Json, container: Json, reference: Json, capacity: Mapping[str, str]) -> str:
    """A ``resourceFieldRef``: a limit that is not set is the node's capacity."""
    name = reference.get("containerName") or container["name"]
    every = [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]
    chosen = next((one for one in every if one["name"] == name), None)
    if chosen is None:
        raise ConfigError(f"container {name} not found")
    kind, _, what = reference["resource"].partition(".")
    given = ((chosen.get("resources") or {}).get(kind) or {}).get(what)
    if given is None:
        given = capacity.get(what, "0") if kind == "limits" else "0"
    divisor = quantities.parse(reference.get("divisor") or "1") or Fraction(1)
    number = quantities.parse(given) / divisor
    return str(-(-number.numerator // number.denominator))


def expand(text: str, values: Mapping[str, str]) -> str:
    """``$(NAME)`` of what is known; ``$$`` is a dollar sign."""

    def replaced(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        return values.get(match[1], match[0])

    return _REFERENCE.sub(replaced, text)


def environment(
    store: Store, pod: Json, container: Json, fixed: Mapping[str, str], node: Mapping[str, str]
) -> dict[str, str]:
    """
    What ``envFrom`` and ``env`` say.

    :param fixed: see `field`.
    :param node: capacity of the node.
    :raises ConfigError: something that is not optional is missing.
    """
    namespace = pod["metadata"].get("namespace", "")
    values: dict[str, str] = {}
    for source in container.get("envFrom") or ():
        for kind, title in (("secretRef", "secrets"), ("configMapRef", "configmaps")):
            if kind in source:
                data = _whole(store, title, namespace, source[kind])
                pairs = {f"{source.get('prefix', '')}{key}": value for key, value in data.items()}
                values |= {key: value.decode(errors="replace") for key, value in pairs.items() if _NAME.fullmatch(key)}
    for one in container.get("env") or ():
        if "valueFrom" not in one or not one["valueFrom"]:
            values[one["name"]] = expand(str(one.get("value") or ""), values)
            continue
        value = _from(store, pod, container, one["valueFrom"], fixed, node)
        if value is not None:
            values[one["name"]] = value
    return values


def _whole(store: Store, kind: str, namespace: str, reference: Json) -> dict[str, bytes]:
    data = object_data(store, kind, namespace, reference["name"])
    if data is None and not reference.get("optional"):
        raise ConfigError(f'{_SINGULAR[kind]} "{reference["name"]}" not found')
    return data or {}


_SINGULAR = {"secrets": "secret", "configmaps": "configmap"}
_TITLES = {"secrets": "Secret", "configmaps": "ConfigMap"}


def _from(
    store: Store, pod: Json, container: Json, source: Json, fixed: Mapping[str, str], node: Mapping[str, str]
) -> str | None:
    if "fieldRef" in source:
        return field(pod, source["fieldRef"]["fieldPath"], fixed)
    if "resourceFieldRef" in source:
        return resource(pod, container, source["resourceFieldRef"], node)
    for name, kind in (("secretKeyRef", "secrets"), ("configMapKeyRef", "configmaps")):
        if name in source:
            return _key(store, kind, pod["metadata"].get("namespace", ""), source[name])
    return None


def _key(store: Store, kind: str, namespace: str, reference: Json) -> str | None:
    data = _whole(store, kind, namespace, reference)
    if reference["key"] in data:
        return data[reference["key"]].decode(errors="replace")
    if reference.get("optional"):
        return None
    raise ConfigError(f"couldn't find key {reference['key']} in {_TITLES[kind]} {namespace}/{reference['name']}")


def command(container: Json, values: Mapping[str, str]) -> list[str]:
    """What is run. There is no image, so what has neither command nor arguments says so, and succeeds."""
    argv = [*(container.get("command") or ()), *(container.get("args") or ())]
    if not argv:
        return ["/bin/sh", "-c", 'echo "$0 ran without a command"', str(container.get("image") or "")]
    return [expand(str(one), values) for one in argv]


def base(pod: Json, home: str) -> dict[str, str]:
    """What every container has. ``python`` is the interpreter that runs the server."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "HOSTNAME": pod["metadata"]["name"]}
