"""Events about pods, as schedulers, kubelets and controllers write them."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Literal

from asyncrun.local.kube.changes import Json, now, now_micro

if TYPE_CHECKING:
    from asyncrun.local.kube.store import Store


def record_event(
    store: Store,
    pod: Json,
    reason: str,
    type: Literal["Normal", "Warning"],  # noqa: A002
    message: str,
    *,
    component: str = "kubelet",
    host: str = "embedded-node",
    field_path: str | None = None,
) -> Json:
    """
    Say something about a pod; the same again is counted, not added (trace ``d_image_pull``).

    :param component: who says it; the scheduler (``default-scheduler``) writes events of the newer form, with
        ``eventTime`` and without ``count``.
    :param field_path: the container that it is about: ``spec.containers{NAME}``.
    """
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "default")
    key = (metadata["uid"], reason, type, message, component, field_path or "")
    name = store.event_names.get(key)
    known = store.get("events", namespace, name) if name else None
    if known is not None:
        return store.update("events", _repeated(known))
    event = _new_event(pod, reason, type, message, component, host, field_path)
    created = store.create("events", event)
    store.event_names[key] = created["metadata"]["name"]
    return created


def _repeated(event: Json) -> Json:
    if event.get("count") is None:
        series = event.get("series") or {"count": 1}
        return {**event, "series": {"count": series["count"] + 1, "lastObservedTime": now_micro()}}
    return {**event, "count": event["count"] + 1, "lastTimestamp": now()}


def _new_event(pod: Json, reason: str, kind: str, message: str, component: str, host: str, path: str | None) -> Json:
    metadata = pod["metadata"]
    namespace = metadata.get("namespace", "default")
    about = {
        "kind": "Pod",
        "namespace": namespace,
        "name": metadata["name"],
        "uid": metadata["uid"],
        "apiVersion": "v1",
        "resourceVersion": metadata["resourceVersion"],
        **({"fieldPath": path} if path else {}),
    }
    head = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": f"{metadata['name']}.{time.time_ns():x}", "namespace": namespace},
        "involvedObject": about,
        "reason": reason,
        "message": message,
    }
    if component == "default-scheduler":
        return {
            **head,
            "source": {},
            "firstTimestamp": None,
            "lastTimestamp": None,
            "type": kind,
            "eventTime": now_micro(),
            "action": "Binding" if reason == "Scheduled" else "Scheduling",
            "reportingComponent": component,
            "reportingInstance": f"{component}-{host}",
        }
    return {
        **head,
        "source": {"component": component, **({"host": host} if component == "kubelet" else {})},
        "firstTimestamp": now(),
        "lastTimestamp": now(),
        "count": 1,
        "type": kind,
        "eventTime": None,
        "reportingComponent": component,
        "reportingInstance": host if component == "kubelet" else "",
    }
