"""One pod on the node: its state, what it waits for, and how both get into the store."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

from asyncrun.local.kube.node import status
from asyncrun.local.kube.node.container import Container, Kind
from asyncrun.local.kube.node.machine import Machine
from asyncrun.local.kube.node.volumes import Volume
from asyncrun.local.kube.store import Json, NotFound, record_event

SHORTEST_GRACE = 2.0
"""Seconds that a kubelet gives in any case (trace g3_delete_force)."""

DEADLINE = "Pod was active on the node longer than the specified deadline"


@dataclass(frozen=True, slots=True)
class Order:
    """
    That a pod is to end.

    :param kind: ``deleted`` by the API; ``removed`` from the store; or what the kubelet has decided by itself.
    :param grace: seconds from SIGTERM to SIGKILL.
    :param message: of the event and the status.
    """

    kind: Literal["deleted", "removed", "deadline", "evicted"]
    grace: float
    message: str = ""


class Stopping(Exception):
    """The pod is to end: leaves whatever is being waited for."""


class Abandoned(Exception):
    """The node stops."""


class LocalPod:
    """
    A pod.

    :param pod: as it is in the store.
    """

    def __init__(self, machine: Machine, pod: Json) -> None:
        self.machine = machine
        self.current = pod
        self.uid = str(pod["metadata"]["uid"])
        self.folder: Path = machine.folder / "pods" / self.uid
        self.containers = _containers(pod["spec"])
        self.volumes: dict[str, Volume] = {}
        self.network = status.Network(machine.host, "")
        self.order: Order | None = None
        self.kill_by: float | None = None
        self.ending = False
        self.sandbox = False
        self.named = False
        self.override: str | None = None
        self.why: tuple[str, str] | None = None
        self.started = ""
        self.tasks: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()
        self._shown_phase = status.PENDING
        self._judged: str | None = None
        self._deadline: asyncio.TimerHandle | None = None
        self._limit: float | None = None
        self._began = 0.0

    # -- what it is ----------------------------------------------------------------------------------------------------

    @property
    def key(self) -> tuple[str, str]:
        """Namespace and name."""
        return str(self.current["metadata"].get("namespace") or ""), str(self.current["metadata"]["name"])

    @property
    def full_name(self) -> str:
        """As the kubelet's messages have it."""
        return f"{self.key[1]}_{self.key[0]}({self.uid})"

    @property
    def policy(self) -> str:
        """``restartPolicy``."""
        return str(self.current["spec"].get("restartPolicy", "Always"))

    @property
    def grace(self) -> float:
        """``terminationGracePeriodSeconds``."""
        return float(self.current["spec"].get("terminationGracePeriodSeconds", 30))

    @property
    def fixed(self) -> dict[str, str]:
        """Values of ``fieldRef`` that the node knows."""
        host, own = self.network.host, self.network.pod
        return {"status.hostIP": host, "status.hostIPs": host, "status.podIP": own, "status.podIPs": own}

    @property
    def first_reason(self) -> str:
        """What its containers wait for at first."""
        return "PodInitializing" if self.of("init", "sidecar") else "ContainerCreating"

    def of(self, *kinds: Kind) -> list[Container]:
        """Containers of these kinds, in the order of the definition."""
        return [one for one in self.containers if one.kind in kinds]

    # -- what happens to it --------------------------------------------------------------------------------------------

    def updated(self, pod: Json) -> None:
        """It was changed in the store."""
        metadata = pod["metadata"]
        if int(metadata["resourceVersion"]) > int(self.current["metadata"]["resourceVersion"]):
            self.current = pod  # else a change of our own has come back
        if "deletionTimestamp" in metadata:
            self.stop(Order("deleted", float(metadata.get("deletionGracePeriodSeconds") or 0)))
        if self._began:
            self._limit_time()

    def stop(self, order: Order) -> None:
        """It is to end. The first reason stays, unless it is removed; later ones can only hurry it."""
        if self.order is None or (order.kind in ("deleted", "removed") and self.order.kind != "removed"):
            self.order = order
        if self.kill_by is not None:
            now = asyncio.get_running_loop().time()
            self.kill_by = min(self.kill_by, now + max(order.grace, SHORTEST_GRACE))
        self.wake()

    def wake(self) -> None:
        """Something happened."""
        self._changed.set()

    def begin(self) -> None:
        """The kubelet has seen it."""
        self.started = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        self.network = status.Network(self.machine.host, self.machine.new_address())
        for container in self.containers:
            container.wait(self.first_reason)
        self._began = asyncio.get_running_loop().time()
        self._limit_time()

    def _limit_time(self) -> None:
        """``activeDeadlineSeconds`` count from the pod's start, those too that are set while it runs."""
        seconds = self.current["spec"].get("activeDeadlineSeconds")
        if seconds == self._limit or seconds is None:
            return  # the API lets nobody take it away
        if self._deadline is not None:
            self._deadline.cancel()
        self._limit = seconds
        order = Order("deadline", self.grace, DEADLINE)
        self._deadline = asyncio.get_running_loop().call_at(self._began + float(seconds), self.stop, order)

    def over(self) -> None:
        """Nothing of it runs any more."""
        self._began = 0.0
        if self._deadline is not None:
            self._deadline.cancel()
        self.machine.rules.release(self.uid)

    # -- waiting -------------------------------------------------------------------------------------------------------

    async def pause(self, seconds: float) -> None:
        """
        Wait that long.

        :raises Stopping: it is to end.
        """
        loop = asyncio.get_running_loop()
        until = loop.time() + seconds
        while True:
            self._check()
            left = until - loop.time()
            if left <= 0:
                return
            await self.change(left)

    async def change(self, seconds: float | None) -> None:
        """
        Wait until something has happened, at most that long.

        :raises Stopping: it is to end, and does not yet.
        """
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            pass
        self._changed.clear()
        await self.machine.reachable.wait()
        self._check()

    def _check(self) -> None:
        if self.machine.closing:
            raise Abandoned
        if self.order is not None and not self.ending:
            raise Stopping

    # -- what is said of it --------------------------------------------------------------------------------------------

    def say(
        self, kind: Literal["Normal", "Warning"], reason: str, message: str, about: Container | None = None
    ) -> None:
        """An event of the kubelet."""
        path = about.path if about is not None else None
        name = self.machine.options.name
        record_event(self.machine.store, self.current, reason, kind, message, host=name, field_path=path)

    def phase(self) -> str:
        """What the states amount to now."""
        return self.override or status.phase(self.containers, self.policy, over=self.ending)

    def publish(self, *, finished: bool = False, shown: str | None = None, judged: str | None = None) -> None:
        """
        Bring the status into the store.

        :param finished: nothing runs any more: only then a final phase is shown.
        :param shown: that phase, whatever the states say.
        :param judged: the phase that the conditions follow from now on, if it is another one.
        """
        phase = self.phase()
        self._judged = judged or self._judged
        final = phase in (status.SUCCEEDED, status.FAILED)
        if finished or not final:
            self._shown_phase = shown or phase
        why = self.why if self._shown_phase == status.FAILED else None
        new = status.pod_status(
            self.current,
            self.containers,
            shown_phase=self._shown_phase,
            why=why,
            conditions_now=status.conditions(self.containers, self._judged or phase, sandbox=self.sandbox),
            network=self.network,
            named=self.named,
            started=self.started,
        )
        self.put({"status": new})

    def put(self, parts: dict[str, Any]) -> None:
        """Replace parts of it in the store."""
        found = self.machine.store.get("pods", *self.key)
        if found is None or found["metadata"]["uid"] != self.uid or self.machine.closing:
            return
        try:
            self.current = self.machine.store.update("pods", {**found, **parts})
        except NotFound:
            return

    def remove(self) -> None:
        """Finish its deletion."""
        found = self.machine.store.get("pods", *self.key)
        if found is not None and found["metadata"]["uid"] == self.uid:
            self.machine.store.remove("pods", *self.key)


def _containers(spec: Json) -> list[Container]:
    inits = [
        Container(one, "sidecar" if one.get("restartPolicy") == "Always" else "init")
        for one in spec.get("initContainers") or ()
    ]
    return [*inits, *(Container(one, "main") for one in spec["containers"])]
