"""A node without processes: pods play what their annotation says. For benchmarks and tests with many pods."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from asyncrun.local.kube.cluster import NODE
from asyncrun.local.kube.scripts import ANNOTATION, Script, ScriptedLog, Wheel
from asyncrun.local.kube.store import Json, Store, now, record_event

__all__ = ["ScriptedNode", "Script", "ScriptedLog", "ANNOTATION"]

_KEPT = 10_000
"""Removed pods whose truth is kept."""


class ScriptedNode:
    """
    See the module. Containers of a pod behave alike; init containers run one after the other before them.

    :param usual: what pods without an annotation do.
    """

    def __init__(self, usual: Script | None = None) -> None:
        self._usual = usual or Script()
        self._wheel = Wheel()
        self._store: Store | None = None
        self._pods: dict[str, _PlayedPod] = {}
        self._removed: deque[Json] = deque(maxlen=_KEPT)  # what those played that are no more
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self, store: Store) -> None:
        """Take the pods that are there, and every new one."""
        self._store = store
        subscription = store.subscribe("pods")
        for pod in store.list("pods"):
            self._see("ADDED", pod)

        async def see_changes() -> None:
            while True:
                self._see(*await subscription.next())

        self._tasks = [
            asyncio.create_task(self._wheel.run(), name="scripted node: timers"),
            asyncio.create_task(see_changes(), name="scripted node: pods"),
        ]

    async def stop(self) -> None:
        """Forget everything."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        self._tasks.clear()
        self._pods.clear()
        self._removed.clear()

    def log(self, pod_uid: str, container: str, *, previous: bool) -> ScriptedLog | None:
        """Of a container that has started."""
        played = self._pods.get(pod_uid)
        return None if played is None or previous else played.logs.get(container)

    async def fault(self, name: str, arguments: Json) -> Json:
        """
        ``truth``: what really happened, as ``pods``: of each ``uid``, ``name``, ``deleted`` (whether somebody deleted
        it while it ran) and ``containers``, by name: ``lines`` (when each was written), ``ended``, ``told`` (when the
        API began to show that end) and ``exit_code``. Times are seconds since the epoch, None: not yet.

        :raises ValueError: it does not know that one.
        """
        if name != "truth" or arguments:
            raise ValueError(f"a scripted node knows no {name}")
        return {"pods": [*self._removed, *(played.truth() for played in self._pods.values())]}

    def _see(self, kind: str, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        assert self._store is not None
        if kind == "DELETED":
            played = self._pods.pop(uid, None)
            if played is not None:
                played.gone()
                self._removed.append(played.truth())
        elif uid not in self._pods and (pod.get("status") or {}).get("phase") not in {"Succeeded", "Failed"}:
            self._pods[uid] = _PlayedPod(self._store, self._wheel, pod, Script.of(pod, self._usual))
        elif "deletionTimestamp" in pod["metadata"] and uid in self._pods:
            self._pods[uid].delete()


class _PlayedPod:
    def __init__(self, store: Store, wheel: Wheel, pod: Json, script: Script) -> None:
        self.logs: dict[str, ScriptedLog] = {}
        self._store, self._wheel, self._script = store, wheel, script
        metadata, spec = pod["metadata"], pod["spec"]
        self._namespace, self._name, self._uid = metadata["namespace"], metadata["name"], metadata["uid"]
        self._inits = [one["name"] for one in spec.get("initContainers") or ()]
        self._mains = [one["name"] for one in spec["containers"]]
        self._images = {one["name"]: one["image"] for one in [*(spec.get("initContainers") or ()), *spec["containers"]]}
        self._states: dict[str, Json] = {name: {"waiting": {"reason": "ContainerCreating"}} for name in self._images}
        self._started: dict[str, float] = {}
        self._exit_codes: dict[str, int] = {}
        self._told: dict[str, float] = {}
        self._deleting = False
        self._cut_short = False
        self._stopped = False
        self._began = now()
        wheel.at(0, self._schedule)

    def gone(self) -> None:
        """The pod is no more: its containers are killed."""
        self._stopped = True
        for log in self.logs.values():
            log.end(time.time())

    def delete(self) -> None:
        """Its containers end at once, those that still run with 143."""
        if not self._deleting:
            self._deleting = True
            for name, state in self._states.items():
                if "running" in state:
                    self._cut_short = True
                    self._end(name, 143)
            succeeded = all(self._exit_codes.get(name) == 0 for name in self._mains)
            phase = "Pending" if not self.logs else "Succeeded" if succeeded else "Failed"
            self._wheel.at(self._script.status_delay, lambda: self._write(phase))
            self._wheel.at(self._script.status_delay + 0.1, self._remove)

    def _remove(self) -> None:
        if self._pod() is not None:
            self._store.remove("pods", self._namespace, self._name)

    def _pod(self) -> Json | None:
        pod = self._store.get("pods", self._namespace, self._name)
        return pod if pod is not None and pod["metadata"]["uid"] == self._uid else None

    def _after(self, seconds: float, called: Callable[[], None]) -> None:
        self._wheel.at(seconds, lambda: None if self._stopped or self._deleting else called())

    def _schedule(self) -> None:
        pod = self._pod()
        if pod is None:
            return
        condition = {"type": "PodScheduled", "status": "True", "lastProbeTime": None, "lastTransitionTime": now()}
        status = {**pod["status"], "conditions": [condition]}
        pod = self._store.update("pods", {**pod, "spec": {**pod["spec"], "nodeName": NODE}, "status": status})
        text = f"Successfully assigned {self._namespace}/{self._name} to {NODE}"
        record_event(self._store, pod, "Scheduled", "Normal", text, component="default-scheduler")
        self._write("Pending")
        self._after(self._script.start, lambda: self._run(0))

    def _run(self, at: int) -> None:
        """Start the init container of that number, or all main containers."""
        inits = at < len(self._inits)
        names = [self._inits[at]] if inits else self._mains
        for name in names:
            self._start(name)
        self._write("Pending" if inits else "Running")
        self._after(self._script.duration, lambda: self._finish(names, at))

    def _start(self, name: str) -> None:
        started = time.time()
        self.logs[name] = ScriptedLog(self._wheel, self._script, name, started)
        self._started[name] = started
        self._states[name] = {"running": {"startedAt": now()}}

    def _end(self, name: str, exit_code: int) -> None:
        log = self.logs[name]
        log.end(time.time())
        self._exit_codes[name] = exit_code
        self._states[name] = {
            "terminated": {
                "exitCode": exit_code,
                "reason": "Error" if exit_code else "Completed",
                "startedAt": _second(self._started[name]),
                "finishedAt": now(),
                "containerID": log.container_id,
            }
        }

    def _finish(self, names: list[str], at: int) -> None:
        for name in names:
            self._end(name, self._script.exit_code)
        self._after(self._script.status_delay, lambda: self._finished(at))

    def _finished(self, at: int) -> None:
        if at < len(self._inits):
            if self._script.exit_code:
                self._write("Failed")
            else:
                self._run(at + 1)
            return
        self._write("Running")
        phase = "Failed" if self._script.exit_code else "Succeeded"
        self._after(self._script.final_delay, lambda: self._write(phase))

    def _write(self, phase: str) -> None:
        pod = self._pod()
        if pod is None:
            return
        ready = phase == "Running" and all("running" in self._states[name] for name in self._mains)
        status: Json = {
            **pod["status"],
            "observedGeneration": pod["metadata"].get("generation", 1),
            "phase": phase,
            "conditions": self._conditions(ready),
            "hostIP": "127.0.0.1",
            "startTime": self._began,
            **({"podIP": "127.0.0.1"} if self.logs else {}),
            **({"initContainerStatuses": self._statuses(self._inits)} if self._inits else {}),
            "containerStatuses": self._statuses(self._mains),
        }
        self._store.update("pods", {**pod, "status": status})
        for name, state in self._states.items():
            if "terminated" in state:
                self._told.setdefault(name, time.time())

    def truth(self) -> Json:
        """See ``ScriptedNode.fault``."""
        containers = {
            name: {
                "lines": log.stamps(),
                "ended": log.ended,
                "told": self._told.get(name),
                "exit_code": self._exit_codes.get(name),
            }
            for name, log in self.logs.items()
        }
        return {"uid": self._uid, "name": self._name, "deleted": self._cut_short, "containers": containers}

    def _statuses(self, names: list[str]) -> list[Json]:
        return [
            {
                "name": name,
                "state": self._states[name],
                "lastState": {},
                "ready": "running" in self._states[name],
                "restartCount": 0,
                "image": self._images[name],
                "imageID": "",
                **({"containerID": self.logs[name].container_id} if name in self.logs else {}),
                "started": "running" in self._states[name],
            }
            for name in names
        ]

    def _conditions(self, ready: bool) -> list[Any]:
        def one(kind: str, holds: bool) -> Json:
            value = "True" if holds else "False"
            return {"type": kind, "status": value, "lastProbeTime": None, "lastTransitionTime": self._began}

        started = all(name in self.logs for name in self._mains)
        return [
            one("PodReadyToStartContainers", bool(self.logs)),
            one("Initialized", started),
            one("Ready", ready),
            one("ContainersReady", ready),
            one("PodScheduled", True),
        ]


def _second(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
