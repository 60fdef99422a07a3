"""A Kubernetes in memory where ``open_kube`` looks for a way, so that everything above it is real: virtual time."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asyncrun.clients import kube as clients_kube
from asyncrun.clients.kube_resolving import kube_hash
from asyncrun.model.errors import AccessDenied
from asyncrun.model.event import PodCompletionEvent
from asyncrun.model.pod import PodEvent
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.triggers.pod import PodTrigger
from asyncrun.triggers.pod_run import PodRun
from tests.support.triggers import event_of
from tests.triggers.pods.memory_kube import LABELS, SELECTOR, MemoryKube, MemoryPods, uid_of

TARGET = KubeTarget(conn_id=None, config_file="memory")


def at(seconds: float, work: Callable[[], object]) -> None:
    """Do that then."""
    asyncio.get_running_loop().call_later(seconds, work)


def running(name: str = "base") -> dict[str, Any]:
    return {"name": name, "containerID": f"containerd://{name}", "restartCount": 0, "ready": True,
            "state": {"running": {"startedAt": stamp()}}}  # fmt: skip


def ended(code: int = 0, reason: str = "", name: str = "base", message: str = "") -> dict[str, Any]:
    terminated = {"exitCode": code, "reason": reason or ("Error" if code else "Completed"), "startedAt": stamp(),
                  "finishedAt": stamp(), "containerID": f"containerd://{name}", "message": message}  # fmt: skip
    return {**running(name), "state": {"terminated": terminated}}


def waiting(reason: str, message: str = "") -> dict[str, Any]:
    return {"name": "base", "restartCount": 0, "state": {"waiting": {"reason": reason, "message": message}}}


def scheduled(is_so: bool = True, message: str = "") -> list[dict[str, Any]]:
    condition = {"type": "PodScheduled", "status": "True" if is_so else "False", "lastTransitionTime": stamp()}
    return [condition if is_so else {**condition, "reason": "Unschedulable", "message": message}]


def stamp() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def event(reason: str, message: str, kind: str = "Warning") -> PodEvent:
    return PodEvent(uid=f"event-{reason}", kind=kind, reason=reason, message=message)


class SharedMemory(MemoryKube):
    """
    The same behind ``open_kube``, with a pod whose number is 1. ``fault`` may also raise for "open".

    :ivar ends_on_delete: what the pod's status is after a delete; the pod is gone at once then.
    """

    def __init__(self) -> None:
        super().__init__()
        self.users = 0
        clients_kube._registry()[kube_hash(TARGET)] = self  # type: ignore[assignment]

    @property
    def jobs(self) -> MemoryPods:
        return self.pods("jobs")

    def put(self, phase: str = "Running", *statuses: dict[str, Any], labels: Any = LABELS, **status: Any) -> None:
        """The pod's state from now on."""
        shown = statuses or (running(),)
        body = {
            "metadata": {"name": "p1", "namespace": "jobs", "uid": uid_of(1), "labels": labels},
            "spec": {"restartPolicy": "Never", "containers": [{"name": one["name"], "image": "i"} for one in shown]},
            "status": {"phase": phase, "containerStatuses": list(shown), "conditions": scheduled(), **status},
        }
        self.jobs._record("MODIFIED" if "p1" in self.jobs.objects else "ADDED", body)

    def trigger(self, **fields: Any) -> PodTrigger:
        """Of that pod; a failure and a success both end on a worker."""
        ref = PodRef(namespace="jobs", name="p1", uid=uid_of(1), selector=SELECTOR)
        now = time.time()
        given = {"base": "base", "logs": ("base",), "target": TARGET, "deferred_at": now, "launched_at": now, **fields}
        made = PodTrigger(PodWatch(ref=ref, **given).to_dict())
        made.trigger_id = 1
        return made

    async def completion(self, **fields: Any) -> PodCompletionEvent:
        """How the watching of that pod ends."""
        made = await event_of(self.trigger(**fields))
        return PodCompletionEvent.from_dict(made.payload)

    # What the registry of clients asks of its entries.

    def enter(self) -> None:
        self.users += 1

    def leave(self) -> None:
        self.users -= 1

    async def ready(self) -> None:
        await self.call("open")

    async def close(self) -> None:
        clients_kube._registry().pop(kube_hash(TARGET), None)


def denied(verb: str, resource: str = "pods") -> AccessDenied:
    text = f"Kubernetes denies 'u' to {verb} {resource}: allow the verb {verb!r} on {resource!r}."
    return AccessDenied(text, service="kubernetes", code="Forbidden")


class Clocked(PodTrigger):
    """The deadlines are in the epoch's time, which stands still in virtual time."""

    def open_run(self, settings: Any, task_log: Any) -> PodRun:
        loop, began = asyncio.get_running_loop(), time.time()
        zero = loop.time()
        return PodRun(self._parsed, settings, task_log, clock=lambda: began + loop.time() - zero)


async def end_of(memory: SharedMemory, **fields: Any) -> Any:
    made = Clocked(memory.trigger(**fields).watch)
    made.trigger_id = 1
    return PodCompletionEvent.from_dict((await event_of(made)).payload)
