"""What the kubelet's and the scheduler's reasons for ending a pod mean, in words for people."""

from __future__ import annotations

import re
from collections.abc import Sequence

import msgspec

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.outcome import Outcome, Verdict
from asyncrun.model.pod import Pod, PodEvent


class _End(msgspec.Struct, frozen=True):
    pattern: re.Pattern[str]
    cause: Cause
    what: str
    next_step: str
    quotes: bool


def _end(pattern: str, cause: Cause, what: str, next_step: str, *, quotes: bool = False) -> _End:
    return _End(re.compile(pattern, re.IGNORECASE), cause, what, next_step, quotes)


# Matched against "code: reason" of the outcome. The first match wins.
_EVICTIONS = (
    _end(
        r"EmptyDir volume \"(?P<name>[^\"]+)\" exceeds the limit \"(?P<limit>[^\"]+)\"",
        Cause.EVICTED, "the pod was evicted because it wrote more into its emptyDir volume {name!r} than the limit of "
        "{limit}",
        "The author of the DAG must raise the volume's size limit, or make the program write less there.",
    ),
    _end(
        r"low on resource: (?P<what>[\w-]+)",
        Cause.EVICTED, "the pod was evicted because its node ran short of {what}",
        "Retry. The author of the DAG should request what the program really uses, so that the scheduler finds a node "
        "with room; pods that use more than they request are evicted first.",
        quotes=True,
    ),
    _end(
        r"had condition: \[(?P<what>[^\]]+)",
        Cause.EVICTED, "the pod was turned away by its node, which was under pressure ({what})",
        "Retry: the scheduler avoids such a node as soon as it knows of it. If it happens often, whoever runs the "
        "cluster must look at that node.",
        quotes=True,
    ),
    _end(
        r"ephemeral(?:-| local)? ?storage",
        Cause.EVICTED, "the pod was evicted because it used more of the node's disk than it may",
        "The author of the DAG must raise the limit of ephemeral-storage in `container_resources`, or make the program "
        "write less; logs count, too.",
        quotes=True,
    ),
    _end(
        r"PreemptionByScheduler|Preempt",
        Cause.PREEMPTED, "the pod had to make room for one of a higher priority",
        "Retry, or give the pod a higher `priority_class_name`.",
    ),
    _end(
        r"EvictionByEvictionAPI",
        Cause.HOST, "the pod was evicted on request (a node that is being drained, an autoscaler that removes one, or "
        "somebody)",
        "Retry. What must not be interrupted can carry the annotation cluster-autoscaler.kubernetes.io/safe-to-evict: "
        "\"false\", or be covered by a PodDisruptionBudget.",
    ),
    _end(
        r"DeletionByTaintManager|NodeLost",
        Cause.HOST, "the pod was ended because its node stopped answering, or was tainted to be emptied",
        "Retry. If it happens often, whoever runs the cluster must look at that node.",
    ),
    _end(
        r"DeletionByPodGC",
        Cause.HOST, "the pod was removed because its node no longer exists",
        "Retry. If it happens often, look at what removes nodes: an autoscaler, or spot capacity that is taken back.",
    ),
    _end(
        r"NodeShutdown|Shutdown|imminent node shutdown|^Terminated",
        Cause.HOST, "the pod was ended because its node was shut down",
        "Retry. If it happens often, look at what stops nodes: an autoscaler, or spot capacity that is taken back.",
    ),
)  # fmt: skip
_ANY_EVICTION = _end(
    "", Cause.EVICTED, "the pod was evicted by Kubernetes",
    "Retry; if it happens often, whoever runs the cluster must look at the node.", quotes=True,
)  # fmt: skip


def evicted(outcome: Outcome) -> Diagnosis:
    """Of a pod that the platform ended for reasons of its own."""
    text = f"{outcome.code}: {outcome.reason}"
    known = next((one for one in _EVICTIONS if one.pattern.search(text)), _ANY_EVICTION)
    match = known.pattern.search(text)
    what = known.what.format(**(match.groupdict() if match else {}))
    said = f": {outcome.reason}" if outcome.reason and known.quotes else ""
    return Diagnosis(summary=f"{what}{said}{answered(outcome)}", cause=known.cause, next_step=known.next_step)


def answered(outcome: Outcome) -> str:
    """That its exit code is an answer to being ended, as the end of a sentence; empty where nobody would mistake it."""
    return "; its container ended with 0 when it was told to, which is no success" if outcome.exit_code == 0 else ""


_REFUSALS = (
    _end(
        r"^OutOf(?P<what>\S+)",
        Cause.CAPACITY, "its node had no {what} left when the pod arrived there",
        "Retry: another pod was faster. If it happens often, the cluster is full: whoever runs it must add nodes.",
    ),
    _end(
        r"^NodeAffinity|^TaintToleration|^NodeName|^NodePorts",
        Cause.HOST, "its node no longer takes it: the node's labels, taints or ports have changed",
        "Retry.",
    ),
    _end(
        r"^DeadlineExceeded",
        Cause.DEADLINE, "its own active_deadline_seconds passed before its container ran",
        "The author of the DAG must raise `active_deadline_seconds`, or find out what delayed the start.",
    ),
    _end(
        r"^UnexpectedAdmissionError|^AppArmor|^Sysctl",
        Cause.HOST, "its node did not accept it",
        "Retry; if it happens again, whoever runs the cluster must look at that node (a device plug-in, often).",
    ),
)  # fmt: skip


def not_admitted(outcome: Outcome) -> Diagnosis:
    """Of a pod that its node refused before any container ran."""
    known = next((one for one in _REFUSALS if one.pattern.search(outcome.code)), None)
    said = f": {outcome.reason}" if outcome.reason else ""
    if known is None:
        return Diagnosis(
            summary=f"the pod never started: {outcome.code}{said}",
            cause=Cause.START,
            next_step="Retry; if it happens again, whoever runs the cluster must look at the pod's node.",
        )
    match = known.pattern.search(outcome.code)
    what = known.what.format(**(match.groupdict() if match else {}))
    return Diagnosis(summary=f"the pod never started: {what}{said}", cause=known.cause, next_step=known.next_step)


_SIGNALS = {
    "SIGKILL": "Without an out-of-memory reason SIGKILL often is memory all the same (the node's, or a child's), or "
    "the program did not end within its termination grace period.",
    "SIGTERM": "Find out what told it to end; the last log lines and the pod's events may say.",
    "SIGSEGV": "The program crashed: a defect in it or in a native library, or a wrong processor architecture.",
    "SIGBUS": "The program crashed; shared memory (/dev/shm) that is too small is a usual reason.",
    "SIGABRT": "The program gave up by itself; its last log lines hold the reason.",
    "SIGILL": "The program uses instructions that the node's processor does not have.",
}


def of_signal(name: str) -> str:
    """What to do about a container that a signal ended."""
    return _SIGNALS.get(name, "Find out what sent the signal; the last log lines may say.")


def of_exit_code(code: int) -> str:
    """What to do about a container that exited with a code of its own."""
    if code == 127:
        return "127 usually is a shell that did not find a command: check `cmds` and `arguments` against the image."
    if code == 126:
        return "126 usually is a shell that could not execute a command: check that it is executable in the image."
    return "The program said that it failed: its last log lines hold the reason."


def restarts(pod: Pod | None, name: str) -> str:
    """How often it had been restarted, as the end of a sentence; empty if never."""
    status = pod.status_of(name) if pod is not None else None
    count = status.restart_count if status is not None else 0
    if not count:
        return ""
    return ", after one restart" if count == 1 else f", after {count} restarts"


def failed_probe(events: Sequence[PodEvent] | None, name: str) -> str | None:
    """That the kubelet ended the container because of a probe: as the middle of a sentence; None if it did not."""
    for one in events or ():
        found = re.search(r"Container (\S+) failed (liveness|startup) probe", one.message)
        if one.reason == "Killing" and found is not None and found[1] == name:
            return f"its {found[2]} probe failed"
    return None


_MISSED = {
    Cause.CAPACITY: "whether an autoscaler adds nodes, and why not",
    Cause.IMAGE: "each attempt to pull the image and what the registry answered",
    Cause.START: "volumes that cannot be mounted, networks that cannot be set up, and slow pulls",
    Cause.KILLED: "whether the kubelet ended the container, and why (a probe, an eviction)",
    Cause.USER: "whether the kubelet ended the container, or it had ended before",
}


def missed(cause: Cause, verdict: Verdict) -> str:
    """What the events would have shown of such an end, as the end of a sentence."""
    if verdict is Verdict.EVICTED:
        return "the kubelet's reason for the eviction"
    return _MISSED.get(cause, "what the scheduler and the kubelet said of it")
