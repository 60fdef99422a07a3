"""From a new pod to running containers: scheduling, volumes, images, configuration, processes."""

from __future__ import annotations

import asyncio
import math
import time
from pathlib import Path
from typing import Any

from asyncrun.local.kube import quantities
from asyncrun.local.kube.node import environment, images, status, volumes
from asyncrun.local.kube.node.container import Container, new_id
from asyncrun.local.kube.node.logs import InstanceLog
from asyncrun.local.kube.node.pod import LocalPod
from asyncrun.local.kube.node.processes import ProcessLink, StartFailed
from asyncrun.local.kube.store import Json, record_event

_MESSAGE_BYTES, _POD_MESSAGE_BYTES = 4096, 12 << 10
_RUNC = (
    "failed to create containerd task: failed to create shim task: OCI runtime create failed: runc create failed: "
    "unable to start container process: "
)
_HOME = "/container"
"""Home and working directory of a container that has mounts of its own; an image would say where they are."""

_TOKEN = "/var/run/secrets/kubernetes.io/serviceaccount"


async def schedule(pod: LocalPod) -> None:
    """
    Bring it onto the node.

    :raises Stopping: it was deleted meanwhile.
    """
    machine = pod.machine
    await pod.pause(machine.options.delays.scheduling)
    said = ""
    while refusal := machine.rules.refusal(pod.current, reachable=machine.reachable.is_set()):
        if refusal != said:
            _unschedulable(pod, refusal)
            said = refusal
        await pod.pause(machine.options.delays.retry)
    machine.rules.take(pod.current)
    scheduled = {"type": "PodScheduled", "status": "True"}
    old: Json = pod.current.get("status") or {}
    known = [one for one in old.get("conditions") or () if one["type"] != "PodScheduled"]
    shown = {"phase": status.PENDING, "conditions": status.merged([scheduled], known, None)}
    name = machine.options.name
    pod.put({"spec": {**pod.current["spec"], "nodeName": name}, "status": {**old, **shown}})
    message = f"Successfully assigned {pod.key[0]}/{pod.key[1]} to {name}"
    record_event(machine.store, pod.current, "Scheduled", "Normal", message, component="default-scheduler", host=name)


def _unschedulable(pod: LocalPod, message: str) -> None:
    machine, old = pod.machine, pod.current.get("status") or {}
    condition = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message}
    generation = pod.current["metadata"].get("generation", 1)
    conditions = status.merged([condition], old.get("conditions") or (), generation)
    pod.put({"status": {**old, "phase": status.PENDING, "conditions": conditions}})
    scheduler = {"component": "default-scheduler", "host": machine.options.name}
    record_event(machine.store, pod.current, "FailedScheduling", "Warning", message, **scheduler)


async def mount(pod: LocalPod) -> None:
    """
    Make its volumes, as soon as what is in them is there.

    :raises Stopping: it is to end.
    """
    machine = pod.machine
    delay = min(0.5, machine.options.delays.retry)
    while True:
        sources = volumes.Sources(
            machine.store,
            pod.current,
            pod.fixed,
            machine.capacity,
            pod.folder / "volumes",
            machine.folder / "claims",
        )
        try:
            pod.volumes = await asyncio.to_thread(_make, sources)
        except (volumes.MountError, OSError) as error:
            pod.say("Warning", "FailedMount", str(error))
        except (ValueError, KeyError, TypeError) as error:  # what the API server should not have let in
            pod.say("Warning", "FailedMount", f"the volumes' definition cannot be read: {error!r}")
        else:
            return
        await pod.pause(delay)
        delay = min(delay * 2, machine.options.delays.retry)


def _make(sources: volumes.Sources) -> dict[str, volumes.Volume]:
    found = sources.volumes()
    volumes.create(found)
    return found


async def start(pod: LocalPod, container: Container) -> None:
    """
    Start an instance, or say why not, and when to try again.

    :raises Stopping: the pod is to end.
    """
    now = asyncio.get_running_loop().time()
    if not await _pull(pod, container):
        return
    values: dict[str, str] = {}
    try:
        values = environment.environment(
            pod.machine.store, pod.current, container.spec, pod.fixed, pod.machine.capacity
        )
        _check_user(pod, container)
        instance = new_id()
        spec, log = await asyncio.to_thread(_prepare, pod, container, values, instance)
    except (environment.ConfigError, volumes.MountError) as error:
        _not_created(pod, container, "CreateContainerConfigError", str(error), now)
        return
    except OSError as error:
        _not_created(pod, container, "CreateContainerError", str(error), now)
        return
    except (ValueError, KeyError, TypeError) as error:  # what the API server should not have let in
        _not_created(pod, container, "CreateContainerConfigError", f"its definition cannot be read: {error!r}", now)
        return
    await _run(pod, container, spec, log)


async def _run(pod: LocalPod, container: Container, spec: dict[str, Any], log: InstanceLog) -> None:
    now = asyncio.get_running_loop().time()
    image = images.image_id(str(container.spec.get("image", "")))
    try:
        link = await pod.machine.processes.run(spec)
    except StartFailed as error:
        if not error.created:
            _not_created(pod, container, "CreateContainerError", str(error), now)
            return
        message = f"{_RUNC}{error}: unknown"
        log.end()
        container.fail_to_start(log.container_id, image, message, log, time.time_ns())
        pod.say("Normal", "Created", "Container created", container)
        pod.say("Warning", "Failed", f"Error: {message}", container)
        return
    container.start(log.container_id, image, link, log, now)
    pod.say("Normal", "Created", "Container created", container)
    pod.say("Normal", "Started", "Container started", container)
    task = asyncio.create_task(_watch(pod, container, link, log), name=f"container {pod.key[1]}/{container.name}")
    pod.tasks.add(task)
    task.add_done_callback(pod.tasks.discard)


async def _watch(pod: LocalPod, container: Container, link: ProcessLink, log: InstanceLog) -> None:
    ended = await link.ended(log.grew)
    log.end()
    container.exited = ended
    pod.wake()
    await link.close()


# -- images ------------------------------------------------------------------------------------------------------------


async def _pull(pod: LocalPod, container: Container) -> bool:
    image, known = str(container.spec.get("image", "")), pod.machine.images
    now = asyncio.get_running_loop().time()
    if message := images.invalid(image):
        return _no_image(pod, container, "InspectFailed", "InvalidImageName", message, now)
    present = known.present(image)
    if not present and container.policy == "Never":
        message = f'Container image "{image}" is not present with pull policy of Never'
        return _no_image(pod, container, "ErrImageNeverPull", "ErrImageNeverPull", message, now)
    if present and container.policy != "Always":
        there = "already present on machine and can be accessed by the pod"
        pod.say("Normal", "Pulled", f'Container image "{image}" {there}', container)
        return True
    pod.say("Normal", "Pulling", f'Pulling image "{image}"', container)
    if error := known.pull(image):
        _cannot_pull(pod, container, image, error, now)
        return False
    delay = pod.machine.options.delays.pulling
    await pod.pause(delay)
    took = f"{math.ceil(delay * 1000)}ms"
    message = f'Successfully pulled image "{image}" in {took} ({took} including waiting). Image size: 2160406 bytes.'
    pod.say("Normal", "Pulled", message, container)
    container.pull_failures = 0
    return True


def _no_image(pod: LocalPod, container: Container, event: str, reason: str, message: str, now: float) -> bool:
    pod.say("Warning", event, message, container)
    pod.say("Warning", "Failed", f"Error: {reason}", container)
    container.wait(reason, message)
    container.due = now + pod.machine.options.delays.retry
    return False


def _cannot_pull(pod: LocalPod, container: Container, image: str, error: str, now: float) -> None:
    pod.say("Warning", "Failed", f'Failed to pull image "{image}": {error}', container)
    pod.say("Warning", "Failed", "Error: ErrImagePull", container)
    container.wait("ErrImagePull", error)
    delays = pod.machine.options.delays
    wait = min(delays.pull[0] * 2**container.pull_failures, delays.pull[1]) * delays.backoff_factor
    container.pull_failures += 1
    container.due = now + wait
    container.shown_at = now + min(delays.backoff_shown, wait / 2)


# -- configuration -----------------------------------------------------------------------------------------------------


def _not_created(pod: LocalPod, container: Container, reason: str, message: str, now: float) -> None:
    pod.say("Warning", "Failed", f"Error: {message}", container)
    container.wait(reason, message)
    container.due = now + pod.machine.options.delays.retry


def _check_user(pod: LocalPod, container: Container) -> None:
    """An image's user is taken to be root, as most images' is."""
    context = {**(pod.current["spec"].get("securityContext") or {}), **(container.spec.get("securityContext") or {})}
    if context.get("runAsNonRoot") and not context.get("runAsUser"):
        where = f'(pod: "{pod.full_name}", container: {container.name})'
        raise environment.ConfigError(f"container has runAsNonRoot and image will run as root {where}")


def _prepare(
    pod: LocalPod, container: Container, values: dict[str, str], instance: str
) -> tuple[dict[str, Any], InstanceLog]:
    """What the supervisor is told. In a thread: it touches the disk."""
    machine, spec = pod.machine, container.spec
    number = container.restarts + 1 if container.id else 0
    folder = pod.folder / "containers" / container.name / str(number)
    home = folder / "home"
    home.mkdir(parents=True, exist_ok=True)
    logs = pod.folder / "logs"
    logs.mkdir(exist_ok=True)
    log = InstanceLog(instance, logs / f"{container.name}-{number}")
    termination = folder / "termination-log"
    termination.touch()
    termination.chmod(0o666)
    mounts = volumes.mounts(spec, pod.volumes, values)
    count = len(pod.containers)
    mounts = [*mounts, *_own_mounts(spec, folder)] if machine.isolated else _without_mounts(pod, mounts)
    place = _HOME if machine.isolated else str(home)
    env = {**environment.base(pod.current, place), **machine.options.environment, **values}
    limit = ((spec.get("resources") or {}).get("limits") or {}).get("memory")
    told = {
        "argv": environment.command(spec, env),
        "env": env,
        "cwd": str(spec.get("workingDir") or place),
        "root": machine.root,
        "mounts": mounts,
        "log": str(log.path),
        "log_limit": machine.options.log_limit,
        "memory": int(quantities.parse(limit)) if limit else None,
        "termination": {
            "path": str(termination),
            "fallback": spec.get("terminationMessagePolicy") == "FallbackToLogsOnError",
            "limit": min(_MESSAGE_BYTES, _POD_MESSAGE_BYTES // count),
        },
    }
    return told, log


def _own_mounts(spec: Json, folder: Path) -> list[dict[str, Any]]:
    message = spec.get("terminationMessagePath") or "/dev/termination-log"
    return [
        {"source": str(folder / "home"), "target": _HOME},
        {"source": str(folder / "termination-log"), "target": message},
    ]


def _without_mounts(pod: LocalPod, mounts: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """
    On a machine without namespaces: nothing, unless the pod needs it.

    :raises OSError: it does.
    """
    needed = sorted(str(one["target"]) for one in mounts if one["target"] != _TOKEN)
    if needed:
        why = pod.machine.why_not
        raise OSError(f"volumes cannot be mounted at {', '.join(needed)}: {why}")
    return []
