"""How far a pod's start has come, and what keeps it: pure functions of the pod and its events."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from asyncrun.model import pod_waiting
from asyncrun.model.diagnosis import Cause
from asyncrun.model.pod import ContainerStatus, Pod, PodEvent
from asyncrun.model.pod_waiting import Finding

_SCHEDULING = "scheduling"
"""The topic of everything that keeps a node from being found."""
_HEALTHY = frozenset({"", "ContainerCreating", "PodInitializing"})
_MOUNTS = frozenset({"FailedMount", "FailedAttachVolume", "FailedMapVolume"})
_SANDBOX = "FailedCreatePodSandBox"
# The kubelet mounts all volumes, then makes the sandbox with its network, and only then does this.
_PAST_THAT = frozenset({"Pulling", "Pulled", "Created", "Started"})


class StartTrouble(msgspec.Struct, frozen=True, kw_only=True):
    """
    What keeps a pod from starting, as far as Kubernetes says.

    :param code: Kubernetes's: ``Unschedulable``, ``ErrImagePull``, ``FailedMount``, ...
    :param what: one clause, lower case: the middle of a sentence.
    :param permanent: waiting will not mend it: the run may be given up at once.
    :param is_problem: False: nothing is wrong so far, it only takes its time.
    :param cause: for the diagnosis; ``next_step``: likewise.
    :param topic: what it is about. ``ErrImagePull`` and ``ImagePullBackOff`` come in turns and are one.
    :param told: why, in Kubernetes's own words; empty where it gives none.
    """

    code: str
    what: str
    topic: str
    permanent: bool = False
    is_problem: bool = True
    cause: Cause = Cause.START
    next_step: str = ""
    told: str = ""

    @property
    def sentence(self) -> str:
        """One line for the task log."""
        return f"{self.what[0].upper()}{self.what[1:]}"

    def is_news(self, said: StartTrouble | None) -> bool:
        """
        Whether it is to be said, after ``said`` was.

        The same once more is not, nor one that only tells less: older kubelets drop the reason between two attempts.
        """
        if said is None or self.topic != said.topic:
            return True
        return self.what != said.what and bool(self.told)


def is_scheduled(pod: Pod) -> bool:
    """
    Whether a node was found.

    Upstream's ``schedule_timeout`` runs until the condition ``PodScheduled`` is true, and ``startup_timeout`` from
    there (``await_pod_start`` of its ``pod_manager``).
    """
    found = pod.condition("PodScheduled")
    return bool(pod.spec.node_name) or (found is not None and found.status == "True")


def has_started(pod: Pod, base: str) -> bool:
    """
    Whether ``startup_timeout`` is over.

    Upstream's ends when the phase is neither ``Pending`` nor ``Unknown``. The phase stays ``Pending`` while init
    containers run (trace ``c_init_two_containers``), so their time counts. A base container that runs or has run has
    started whatever the phase.
    """
    status = pod.status_of(base)
    if status is not None and (status.state.running or status.state.terminated or status.last_state.terminated):
        return True
    return pod.status.phase not in ("", "Pending", "Unknown")


def start_trouble(pod: Pod, events: Sequence[PodEvent] | None = None) -> StartTrouble | None:
    """
    What keeps the pod from starting now; None: nothing that Kubernetes tells, or the pod is over.

    Also of a pod that has started and whose container crashes again and again. What volumes and the node's network
    keep back is told by events only (``o-vol`` of trace ``o_start_errors``).

    :param events: of this pod, oldest first; None: they were not or cannot be read.
    """
    if pod.is_final:
        return None
    if not is_scheduled(pod) and not pod.statuses():
        return _unscheduled(pod, events or ())
    for status in pod.statuses():
        trouble = _of_container(pod, status, events or ())
        if trouble is not None:
            return trouble
    if pod.status.phase not in ("", "Pending", "Unknown"):
        return None
    return _of_node(pod, events or ()) or _initializing(pod) or _pulling(events or ())


def is_over(trouble: StartTrouble, pod: Pod, events: Sequence[PodEvent] | None) -> bool:
    """Whether what kept the pod from starting is proven to be past, where nothing else is known to keep it now."""
    if trouble.topic == _SCHEDULING:
        return is_scheduled(pod)
    return trouble.code in _MOUNTS | {_SANDBOX} and _latest(events or (), _PAST_THAT) is not None


def node_trouble(pod: Pod) -> StartTrouble | None:
    """
    That nobody knows whether a pod that is shown as running does run: its node has stopped answering.

    The node controller then makes the pod's ``Ready`` false without a reason, about 45 s later, and leaves everything
    else as it was (traces ``t_node_lost``, ``t2_node_lost_evicted``). The node may come back, and the pod with it.
    """
    ready, containers = pod.condition("Ready"), pod.condition("ContainersReady")
    if pod.is_final or ready is None or ready.status != "False" or ready.reason or ready.message:
        return None
    if containers is None or containers.status != "True":
        return None
    node = f"node {pod.spec.node_name!r}" if pod.spec.node_name else "its node"
    gone = pod.metadata.deletion_timestamp is not None
    then = "Kubernetes waits for the node, and may evict the pod after its tolerations (usually 300 s)"
    if gone:
        then = "Kubernetes has marked the pod for deletion, which only that node can carry out"
    return StartTrouble(
        code="NodeNotReady",
        what=f"{node} does not answer, so nobody knows whether the pod still runs: {then}",
        topic=f"node gone={gone}",
        cause=Cause.HOST,
        next_step="Whoever runs the cluster must look at that node: bring it back, or delete the node object, so that "
        "its pods end.",
        told="NodeNotReady",
    )


def _unscheduled(pod: Pod, events: Sequence[PodEvent]) -> StartTrouble | None:
    condition = pod.condition("PodScheduled")
    latest = _latest(events, frozenset({"FailedScheduling"}))
    if condition is None and latest is None:
        return None
    code = (condition.reason if condition else None) or (latest.reason if latest else "") or "Unschedulable"
    message = (condition.message if condition else None) or (latest.message if latest else "")
    if code == "SchedulingGated":
        return StartTrouble(
            code=code,
            what=f"the pod is held back by scheduling gates: {message}".removesuffix(": "),
            topic=_SCHEDULING,
            cause=Cause.CAPACITY,
            next_step="Whatever set the gates (often a queue, e.g. Kueue) must remove them.",
            told=message,
        )
    found = pod_waiting.of_scheduling(message)
    return _made(code, _SCHEDULING, _with_autoscaler(found, events), message)


def _with_autoscaler(found: Finding, events: Sequence[PodEvent]) -> Finding:
    """What the cluster autoscaler said last, if it said something."""
    said = _latest(events, frozenset({"TriggeredScaleUp", "NotTriggerScaleUp"}))
    if said is None:
        return found
    words = "is adding nodes" if said.reason == "TriggeredScaleUp" else "will not add nodes"
    return msgspec.structs.replace(found, what=f"{found.what} (the cluster autoscaler {words}: {said.message})")


def _of_container(pod: Pod, status: ContainerStatus, events: Sequence[PodEvent]) -> StartTrouble | None:
    waiting = status.state.waiting
    if waiting is None or waiting.reason in _HEALTHY:
        return None
    name, reason, message = status.name, waiting.reason, waiting.message
    if reason in pod_waiting.IMAGE_REASONS:
        detail = pod_waiting.innermost(message) or _pull_error(events)
        found = pod_waiting.of_image(name, _image(pod, status), reason, detail)
        return _made(reason, f"image of {name}", found, detail)
    if reason == "CrashLoopBackOff":
        return _crashing(status)
    found = pod_waiting.of_start(name, message, pod.metadata.namespace)
    return _made(reason, f"{reason} of {name}", found, message)


def _crashing(status: ContainerStatus) -> StartTrouble:
    end = status.last_state.terminated
    how = f"it ended with code {end.exit_code} ({end.reason or 'no reason given'})" if end else "it ended"
    times = "once" if status.restart_count == 1 else f"{status.restart_count} times"
    return StartTrouble(
        code="CrashLoopBackOff",
        what=f"container {status.name!r} keeps ending: {how}, was restarted {times}, and waits to be restarted again",
        topic=f"crash of {status.name}",
        cause=Cause.EXIT_CODE,
        next_step="The program said that it failed: its last log lines hold the reason. To have the first failure end "
        "the run, the author of the DAG must not set restartPolicy to Always or OnFailure.",
        told=f"restarts={status.restart_count}",
    )


def _of_node(pod: Pod, events: Sequence[PodEvent]) -> StartTrouble | None:
    """What failed last, unless it has succeeded since: the events of what is over stay for an hour."""
    failed, past = _latest(events, _MOUNTS | {_SANDBOX}), _latest(events, _PAST_THAT)
    if failed is None or (past is not None and _at(past) >= _at(failed)):
        return None
    if failed.reason == _SANDBOX:
        return _made(failed.reason, "sandbox", pod_waiting.of_sandbox(failed.message), failed.message)
    named = f"mount {failed.message}" if "for volume" in failed.message else "mount"
    return _made(failed.reason, named, pod_waiting.of_mount(failed.message, pod.metadata.namespace), failed.message)


def _initializing(pod: Pod) -> StartTrouble | None:
    for name in pod.init_containers():
        status = pod.status_of(name)
        if status is not None and status.state.running is not None:
            return StartTrouble(
                code="PodInitializing",
                what=f"init container {name!r} is still running",
                topic=f"init {name}",
                is_problem=False,
                next_step=f"Its log says what it waits for. If it needs that long, the author of the DAG must raise "
                f"`startup_timeout_seconds`: the time of init container {name!r} counts.",
                told="PodInitializing",
            )
    return None


def _pulling(events: Sequence[PodEvent]) -> StartTrouble | None:
    latest = _latest(events, frozenset({"Pulling", "Pulled", "Failed", "Created"}))
    if latest is None or latest.reason != "Pulling":
        return None
    what = latest.message.removeprefix("Pulling ")
    return StartTrouble(
        code="Pulling",
        what=f"{what} is still being pulled",
        topic=f"pulling {latest.message}",
        is_problem=False,
        cause=Cause.IMAGE,
        next_step="The author of the DAG must raise `startup_timeout_seconds` (the first pull of a large image on a "
        "node takes minutes), or use a smaller image.",
        told=latest.message,
    )


def _pull_error(events: Sequence[PodEvent]) -> str:
    """Why the last pull failed, of a kubelet that does not say it in the container's state."""
    failed = [one for one in events if one.reason == "Failed" and one.message.startswith("Failed to pull image")]
    return pod_waiting.innermost(failed[-1].message.partition(": ")[2]) if failed else ""


def _image(pod: Pod, status: ContainerStatus) -> str:
    spec = pod.spec_of(status.name)
    return (spec.image if spec is not None else "") or status.image


def _latest(events: Sequence[PodEvent], reasons: frozenset[str]) -> PodEvent | None:
    fitting = [one for one in events if one.reason in reasons]
    return max(reversed(fitting), key=_at, default=None)


def _at(event: PodEvent) -> float:
    return event.last_at or event.first_at or 0.0


def _made(code: str, topic: str, found: Finding, told: str) -> StartTrouble:
    return StartTrouble(
        code=code,
        what=found.what,
        topic=topic,
        permanent=found.permanent,
        cause=found.cause,
        next_step=found.next_step,
        told=told,
    )
