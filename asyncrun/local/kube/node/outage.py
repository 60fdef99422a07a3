"""A lost node: its kubelet sees and says nothing, while its containers run on (traces t, t2)."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

from asyncrun.local.kube import deletion
from asyncrun.local.kube.node.machine import Machine
from asyncrun.local.kube.node.pod import LocalPod
from asyncrun.local.kube.resources import of_kind
from asyncrun.local.kube.store import Json, now, record_event

_UNREACHABLE = "node.kubernetes.io/unreachable"
_FINAL = ("Succeeded", "Failed")


class Outage:
    """What the control plane does about a node that it has lost."""

    def __init__(self, machine: Machine, pods: Mapping[str, LocalPod]) -> None:
        self._machine, self._pods = machine, pods
        self._task: asyncio.Task[None] | None = None

    def begin(self, seconds: float | None, unreachable: float | None) -> None:
        """
        Lose the node.

        :param seconds: until it is back; None: until `end`.
        :param unreachable: until the pods' ``Ready=False``; None: as the options say.
        """
        if self._task is None or self._task.done():
            self._machine.reachable.clear()
            wait = self._machine.options.delays.unreachable if unreachable is None else unreachable
            self._task = asyncio.create_task(self._pass(seconds, wait), name="lost node")

    def end(self) -> None:
        """It is back."""
        if self._task is not None:
            self._task.cancel()
        self._back()

    def _back(self) -> None:
        self._machine.reachable.set()
        for pod in self._pods.values():
            if pod.started and not pod.ending and pod.current["status"].get("phase") not in _FINAL:
                pod.publish()
            pod.wake()

    async def stop(self) -> None:
        """The node stops."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    async def _pass(self, seconds: float | None, unreachable: float) -> None:
        control = asyncio.create_task(self._control(unreachable), name="node controller")
        try:
            await asyncio.sleep(seconds if seconds is not None else float("inf"))
            self._back()
        finally:
            control.cancel()
            await asyncio.gather(control, return_exceptions=True)

    async def _control(self, unreachable: float) -> None:
        """The node controller and the taint eviction."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(unreachable)
        factor = self._machine.options.delays.toleration_factor
        due: list[tuple[float, LocalPod]] = []
        for pod in list(self._pods.values()):
            current = self._machine.store.get("pods", *pod.key)
            if current is None or (current.get("status") or {}).get("phase") in (*_FINAL, None) or not pod.started:
                continue
            _not_ready(pod, current)
            tolerated = _tolerated(current)
            if tolerated is not None:
                due.append((loop.time() + tolerated * factor, pod))
        for at, pod in sorted(due, key=lambda one: one[0]):
            await asyncio.sleep(max(0.0, at - loop.time()))
            _evict(pod)


def _not_ready(pod: LocalPod, current: Json) -> None:
    status = current["status"]
    conditions = [
        {
            **{key: value for key, value in one.items() if key not in ("reason", "message")},
            "status": "False",
            "lastTransitionTime": now(),
        }
        if one["type"] == "Ready"
        else one
        for one in status.get("conditions") or ()
    ]
    pod.put({"status": {**status, "conditions": conditions}})
    record_event(
        pod.machine.store, pod.current, "NodeNotReady", "Warning", "Node is not ready", component="node-controller"
    )


def _tolerated(pod: Json) -> float | None:
    """Seconds that the pod tolerates an unreachable node; None is for ever."""
    for one in pod["spec"].get("tolerations") or ():
        if one.get("key") in (None, "", _UNREACHABLE) and one.get("effect") in (None, "", "NoExecute"):
            seconds = one.get("tolerationSeconds")
            return None if seconds is None else float(seconds)
    return 0.0


def _evict(pod: LocalPod) -> None:
    current = pod.machine.store.get("pods", *pod.key)
    if current is None or current["metadata"]["uid"] != pod.uid or "deletionTimestamp" in current["metadata"]:
        return
    status = current["status"]
    condition = {
        "type": "DisruptionTarget",
        "observedGeneration": current["metadata"].get("generation", 1),
        "status": "True",
        "lastProbeTime": None,
        "lastTransitionTime": now(),
        "reason": "DeletionByTaintManager",
        "message": "Taint manager: deleting due to NoExecute taint",
    }
    pod.put({"status": {**status, "conditions": [*(status.get("conditions") or ()), condition]}})
    pod.current = deletion.delete(pod.machine.store, of_kind("Pod"), *pod.key, {})
    message = f"Marking for deletion Pod {pod.key[0]}/{pod.key[1]}"
    component = "taint-eviction-controller"
    record_event(pod.machine.store, pod.current, "TaintManagerEviction", "Normal", message, component=component)
