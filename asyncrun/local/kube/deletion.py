"""Deleting objects: grace, preconditions, finalizers, eviction (traces ``g`` to ``g8``)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from asyncrun.local.kube.resources import Resource
from asyncrun.local.kube.status import conflict, not_found
from asyncrun.local.kube.store import Json, Store, now

FOREGROUND = "foregroundDeletion"
_FINAL = ("Succeeded", "Failed")


def grace_of(pod: Json, asked: int | None) -> int:
    """Seconds that the pod's containers get: none if it was never scheduled or has ended."""
    spec = pod["spec"]
    seconds = spec.get("terminationGracePeriodSeconds", 0) if asked is None else asked
    if not spec.get("nodeName") or (pod.get("status") or {}).get("phase") in _FINAL:
        return 0
    return int(seconds) if seconds >= 0 else 1


def check_preconditions(resource: Resource, obj: Json, preconditions: Json) -> None:
    """
    Whether it is the object that was meant.

    :raises ApiError: 409.
    """
    metadata = obj["metadata"]
    uid, version = preconditions.get("uid"), preconditions.get("resourceVersion")
    if uid is not None and uid != metadata["uid"]:
        why = (
            f"the UID in the precondition ({uid}) does not match the UID in record ({metadata['uid']})."
            " The object might have been deleted and then recreated"
        )
        raise conflict(resource.kind, metadata["name"], why, resource.group)
    if version is not None and version != metadata["resourceVersion"]:
        why = (
            f"the ResourceVersion in the precondition ({version}) does not match the ResourceVersion in record"
            f" ({metadata['resourceVersion']}). The object might have been modified"
        )
        raise conflict(resource.kind, metadata["name"], why, resource.group)


def delete(store: Store, resource: Resource, namespace: str, name: str, options: Json) -> Json:
    """
    Delete an object, or begin to.

    :param options: a DeleteOptions, query parameters included.
    :returns: it, as it is now.
    :raises ApiError: 404, 409.
    """
    obj = store.get(resource.key, namespace, name)
    if obj is None:
        raise not_found(resource.plural, name, resource.group)
    check_preconditions(resource, obj, options.get("preconditions") or {})
    foreground = options.get("propagationPolicy") == "Foreground"
    if resource.key != "pods":
        return store.remove(resource.key, namespace, name)
    seconds = grace_of(obj, options.get("gracePeriodSeconds"))
    marked = _marked(obj, seconds, foreground=foreground)
    return obj if marked is obj else store.update("pods", marked)


def _marked(pod: Json, seconds: int, *, foreground: bool) -> Json:
    metadata = pod["metadata"]
    finalizers = list(metadata.get("finalizers") or ())
    if foreground and FOREGROUND not in finalizers:
        finalizers.append(FOREGROUND)
    left = metadata.get("deletionGracePeriodSeconds")
    if "deletionTimestamp" in metadata and left is not None and left <= seconds:
        return pod  # a deletion is under way, and can only be shortened
    marks: Json = {
        "deletionTimestamp": _in(seconds),
        "deletionGracePeriodSeconds": seconds,
        **({"finalizers": finalizers} if finalizers else {}),
    }
    if "deletionTimestamp" not in metadata:
        marks["generation"] = metadata.get("generation", 1) + 1
    return {**pod, "metadata": {**metadata, **marks}}


def _in(seconds: int) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).strftime("%Y-%m-%dT%H:%M:%SZ")


def collect_garbage(store: Store, namespace: str, name: str, uid: str) -> None:
    """Take the garbage collector's own finalizer from a pod: nothing depends on it."""
    pod = store.get("pods", namespace, name)
    if pod is None or pod["metadata"]["uid"] != uid:
        return
    rest = [one for one in pod["metadata"].get("finalizers") or () if one != FOREGROUND]
    metadata = {key: value for key, value in pod["metadata"].items() if key != "finalizers"}
    store.update("pods", {**pod, "metadata": {**metadata, **({"finalizers": rest} if rest else {})}})


def evict(store: Store, resource: Resource, namespace: str, name: str, options: Json) -> None:
    """
    Evict a pod as the eviction API does: say why in a condition, then delete it.

    :raises ApiError: 404, 409.
    """
    pod = store.get("pods", namespace, name)
    if pod is None:
        raise not_found(resource.plural, name)
    check_preconditions(resource, pod, options.get("preconditions") or {})
    status = pod.get("status") or {}
    if status.get("phase") not in _FINAL and "deletionTimestamp" not in pod["metadata"]:
        condition = {
            "type": "DisruptionTarget",
            "status": "True",
            "lastProbeTime": None,
            "lastTransitionTime": now(),
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
        store.update("pods", {**pod, "status": {**status, "conditions": [*status.get("conditions", ()), condition]}})
    # They were met before the condition changed the pod.
    delete(store, resource, namespace, name, {**options, "preconditions": None})
