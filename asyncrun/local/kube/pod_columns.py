"""A pod's row of ``kubectl get pods``: the API server's rules, which are older than most of what they show."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from asyncrun.local.kube.store import Json

NAMES = ("Name", "Ready", "Status", "Restarts", "Age", "IP+", "Node+", "Nominated Node+", "Readiness Gates+")


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


def pod_cells(pod: Json) -> list[Any]:
    """One for each of `NAMES`."""
    status, spec = pod.get("status") or {}, pod["spec"]
    counted = len(spec["containers"]) + sum(1 for _ in _sidecars(pod))
    ready = sum(1 for one in _counted(pod) if one.get("ready"))
    return [
        pod["metadata"]["name"],
        f"{ready}/{counted}",
        pod_reason(pod),
        _restarts(_counted(pod) if _is_initialized(pod) else status.get("initContainerStatuses") or ()),
        age(pod["metadata"].get("creationTimestamp")),
        status.get("podIP") or "<none>",
        spec.get("nodeName") or "<none>",
        "<none>",
        "<none>",
    ]


def _sidecars(pod: Json) -> Iterator[str]:
    """Names of the native ones, which count as containers do."""
    return (one["name"] for one in pod["spec"].get("initContainers") or () if one.get("restartPolicy") == "Always")


def _counted(pod: Json) -> Iterator[Json]:
    status, sidecars = pod.get("status") or {}, set(_sidecars(pod))
    yield from (one for one in status.get("initContainerStatuses") or () if one["name"] in sidecars)
    yield from status.get("containerStatuses") or ()


def _restarts(statuses: Iterable[Json]) -> str:
    found = list(statuses)
    count = sum(one.get("restartCount", 0) for one in found)
    ends = [((one.get("lastState") or {}).get("terminated") or {}).get("finishedAt") for one in found]
    last = max((end for end in ends if end), default="")
    return f"{count} ({age(last)} ago)" if count and last else str(count)


def _is_initialized(pod: Json) -> bool:
    return not _initializing(pod) or _has_condition(pod, "Initialized")


def _has_condition(pod: Json, kind: str) -> bool:
    conditions = (pod.get("status") or {}).get("conditions") or ()
    return any((one["type"], one["status"]) == (kind, "True") for one in conditions)


def pod_reason(pod: Json) -> str:
    """The STATUS column."""
    status = pod.get("status") or {}
    reason = status.get("reason") or status.get("phase") or "Unknown"
    reason = _initializing(pod) or reason
    if _is_initialized(pod):
        statuses = status.get("containerStatuses") or []
        reason = next((word for one in statuses if (word := _word(one))), reason)
        if reason == "Completed" and any(one.get("ready") and "running" in one["state"] for one in statuses):
            reason = "Running" if _has_condition(pod, "Ready") else "NotReady"
    if pod["metadata"].get("deletionTimestamp") and status.get("phase") not in {"Succeeded", "Failed"}:
        return "Terminating"
    return str(reason)


def _initializing(pod: Json) -> str:
    """What the first init container that is not through waits for or failed of."""
    inits, sidecars = (pod.get("status") or {}).get("initContainerStatuses") or [], set(_sidecars(pod))
    for at, one in enumerate(inits):
        word = _init_word(one, f"{at}/{len(inits)}", is_sidecar=one["name"] in sidecars)
        if word:
            return f"Init:{word}"
    return ""


def _init_word(status: Json, place: str, *, is_sidecar: bool) -> str:
    state = status.get("state") or {}
    ended, waiting = state.get("terminated"), state.get("waiting")
    if (ended is not None and ended.get("exitCode") == 0) or (is_sidecar and status.get("started")):
        return ""
    if ended is not None:
        return _ended_word(ended)
    if waiting is not None and waiting.get("reason") not in {None, "", "PodInitializing"}:
        return str(waiting["reason"])
    return place


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
