"""The status of a pod, as a function of its containers: the kubelet's rules, checked against the traces."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from asyncrun.local.kube import quantities
from asyncrun.local.kube.node.container import Container
from asyncrun.local.kube.store import Json, now

PENDING, RUNNING, SUCCEEDED, FAILED = "Pending", "Running", "Succeeded", "Failed"
UNKNOWN = "The container could not be located when the pod was terminated"
_ORDER = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")


@dataclass(frozen=True, slots=True)
class Network:
    """Addresses of a pod."""

    host: str
    pod: str


def ready(container: Container) -> bool:
    """``ready`` of its status."""
    return container.succeeded if container.kind == "init" else container.running is not None


def container_status(container: Container) -> Json:
    """One entry of ``containerStatuses``."""
    spec = container.spec
    shown: Json = {
        "name": container.name,
        "state": _state(container),
        "lastState": {"terminated": container.last} if container.last else {},
        "ready": ready(container),
        "restartCount": container.restarts,
        "image": spec.get("image", ""),
        "imageID": container.image_id,
    }
    if container.id:
        shown["containerID"] = container.id
    shown["started"] = container.running is not None
    if container.id:
        resources = spec.get("resources") or {}
        if resources.get("requests"):
            shown["allocatedResources"] = resources["requests"]
        shown["resources"] = resources
    if spec.get("volumeMounts"):
        shown["volumeMounts"] = [_mount(one) for one in spec["volumeMounts"]]
    return shown


def _mount(mount: Json) -> Json:
    shown = {"name": mount["name"], "mountPath": mount["mountPath"]}
    return {**shown, "readOnly": True, "recursiveReadOnly": "Disabled"} if mount.get("readOnly") else shown


def _state(container: Container) -> Json:
    if container.waiting is not None:
        reason, message = container.waiting
        return {"waiting": {"reason": reason, **({"message": message} if message else {})}}
    if container.running is not None:
        return {"running": {"startedAt": container.running}}
    return {"terminated": container.terminated}


def phase(containers: Sequence[Container], policy: str, *, over: bool) -> str:
    """
    The phase that the containers' states amount to.

    :param policy: ``restartPolicy`` of the pod.
    :param over: nothing will be restarted any more, whatever the policy says.
    """
    inits = [one for one in containers if one.kind == "init"]
    mains = [one for one in containers if one.kind == "main"]
    if policy == "Never" and any(one.terminated and not one.succeeded for one in inits):
        return FAILED
    pending_init = any(not one.succeeded for one in inits) or any(
        one.kind == "sidecar" and one.waiting is not None and one.last is None for one in containers
    )
    if (pending_init and not any(one.id for one in mains)) or any(one.waiting and not one.last for one in mains):
        return PENDING
    if any(one.running for one in mains) or _sidecar_runs(containers):
        return RUNNING
    succeeded = all(one.succeeded for one in mains)
    if not over and policy == "Always":
        return RUNNING
    if succeeded:
        return SUCCEEDED
    return FAILED if over or policy == "Never" else RUNNING


def _sidecar_runs(containers: Sequence[Container]) -> bool:
    return any(one.kind == "sidecar" and one.running for one in containers)


def _listed(names: Iterable[str]) -> str:
    return "[" + " ".join(names) + "]"


def _verdict(kind: str, phase_now: str, unready: list[str]) -> Json:
    """``Ready`` and ``ContainersReady``."""
    if phase_now == FAILED:
        return {"type": kind, "status": "False", "reason": "PodFailed"}
    if phase_now == SUCCEEDED:
        return {"type": kind, "status": "False", "reason": "PodCompleted"}
    if unready:
        message = f"containers with unready status: {_listed(unready)}"
        return {"type": kind, "status": "False", "reason": "ContainersNotReady", "message": message}
    return {"type": kind, "status": "True"}


def _initialized(containers: Sequence[Container], phase_now: str) -> Json:
    if phase_now == SUCCEEDED:
        return {"type": "Initialized", "status": "True", "reason": "PodCompleted"}
    incomplete = [
        one.name
        for one in containers
        if (one.kind == "init" and not one.succeeded) or (one.kind == "sidecar" and one.running is None)
    ]
    if not incomplete or any(one.kind == "main" and one.id for one in containers):
        return {"type": "Initialized", "status": "True"}
    message = f"containers with incomplete status: {_listed(incomplete)}"
    return {"type": "Initialized", "status": "False", "reason": "ContainersNotInitialized", "message": message}


def conditions(containers: Sequence[Container], phase_now: str, *, sandbox: bool) -> list[Json]:
    """
    The kubelet's conditions, without times.

    :param phase_now: the phase that the states amount to, which is shown later than its conditions are.
    :param sandbox: whether the pod's network is there.
    """
    unready = [one.name for one in containers if one.kind != "init" and not ready(one)]
    return [
        {"type": _ORDER[0], "status": "True" if sandbox else "False"},
        _initialized(containers, phase_now),
        _verdict("Ready", phase_now, unready),
        _verdict("ContainersReady", phase_now, unready),
        {"type": "PodScheduled", "status": "True"},
    ]


def merged(new: Iterable[Json], old: Iterable[Json], generation: int | None) -> list[Json]:
    """
    New conditions after old ones: a transition is a change of ``status``; conditions of others stay, at the end.

    :param generation: of the pod that the kubelet has seen; None for who does not say.
    """
    before = {one["type"]: one for one in old}
    found = []
    for one in new:
        known = before.pop(one["type"], None)
        same = known is not None and known["status"] == one["status"]
        shown: Json = {"type": one["type"]}
        if generation is not None:
            shown["observedGeneration"] = generation
        shown |= {"status": one["status"], "lastProbeTime": None}
        shown["lastTransitionTime"] = known["lastTransitionTime"] if known is not None and same else now()
        found.append(shown | {key: one[key] for key in ("reason", "message") if one.get(key)})
    return [*found, *before.values()]


def pod_status(
    pod: Json,
    containers: Sequence[Container],
    *,
    shown_phase: str,
    why: tuple[str, str] | None,
    conditions_now: list[Json],
    network: Network,
    named: bool,
    started: str,
) -> Json:
    """
    The whole status.

    :param why: reason and message of the pod.
    :param named: whether the pod's own address is shown already.
    :param started: ``startTime``.
    """
    old: Json = pod.get("status") or {}
    generation = pod["metadata"].get("generation", 1)
    status: Json = {
        "observedGeneration": generation,
        "phase": shown_phase,
        "conditions": merged(conditions_now, old.get("conditions") or (), generation),
    }
    if why is not None:
        status |= {"message": why[1], "reason": why[0]}
    status |= {"hostIP": network.host, "hostIPs": [{"ip": network.host}]}
    if named:
        status |= {"podIP": network.pod, "podIPs": [{"ip": network.pod}]}
    status["startTime"] = started
    inits = [container_status(one) for one in containers if one.kind != "main"]
    if inits:
        status["initContainerStatuses"] = inits
    mains = sorted((one for one in containers if one.kind == "main"), key=lambda one: one.name)
    status["containerStatuses"] = [container_status(one) for one in mains]
    status["qosClass"] = old.get("qosClass", "BestEffort")
    return status | resources_of(pod)


def resources_of(pod: Json) -> Json:
    """``allocatedResources`` and ``resources`` of the pod: sums of its containers'."""
    parts = [one.get("resources") or {} for one in pod["spec"]["containers"]]
    sums = {key: quantities.summed([one.get(key) or {} for one in parts]) for key in ("limits", "requests")}
    shown: Json = {"allocatedResources": sums["requests"]} if sums["requests"] else {}
    return {**shown, "resources": {key: value for key, value in sums.items() if value}}


def locate(containers: Sequence[Container]) -> bool:
    """
    Give up on containers of an ended pod that never ended themselves (traces g4, j3).

    Init containers after the last one that ever ran stay as they are, and so do the main ones if the pod never came to
    them (trace c2).

    :returns: whether there were any.
    """
    ended: Json = {
        "exitCode": 137,
        "reason": "ContainerStatusUnknown",
        "message": UNKNOWN,
        "startedAt": None,
        "finishedAt": None,
    }
    inits = [one for one in containers if one.kind != "main"]
    tried = max((number for number, one in enumerate(inits) if not one.waiting or one.last), default=0)
    lost = [one for one in inits[: tried + 1] if one.waiting]
    initialized = all(one.succeeded or (one.kind == "sidecar" and bool(one.id)) for one in inits)
    if initialized:
        lost += [one for one in containers if one.kind == "main" and one.waiting]
    for one in lost:
        one.waiting, one.terminated = None, dict(ended)
    return bool(lost)
