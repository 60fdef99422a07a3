"""As much of Kubernetes's protobuf encoding as kubectl's typed commands send (``create secret``, ``auth can-i``)."""

from __future__ import annotations

import base64
from collections.abc import Iterator
from typing import Any

from asyncrun.local.kube.store import Json

MAGIC = b"k8s\x00"

_Fields = dict[int, tuple[str, str]]

_TYPES: dict[str, _Fields] = {
    "Unknown": {1: ("typeMeta", "TypeMeta"), 2: ("raw", "bytes")},
    "TypeMeta": {1: ("apiVersion", "string"), 2: ("kind", "string")},
    "ObjectMeta": {
        1: ("name", "string"),
        2: ("generateName", "string"),
        3: ("namespace", "string"),
        11: ("labels", "map string"),
        12: ("annotations", "map string"),
    },
    "Secret": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map base64"),
        3: ("type", "string"),
        4: ("stringData", "map string"),
        5: ("immutable", "bool"),
    },
    "ConfigMap": {
        1: ("metadata", "ObjectMeta"),
        2: ("data", "map string"),
        3: ("binaryData", "map base64"),
        4: ("immutable", "bool"),
    },
    "Namespace": {1: ("metadata", "ObjectMeta")},
    "ServiceAccount": {1: ("metadata", "ObjectMeta")},
    "ResourceQuota": {1: ("metadata", "ObjectMeta"), 2: ("spec", "ResourceQuotaSpec")},
    "ResourceQuotaSpec": {1: ("hard", "map Quantity")},
    "Quantity": {1: ("string", "string")},
    "Eviction": {1: ("metadata", "ObjectMeta"), 2: ("deleteOptions", "DeleteOptions")},
    "DeleteOptions": {
        1: ("gracePeriodSeconds", "int"),
        2: ("preconditions", "Preconditions"),
        4: ("propagationPolicy", "string"),
        5: ("dryRun", "list string"),
    },
    "Preconditions": {1: ("uid", "string"), 2: ("resourceVersion", "string")},
    "SelfSubjectAccessReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "AccessSpec")},
    "SelfSubjectRulesReview": {1: ("metadata", "ObjectMeta"), 2: ("spec", "RulesSpec")},
    "SelfSubjectReview": {1: ("metadata", "ObjectMeta")},
    "RulesSpec": {1: ("namespace", "string")},
    "AccessSpec": {1: ("resourceAttributes", "ResourceAttributes"), 2: ("nonResourceAttributes", "PathAttributes")},
    "ResourceAttributes": {
        1: ("namespace", "string"),
        2: ("verb", "string"),
        3: ("group", "string"),
        4: ("version", "string"),
        5: ("resource", "string"),
        6: ("subresource", "string"),
        7: ("name", "string"),
    },
    "PathAttributes": {1: ("path", "string"), 2: ("verb", "string")},
}


def decode(body: bytes) -> Json:
    """
    The object of an envelope.

    :raises ValueError: it is damaged, or of a kind that is not known here.
    """
    if not body.startswith(MAGIC):
        raise ValueError("no Kubernetes protobuf")
    envelope = _message("Unknown", body[len(MAGIC) :])
    meta = envelope.get("typeMeta") or {}
    kind = meta.get("kind", "")
    if kind not in _TYPES:
        raise ValueError(f"{kind} is not understood in protobuf")
    return {"kind": kind, "apiVersion": meta.get("apiVersion", ""), **_message(kind, envelope.get("raw", b""))}


def _message(kind: str, data: bytes) -> Json:
    found: Json = {}
    for number, value in _fields(data):
        name, code = _TYPES[kind].get(number, ("", ""))
        if not name:
            continue
        what, _, of = code.rpartition(" ")
        if what == "map":
            found.setdefault(name, {}).update(_entry(of, value))
        elif what == "list":
            found.setdefault(name, []).append(_value(of, value))
        elif value != b"" or code in _TYPES:
            found[name] = _value(code, value)
    return found


def _entry(code: str, data: Any) -> Json:
    parts = dict(_fields(data))
    return {parts.get(1, b"").decode(): _value(code, parts.get(2, b""))}


def _value(code: str, value: Any) -> Any:
    if code == "Quantity":
        return _message(code, value).get("string", "0")
    if code in _TYPES:
        return _message(code, value)
    if code == "string":
        return value.decode()
    if code == "base64":
        return base64.b64encode(value).decode()
    return bool(value) if code == "bool" else value


def _fields(data: bytes) -> Iterator[tuple[int, Any]]:
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        number, wire = tag >> 3, tag & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise ValueError("it is cut off")
            yield number, data[at : at + size]
            at += size
        elif wire in {1, 5}:
            at += 8 if wire == 1 else 4
        else:
            raise ValueError(f"unknown wire type {wire}")


def _varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise ValueError("it is cut off")
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at
