"""Merge patches, strategic merge patches, JSON patches."""

from __future__ import annotations

import copy
from typing import Any

from asyncrun.local.kube.status import ApiError, bad_request

MERGE_KEYS = {
    "containers": "name",
    "initContainers": "name",
    "ephemeralContainers": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "env": "name",
    "ports": "containerPort",
    "imagePullSecrets": "name",
    "conditions": "type",
    "secrets": "name",
    "ownerReferences": "uid",
    "hostAliases": "ip",
    "topologySpreadConstraints": "topologyKey",
}
"""Lists that a strategic merge patch merges by a key of their elements; other lists are replaced."""

MERGE_LISTS = frozenset({"finalizers"})
"""Lists of plain values that a strategic merge patch adds to."""


def merge_patch(target: Any, patch: Any) -> Any:
    """RFC 7386: the target with the patch in it, as a new value."""
    if not isinstance(patch, dict):
        return patch
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            merged.pop(key, None)
        else:
            merged[key] = merge_patch(merged.get(key), value)
    return merged


def strategic_merge_patch(target: Any, patch: Any) -> Any:
    """
    Kubernetes's own merge patch, for the lists that matter to pods.

    :raises ApiError: 400: a directive without its list.
    """
    if not isinstance(patch, dict):
        return patch
    if patch.get("$patch") == "replace":
        return {key: value for key, value in patch.items() if key != "$patch"}
    merged = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if key.startswith("$deleteFromPrimitiveList/"):
            name = key.partition("/")[2]
            merged[name] = [one for one in merged.get(name) or () if one not in _directive(key, value)]
        elif key == "$retainKeys":
            merged = {name: one for name, one in merged.items() if name in _directive(key, value)}
        elif key.startswith("$"):
            continue
        elif value is None:
            merged.pop(key, None)
        elif isinstance(value, list):
            old = merged.get(key)
            merged[key] = _merge_list(key, old if isinstance(old, list) else [], value)
        else:
            merged[key] = strategic_merge_patch(merged.get(key), value)
    return merged


def _directive(name: str, value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise bad_request(f"error decoding patch: the value of {name} is no list")
    return value


def _merge_list(name: str, target: list[Any], patch: list[Any]) -> list[Any]:
    if name in MERGE_LISTS:
        return [*target, *(one for one in patch if one not in target)]
    merge_key = MERGE_KEYS.get(name)
    if merge_key is None or not all(isinstance(one, dict) for one in (*target, *patch)):
        return patch
    if any(one.get("$patch") == "replace" for one in patch):
        return [one for one in patch if one.get("$patch") != "replace"]
    merged = list(target)
    for one in patch:
        at = next((i for i, old in enumerate(merged) if old.get(merge_key) == one.get(merge_key)), None)
        if one.get("$patch") == "delete":
            merged = [old for old in merged if old.get(merge_key) != one.get(merge_key)]
        elif at is None:
            merged.append(one)
        else:
            merged[at] = strategic_merge_patch(merged[at], one)
    return merged


class _Refused(Exception):
    """An operation that cannot be done."""


def json_patch(target: Any, operations: Any) -> Any:
    """
    RFC 6902: the target with all operations done, as a new value.

    :raises ApiError: 422: one of them cannot be done, or a test fails; 400: no list of operations.
    """
    if not isinstance(operations, list):
        message = "error decoding patch: json: cannot unmarshal object into Go value of type jsonpatch.Patch"
        raise ApiError(400, "BadRequest", message)
    document = copy.deepcopy(target)
    try:
        for one in operations:
            document = _operate(document, one)
    except (_Refused, KeyError, IndexError, ValueError, TypeError, AttributeError):
        message = "the server rejected our request due to an error in our request"
        raise ApiError(422, "Invalid", message, {}) from None
    return document


def _operate(document: Any, operation: dict[str, Any]) -> Any:
    kind, path = operation["op"], _path(operation["path"])
    if kind == "test":
        if _value(document, path) != operation.get("value"):
            raise _Refused
    elif kind == "remove":
        _remove(document, path)
    elif kind in {"add", "replace"}:
        if not path:
            return operation["value"]
        if kind == "replace":
            _value(document, path)
        _put(document, path, operation["value"], replace=kind == "replace")
    elif kind in {"copy", "move"}:
        source = _path(operation["from"])
        value = copy.deepcopy(_value(document, source))
        if kind == "move":
            _remove(document, source)
        _put(document, path, value, replace=False)
    else:
        raise _Refused
    return document


def _path(pointer: str) -> list[str]:
    if pointer and not pointer.startswith("/"):
        raise _Refused
    return [part.replace("~1", "/").replace("~0", "~") for part in pointer.split("/")[1:]]


def _value(document: Any, path: list[str]) -> Any:
    for part in path:
        document = document[int(part)] if isinstance(document, list) else document[part]
    return document


def _remove(document: Any, path: list[str]) -> None:
    parent = _value(document, path[:-1])
    del parent[int(path[-1]) if isinstance(parent, list) else path[-1]]


def _put(document: Any, path: list[str], value: Any, *, replace: bool) -> None:
    parent, last = _value(document, path[:-1]), path[-1]
    if not isinstance(parent, list):
        parent[last] = value
    elif last == "-":
        parent.append(value)
    elif replace:
        parent[int(last)] = value
    else:
        if int(last) > len(parent):
            raise _Refused
        parent.insert(int(last), value)
