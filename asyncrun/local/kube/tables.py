"""Tables, as ``kubectl get`` asks for them."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.store import Json


def table(resource: Resource, objects: list[Json], metadata: Json) -> Json:
    """Objects as rows."""
    names, cells = _POD if resource.key == "pods" else _EVENT if resource.key == "events" else _ANY
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


def age(stamp: str | None) -> str:
    """How long ago that was, as kubectl shows it."""
    if not stamp:
        return "<unknown>"
    then = datetime.fromisoformat(stamp)
    seconds = int((datetime.now(UTC) - then).total_seconds())
    if seconds < 120:
        return f"{max(seconds, 0)}s"
    minutes, rest = divmod(seconds, 60)
    if minutes < 10:
        return f"{minutes}m{rest}s" if rest else f"{minutes}m"
    if minutes < 180:
        return f"{minutes}m"
    hours = minutes // 60
    return f"{hours}h" if hours < 48 else f"{hours // 24}d"


def _pod_cells(pod: Json) -> list[Any]:
    status = pod.get("status") or {}
    statuses = status.get("containerStatuses") or []
    ready = sum(1 for one in statuses if one.get("ready"))
    restarts = sum(one.get("restartCount", 0) for one in statuses)
    return [
        pod["metadata"]["name"],
        f"{ready}/{len(pod['spec']['containers'])}",
        pod_reason(pod),
        str(restarts),
        age(pod["metadata"].get("creationTimestamp")),
        status.get("podIP") or "<none>",
        pod["spec"].get("nodeName") or "<none>",
        "<none>",
        "<none>",
    ]


def pod_reason(pod: Json) -> str:
    """The STATUS column."""
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    inits = status.get("initContainerStatuses") or []
    for at, one in enumerate(inits):
        word = _init_word(one, at, len(inits))
        if word:
            reason = word
            break
    else:
        for one in reversed(status.get("containerStatuses") or []):
            reason = _word(one) or reason
    if pod["metadata"].get("deletionTimestamp") and status.get("phase") not in {"Succeeded", "Failed"}:
        return "Terminating"
    return str(reason)


def _init_word(status: Json, at: int, count: int) -> str:
    state = status.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting")
    if ended is not None and ended.get("exitCode") == 0:
        return ""
    if status.get("started") and state.get("running") is not None and status.get("ready"):
        return ""
    if ended is not None:
        return f"Init:{_ended_word(ended)}"
    if waiting is not None and waiting.get("reason") not in {None, "", "PodInitializing"}:
        return f"Init:{waiting['reason']}"
    return f"Init:{at}/{count}"


def _word(status: Json) -> str:
    state = status.get("state") or {}
    waiting, ended = state.get("waiting"), state.get("terminated")
    if waiting is not None and waiting.get("reason"):
        return str(waiting["reason"])
    return _ended_word(ended) if ended is not None else ""


def _ended_word(ended: Json) -> str:
    if ended.get("reason"):
        return str(ended["reason"])
    return f"Signal:{ended['signal']}" if ended.get("signal") else f"ExitCode:{ended.get('exitCode', 0)}"


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


Columns = tuple[tuple[str, ...], Callable[[Json], list[Any]]]

_POD: Columns = (
    ("Name", "Ready", "Status", "Restarts", "Age", "IP+", "Node+", "Nominated Node+", "Readiness Gates+"),
    _pod_cells,
)
_EVENT: Columns = (
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
)
_ANY: Columns = (
    ("Name", "Age"),
    lambda obj: [obj["metadata"]["name"], age(obj["metadata"].get("creationTimestamp"))],
)
