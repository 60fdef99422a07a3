"""From the last order, or the last container's end, to the final phase and the removal (traces g to g8, h, j, p)."""

from __future__ import annotations

import asyncio
import contextlib
import shutil

from asyncrun.local.kube.node import status
from asyncrun.local.kube.node.container import Container
from asyncrun.local.kube.node.pod import SHORTEST_GRACE, LocalPod, Stopping


async def end(pod: LocalPod) -> None:
    """
    End a pod that has run to its end, or that was ordered to.

    :raises Abandoned: the node stops.
    """
    if not pod.started:
        return  # it was never scheduled: the API server removes it by itself
    if pod.order is None:
        await _after_its_end(pod)
    else:
        await _ordered(pod)
    pod.ending = True
    pod.sandbox = False
    judged = pod.phase()
    pod.publish(finished=True)
    pod.over()
    if any(one.waiting for one in pod.containers):
        await _sleep(pod, pod.machine.options.delays.removal)
        if status.locate(pod.containers) or judged not in (status.SUCCEEDED, status.FAILED):
            final = judged if judged in (status.SUCCEEDED, status.FAILED) else status.FAILED
            pod.publish(finished=True, shown=final, judged=judged)
    for container in pod.containers:
        for old in container.logs[:-1]:
            old.drop()
        del container.logs[:-1]
    await _clean_up(pod)
    await _leave(pod)


async def _after_its_end(pod: LocalPod) -> None:
    sidecars = [one for one in pod.containers if one.alive]
    if sidecars:
        pod.ending = True
        pod.kill_by = _now() + max(pod.grace, SHORTEST_GRACE)
        await _kill_all(pod)
        pod.sandbox = False
        pod.publish()
        pod.ending = False
    pod.kill_by = None
    with contextlib.suppress(Stopping):
        await pod.pause(pod.machine.options.delays.final)


async def _ordered(pod: LocalPod) -> None:
    order = pod.order
    assert order is not None
    for container in pod.containers:
        if container.waiting is not None and container.last is None:
            container.wait(pod.first_reason)  # why it could not be started is forgotten (trace g4_delete_pending)
    if order.kind == "deadline":
        pod.override, pod.why = status.FAILED, ("DeadlineExceeded", order.message)
        pod.say("Normal", "DeadlineExceeded", order.message)
    elif order.kind == "evicted":
        pod.why = ("Evicted", order.message)
        pod.say("Warning", "Evicted", order.message)
    pod.publish()
    pod.ending = True
    pod.kill_by = _now() + max(order.grace, SHORTEST_GRACE)
    await _kill_all(pod)


async def _kill_all(pod: LocalPod) -> None:
    """SIGTERM, and SIGKILL when the grace is over: the main containers first, then the sidecars, the last one first."""
    await _kill(pod, pod.of("init", "main"))
    for container in reversed(pod.of("sidecar")):
        await _kill(pod, [container])
    for container in pod.containers:
        if container.exited is not None:
            container.end()


async def _kill(pod: LocalPod, containers: list[Container]) -> None:
    for container in containers:
        if container.alive and container.link is not None:
            pod.say("Normal", "Killing", f"Stopping container {container.name}", container)
            container.link.terminate()
    killed = False
    while any(one.alive for one in containers):
        assert pod.kill_by is not None
        left = pod.kill_by - _now()
        if left <= 0 and not killed:
            killed = True
            for container in containers:
                if container.alive and container.link is not None:
                    container.link.kill()
        await pod.change(None if killed else left)


async def _leave(pod: LocalPod) -> None:
    """What happens to what is left of it: its logs, its entry in the store."""
    delays = pod.machine.options.delays
    if pod.order is not None and pod.order.kind == "evicted":
        await _sleep(pod, delays.kept_after_eviction)
        _drop_logs(pod)
    while pod.order is None or pod.order.kind not in ("deleted", "removed"):
        await pod.change(None)
    if pod.order.kind == "deleted":
        pod.publish(finished=True, shown=str(pod.current["status"]["phase"]))
        await _sleep(pod, delays.removal)
        pod.remove()
    _drop_logs(pod)
    while pod.order.kind != "removed":  # a finalizer holds it
        await pod.change(None)


def _drop_logs(pod: LocalPod) -> None:
    for container in pod.containers:
        for log in container.logs:
            log.drop()
        container.logs.clear()


async def _clean_up(pod: LocalPod) -> None:
    """Remove all but the logs."""
    for name in ("containers", "volumes"):
        await asyncio.to_thread(shutil.rmtree, pod.folder / name, ignore_errors=True)


async def _sleep(pod: LocalPod, seconds: float) -> None:
    until = _now() + seconds
    while (left := until - _now()) > 0 and (pod.order is None or pod.order.kind != "removed"):
        await pod.change(left)


def _now() -> float:
    return asyncio.get_running_loop().time()
