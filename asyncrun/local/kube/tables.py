"""Tables, as ``kubectl get`` asks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asyncrun.local.kube import pod_columns
from asyncrun.local.kube.pod_columns import age
from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.store import Json


def table(resource: Resource, objects: list[Json], metadata: Json) -> Json:
    """Objects as rows."""
    names, cells = _COLUMNS.get(resource.key, _ANY)
    columns = [
        {
            "name": name.removesuffix("+"),
            "type": "string",
            "format": "name" if name == "Name" else "",
            "description": "",
            "priority": 1 if name.endswith("+") else 0,
        }
        for name in names
    ]
    rows = [
        {
            "cells": cells(one),
            "object": {
                "kind": "PartialObjectMetadata",
                "apiVersion": "meta.k8s.io/v1",
                "metadata": one["metadata"],
            },
        }
        for one in objects
    ]
    return {
        "kind": "Table",
        "apiVersion": "meta.k8s.io/v1",
        "metadata": metadata,
        "columnDefinitions": columns,
        "rows": rows,
    }


def _event_cells(event: Json) -> list[Any]:
    about = event.get("involvedObject") or {}
    last = event.get("lastTimestamp") or event.get("eventTime") or event["metadata"].get("creationTimestamp")
    component = (event.get("source") or {}).get("component") or event.get("reportingComponent", "")
    name = f"{about.get('kind', '').lower()}/{about.get('name', '')}"
    return [
        age(last),
        event.get("type", ""),
        event.get("reason", ""),
        name,
        about.get("fieldPath", ""),
        component,
        event.get("message", "").strip(),
        age(event.get("firstTimestamp") or event.get("eventTime")),
        event.get("count") or 1,
        event["metadata"]["name"],
    ]


def _node_cells(node: Json) -> list[Any]:
    status, info = node.get("status") or {}, (node.get("status") or {}).get("nodeInfo") or {}
    addresses = {one["type"]: one["address"] for one in status.get("addresses") or ()}
    conditions = {one["type"]: one["status"] for one in status.get("conditions") or ()}
    return [
        node["metadata"]["name"],
        "Ready" if conditions.get("Ready") == "True" else "NotReady",
        "<none>",
        _age(node),
        info.get("kubeletVersion", ""),
        addresses.get("InternalIP", "<none>"),
        addresses.get("ExternalIP", "<none>"),
        info.get("osImage") or "<unknown>",
        info.get("kernelVersion") or "<unknown>",
        info.get("containerRuntimeVersion") or "<unknown>",
    ]


def _age(obj: Json) -> str:
    return age(obj["metadata"].get("creationTimestamp"))


def _count(obj: Json, *keys: str) -> str:
    return str(sum(len(obj.get(key) or {}) for key in keys))


Columns = tuple[tuple[str, ...], Callable[[Json], list[Any]]]

_ANY: Columns = (("Name", "Age"), lambda obj: [obj["metadata"]["name"], _age(obj)])
_COLUMNS: dict[str, Columns] = {
    "pods": (pod_columns.NAMES, pod_columns.pod_cells),
    "events": (
        (
            "Last Seen",
            "Type",
            "Reason",
            "Object",
            "Subobject+",
            "Source+",
            "Message",
            "First Seen+",
            "Count+",
            "Name+",
        ),
        _event_cells,
    ),
    "namespaces": (
        ("Name", "Status", "Age"),
        lambda obj: [obj["metadata"]["name"], (obj.get("status") or {}).get("phase", ""), _age(obj)],
    ),
    "secrets": (
        ("Name", "Type", "Data", "Age"),
        lambda obj: [obj["metadata"]["name"], obj.get("type", ""), _count(obj, "data"), _age(obj)],
    ),
    "configmaps": (
        ("Name", "Data", "Age"),
        lambda obj: [obj["metadata"]["name"], _count(obj, "data", "binaryData"), _age(obj)],
    ),
    "nodes": (
        (
            "Name",
            "Status",
            "Roles",
            "Age",
            "Version",
            "Internal-IP+",
            "External-IP+",
            "OS-Image+",
            "Kernel-Version+",
            "Container-Runtime+",
        ),
        _node_cells,
    ),
}
