"""The node of the embedded cluster."""

from __future__ import annotations

import asyncio
import logging
import secrets
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from asyncrun.local.kube.changes import ChangeType
from asyncrun.local.kube.node import worker
from asyncrun.local.kube.node.execution import Execution
from asyncrun.local.kube.node.images import Images
from asyncrun.local.kube.node.logs import LogView
from asyncrun.local.kube.node.machine import Machine
from asyncrun.local.kube.node.options import ImageFault, NodeOptions
from asyncrun.local.kube.node.outage import Outage
from asyncrun.local.kube.node.pod import LocalPod, Order
from asyncrun.local.kube.node.processes import Processes, StartFailed
from asyncrun.local.kube.node.scheduling import Rules
from asyncrun.local.kube.store import Json, Store, Subscription

_log = logging.getLogger(__name__)


class LocalNode:
    """
    Runs pods as processes of this machine: a ``Node`` and a ``FaultyNode``.

    There are no images: a container's command runs here, with this machine's files. Volumes appear where they are to
    be, in mounts of the container's own, and it sees only its own processes. On a machine without namespaces (macOS,
    some containers) pods that need volumes fail with the reason, and no commands are run in containers. Unlike in a
    cluster, a first process that does not handle SIGTERM dies of it at once (143), instead of being killed later.

    :param folder: for volumes, logs and homes; what this node puts into it is removed at the end.
    """

    def __init__(self, folder: Path, options: NodeOptions | None = None) -> None:
        self._parent = folder
        self._options = options or NodeOptions()
        self._machine: Machine | None = None
        self._pods: dict[str, LocalPod] = {}
        self._workers: dict[str, asyncio.Task[None]] = {}
        self._following: asyncio.Task[None] | None = None
        self._outage: Outage | None = None

    async def start(self, store: Store) -> None:
        """Begin; pods that are in the store already are taken over."""
        folder = self._parent / f"node-{uuid.uuid4().hex[:8]}"
        await asyncio.to_thread(_make, folder)
        processes = Processes(folder)
        await processes.start()
        images, rules = Images(self._options.images), Rules(self._options)
        machine = self._machine = Machine(store, self._options, folder, processes, images, rules)
        machine.reachable.set()
        machine.isolated, machine.why_not = await _probe(processes, folder, self._options)
        self._outage = Outage(machine, self._pods)
        changes = store.subscribe("pods")
        for pod in store.list("pods"):
            self._changed("ADDED", pod)
        self._following = asyncio.create_task(self._follow(changes), name="embedded node")

    async def stop(self) -> None:
        """Kill every container and return when nothing is left."""
        machine = self._machine
        if machine is None:
            return
        machine.closing = True
        machine.reachable.set()
        if self._outage is not None:
            await self._outage.stop()
        if self._following is not None:
            self._following.cancel()
            await asyncio.gather(self._following, return_exceptions=True)
        for pod in self._pods.values():
            pod.wake()
        machine.processes.close()
        await asyncio.gather(*self._workers.values(), return_exceptions=True)
        await machine.processes.stop()
        self._machine = None

    def log(self, pod_uid: str, container: str, *, previous: bool) -> LogView | None:
        """
        See ``Node``.

        :raises ConnectionRefusedError: the node is lost.
        """
        pod = self._pods.get(pod_uid)
        self._reach()
        found = next((one for one in pod.containers if one.name == container), None) if pod else None
        logs = [one for one in found.logs if not one.dropped] if found else []
        index = -2 if previous else -1
        return logs[index].open() if len(logs) >= -index else None

    async def exec(self, pod_uid: str, container: str, command: Sequence[str], *, stdin: bool) -> Execution:
        """
        Run a command in a container that runs, with its environment and mounts (trace u_exec_websocket).

        :raises ConnectionRefusedError: the node is lost.
        :raises OSError: it cannot be started.
        """
        pod = self._pods.get(pod_uid)
        self._reach()
        found = next((one for one in pod.containers if one.name == container), None) if pod else None
        if not self.isolated:
            # It would see, and could kill, every process of this machine's user.
            raise OSError("containers have no processes of their own on this machine, so no commands are run in them")
        if found is None or found.link is None or not found.alive:
            raise OSError(f'container not found ("{container}")')
        try:
            return await found.link.execute(command, stdin=stdin)
        except OSError as error:
            what = f'failed to exec in container: failed to start exec "{secrets.token_hex(32)}"'
            start = f"{what}: OCI runtime exec failed: exec failed: unable to start container process: "
            raise OSError(f"{start}{error}: unknown") from error

    def _reach(self) -> None:
        if self._machine is not None and not self._machine.reachable.is_set():
            raise ConnectionRefusedError("the kubelet does not run")

    async def fault(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """
        Do something that happens to real nodes.

        :param name: ``image`` (``image`` pattern, ``error``, ``times``; no ``image``: all can be pulled again),
            ``unschedulable`` (``message``, ``labels``; no ``message``: all can be scheduled again), ``lost``
            (``seconds``, default for ever; ``unreachable`` seconds to ``Ready=False``), ``recover``, ``restart``
            (``seconds``), ``evict`` (``namespace``, ``name``, ``message``).
        :raises ValueError: it does not know that one, or the arguments.
        """
        machine, outage = self._machine, self._outage
        if machine is None or outage is None:
            raise ValueError("the node does not run")
        try:
            self._do(name, arguments, machine, outage)
        except TypeError as error:
            raise ValueError(f"fault {name!r}: {error}") from error
        return {}

    def _do(self, name: str, arguments: dict[str, Any], machine: Machine, outage: Outage) -> None:
        match name:
            case "image":
                machine.images.add(ImageFault(**arguments)) if arguments.get("image") else machine.images.clear()
            case "unschedulable":
                rule = (arguments.get("labels") or {}, arguments.get("message") or "")
                machine.rules.forbidden.append(rule) if rule[1] else machine.rules.forbidden.clear()
            case "lost" | "restart":
                default = 1.0 if name == "restart" else None
                outage.begin(arguments.get("seconds", default), arguments.get("unreachable"))
            case "recover":
                outage.end()
            case "evict":
                self._evict(arguments)
            case _:
                raise ValueError(f"the embedded node knows no fault {name!r}")

    @property
    def isolated(self) -> bool:
        """Whether containers have mounts of their own on this machine."""
        return self._machine is not None and self._machine.isolated

    def _evict(self, arguments: dict[str, Any]) -> None:
        key = (arguments.get("namespace", "default"), arguments.get("name"))
        pod = next((one for one in self._pods.values() if one.key == key), None)
        if pod is None:
            raise ValueError(f"no pod {key[0]}/{key[1]} on this node")
        message = "The node was low on resource: memory. Threshold quantity: 100Mi, available: 64Mi. "
        pod.stop(Order("evicted", 1.0, arguments.get("message") or message))

    async def _follow(self, changes: Subscription) -> None:
        while True:
            kind, pod = await changes.next()
            try:
                self._changed(kind, pod)
            except Exception:  # noqa: BLE001 - one pod's data must not keep the others from running
                _log.exception("Defect of asyncrun: the embedded node cannot take pod %s", pod["metadata"].get("name"))

    def _changed(self, kind: ChangeType, pod: Json) -> None:
        uid = pod["metadata"]["uid"]
        known = self._pods.get(uid)
        if known is None:
            if kind != "DELETED" and (pod.get("status") or {}).get("phase") not in ("Succeeded", "Failed"):
                self._add(pod)
        elif kind == "DELETED":
            known.stop(Order("removed", 0.0))
        else:
            known.updated(pod)

    def _add(self, pod: Json) -> None:
        assert self._machine is not None
        name = pod["spec"].get("nodeName")
        if name and name != self._options.name:
            return
        known = self._pods[pod["metadata"]["uid"]] = LocalPod(self._machine, pod)
        known.updated(pod)
        task = asyncio.create_task(worker.live(known), name=f"pod {known.key[0]}/{known.key[1]}")
        self._workers[known.uid] = task
        task.add_done_callback(lambda done: self._ended(known, done))

    def _ended(self, pod: LocalPod, task: asyncio.Task[None]) -> None:
        self._workers.pop(pod.uid, None)
        self._pods.pop(pod.uid, None)
        if not task.cancelled() and task.exception() is not None:
            _log.error("Defect of asyncrun: the worker of pod %s died", pod.key, exc_info=task.exception())


def _make(folder: Path) -> None:
    for name in ("root", "pods", "claims"):
        (folder / name).mkdir(parents=True)


async def _probe(processes: Processes, folder: Path, options: NodeOptions) -> tuple[bool, str]:
    """Whether this machine lets us give a container its own mounts; if not, why."""
    if options.namespaces == "never":
        return False, "the node was told to do without"
    spec = {
        "argv": ["/bin/sh", "-c", ":"],
        "env": {},
        "cwd": "/asyncrun/probe",
        "root": str(folder / "root"),
        "mounts": [{"source": str(folder / "claims"), "target": "/asyncrun/mount", "read_only": True}],
        "log": str(folder / "probe"),
        "log_limit": 1024,
        "memory": None,
        "termination": {"path": str(folder / "none"), "fallback": False, "limit": 0},
    }
    try:
        link = await processes.run(spec)
    except StartFailed as error:
        return False, str(error)
    ended = await link.ended(lambda _size, _start: None)
    await link.close()
    if ended.exit_code != 0:
        return False, f"a container with mounts of its own ended with {ended.exit_code}"
    return True, ""
