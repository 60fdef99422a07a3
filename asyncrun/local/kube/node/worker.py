"""The life of a pod: one task, which is the only one that decides."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Iterator

from asyncrun.local.kube.node import ending, starting, volumes
from asyncrun.local.kube.node.container import Container
from asyncrun.local.kube.node.pod import Abandoned, LocalPod, Order, Stopping

_RESET_AFTER = 600.0
"""Seconds that a container runs before its back-off begins anew."""


async def live(pod: LocalPod) -> None:
    """Run it until it is gone from the store, or the node stops."""
    watching: asyncio.Task[None] | None = None
    try:
        try:
            if not pod.current["spec"].get("nodeName"):
                await starting.schedule(pod)
            pod.begin()
            pod.publish()
            await starting.mount(pod)
            await pod.pause(pod.machine.options.delays.sandbox)
            pod.sandbox = True
            pod.publish()
            await pod.pause(pod.machine.options.delays.starting)
            pod.named = True
            if any(one.size_limit for one in pod.volumes.values()):
                watching = asyncio.create_task(_watch_volumes(pod), name=f"volumes {pod.key[1]}")
            await _run(pod)
        except Stopping:
            pass
        await ending.end(pod)
    except Abandoned:
        pass
    finally:
        if watching is not None:
            watching.cancel()
            await asyncio.gather(watching, return_exceptions=True)
        pod.over()
        for container in pod.containers:
            if container.alive and container.link is not None:
                container.link.kill()
        while pod.tasks:
            await asyncio.wait(pod.tasks)
    await asyncio.to_thread(shutil.rmtree, pod.folder, ignore_errors=True)


async def _run(pod: LocalPod) -> None:
    """
    Start what is to run, and start it again, until nothing is.

    :raises Stopping: it is to end.
    """
    while True:
        if _collect(pod):
            pod.publish()
        if _at_its_end(pod):
            return
        started = [one for one in _startable(pod) if one.due <= _now()]
        for container in started:
            await starting.start(pod, container)
            if container.terminated is not None and container.link is None:
                _ended(pod, container)
        if started:
            pod.publish()
            continue
        if _show_backoffs(pod):
            pod.publish()
        times = [one.due for one in _startable(pod)]
        times += [one.shown_at for one in pod.containers if one.shown_at is not None]
        await pod.change(max(0.0, min(times) - _now()) if times else None)


def _collect(pod: LocalPod) -> bool:
    """Take notice of containers that have ended."""
    found = [one for one in pod.containers if one.exited is not None]
    for container in found:
        container.end()
        _ended(pod, container)
    return bool(found)


def _ended(pod: LocalPod, container: Container) -> None:
    """When it is started again, and how that is shown (traces i, j3)."""
    if not _starts_again(pod, container):
        return
    now, delays = _now(), pod.machine.options.delays
    if now - container.began > _RESET_AFTER:
        container.failures = 0
    container.backoff = (
        min(delays.crash[0] * 2 ** (container.failures - 1), delays.crash[1]) if container.failures else 0.0
    )
    container.failures += 1
    wait = container.backoff * delays.backoff_factor
    container.due = now + wait
    if wait:
        container.shown_at = now + min(delays.backoff_shown, wait / 2)
        message = f"Back-off restarting failed container {container.name} in pod {pod.full_name}"
        pod.say("Warning", "BackOff", message, container)


def _starts_again(pod: LocalPod, container: Container) -> bool:
    if container.kind == "sidecar":
        return True
    if container.succeeded:
        return container.kind == "main" and pod.policy == "Always"
    return pod.policy != "Never"


def _at_its_end(pod: LocalPod) -> bool:
    if any(one.terminated and not one.succeeded and not _starts_again(pod, one) for one in pod.of("init")):
        return True
    return all(one.terminated is not None and not _starts_again(pod, one) for one in pod.of("main"))


def _startable(pod: LocalPod) -> Iterator[Container]:
    """Those that are to be started, now or later: what stands before them has come far enough."""
    for container in pod.of("init", "sidecar"):
        if container.running is None and not (container.kind == "init" and container.succeeded):
            yield container
            if container.kind == "init" or not container.id:
                return
        elif container.kind == "init" and container.running is not None:
            return
    yield from (
        one for one in pod.of("main") if one.running is None and (not one.terminated or _starts_again(pod, one))
    )


def _show_backoffs(pod: LocalPod) -> bool:
    found = [one for one in pod.containers if one.shown_at is not None and one.shown_at <= _now()]
    for container in found:
        container.shown_at = None
        if container.terminated is not None:
            what = f"restarting failed container={container.name} pod={pod.full_name}"
            container.wait("CrashLoopBackOff", f"back-off {duration(container.backoff)} {what}")
        elif container.waiting is not None and container.waiting[0] == "ErrImagePull":
            backing = f'Back-off pulling image "{container.spec.get("image", "")}"'
            pod.say("Normal", "BackOff", backing, container)
            pod.say("Warning", "Failed", "Error: ImagePullBackOff", container)
            container.wait("ImagePullBackOff", f"{backing}: ErrImagePull: {container.waiting[1]}")
    return bool(found)


def duration(seconds: float) -> str:
    """As Go writes it: ``10s``, ``1m20s``."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes}m{rest}s" if minutes else f"{rest}s"


async def _watch_volumes(pod: LocalPod) -> None:
    """Evict it when a volume is above its limit (traces p, p2)."""
    while True:
        await asyncio.sleep(pod.machine.options.delays.eviction_check)
        found = await asyncio.to_thread(volumes.too_big, pod.volumes)
        if found is not None:
            message = f'Usage of EmptyDir volume "{found[0]}" exceeds the limit "{found[1]}". '
            pod.stop(Order("evicted", 1.0, message))
            return


def _now() -> float:
    return asyncio.get_running_loop().time()
