"""
When a pod's outcome is known, and what it is: pure functions of the pod as the API shows it.

The base container decides. A pod object forgets: once the kubelet has given a stopped pod back, its
``deletionTimestamp`` is that of the kubelet's own last call, and an eviction that the program answered by exit code 0
looks like a success (traces ``g_delete_graceful`` and ``p_evicted_by_kubelet``). What earlier updates proved is
therefore kept by the caller, as one bool: see ``ended_apart``.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from asyncrun.model.outcome import Decision, Outcome, StopCause, Verdict
from asyncrun.model.pod import BASE_HAS_ENDED, Condition, Pod, PodEvent, Terminated
from asyncrun.model.pod_containers import NEVER_RAN, NO_CODE, UNKNOWN_END, containers_of

__all__ = ["Decision", "decide", "disruption", "ended_apart", "gave_up", "needs_events"]

DEADLINE = "DeadlineExceeded"
# status.reason of a failed pod, by who ended it. The kubelet writes them; what it refuses to admit never ran.
EVICTIONS = frozenset({"Evicted", "Preempting", "Preempted", "NodeLost", "NodeShutdown", "Shutdown", "Terminated"})
_EVICTION_EVENTS = frozenset({"Evicted", "Preempting", "Preempted"})
_SIGNALS = frozenset({137, 143})


def decide(
    pod: Pod,
    base: str,
    *,
    deleted: bool = False,
    end_seen_apart: bool = False,
    stopping: bool = False,
    events: Sequence[PodEvent] | None = None,
) -> Decision | None:
    """
    What became of a pod, or None while that is open.

    It has ended once the base container has, and cannot be restarted: native sidecars and other containers may go on.
    It has also ended when an init container failed for good, or the pod did, or is gone.

    :param pod: as it was seen last.
    :param base: name of the container that decides.
    :param deleted: the object is gone: a watch or a GET said so. How it ended may then never be known.
    :param end_seen_apart: ``ended_apart`` was true for this or an earlier update: what happened to the pod after that
        changes nothing.
    :param stopping: we have asked for its deletion: one that vanishes unseen was stopped, not lost.
    :param events: of this pod, None if they were not or cannot be read. Only ``needs_events`` makes them decide.
    :return: the outcome; incomplete where the next updates may still tell why the container was killed.
    """
    ended = _end_of(pod, base, deleted=deleted)
    if ended is None:
        if not pod.is_final and not deleted:
            return None
        verdict, words = _without_end(pod, base, deleted=deleted, stopping=stopping)
        return Decision(outcome=_outcome(pod, base, verdict, words), complete=True)
    decider, end = ended
    apart = end_seen_apart or ended_apart(pod, base)
    if apart:
        verdict, words = _by_code(end)
    else:
        verdict, words = _by_platform(pod, decider, end, events)
    outcome = _outcome(pod, base, verdict, words, decider=decider, events=events)
    if apart:  # what befell the pod later is no reason for it
        outcome = msgspec.structs.replace(outcome, code="", reason="")
    # What the program itself said stands. Who killed it, if anybody did, comes with the final phase 1-2 s later.
    said_by_itself = apart and (end.exit_code not in _SIGNALS or end.reason != "Error")
    return Decision(outcome=outcome, complete=pod.is_final or deleted or said_by_itself)


def ended_apart(pod: Pod, base: str) -> bool:
    """
    Whether this update shows that the deciding container ended by itself.

    An ordinary end shows the container ``terminated`` while the phase still is Running; the final phase follows 1-2 s
    later. Deletion, eviction and the pod's deadline show both in one update. Callers keep the result over all updates
    of a pod (``seen = seen or ended_apart(pod, base)``) and give it to ``decide``.
    """
    if BASE_HAS_ENDED in (pod.metadata.annotations or {}):
        return _end_of(pod, base, deleted=False) is not None
    undisturbed = pod.metadata.deletion_timestamp is None and disruption(pod) is None and not pod.status.reason
    return not pod.is_final and undisturbed and _end_of(pod, base, deleted=False) is not None


def needs_events(pod: Pod, base: str, *, end_seen_apart: bool = False, stopping: bool = False) -> bool:
    """
    Whether only the pod's events tell how it ended: worth one GET, before its outcome is believed.

    An eviction that the program answered by 0 is ``Succeeded`` without any reason, told only by an ``Evicted`` event
    (trace ``p_evicted_by_kubelet``). And when a deleted pod was last seen after the kubelet gave it back, only a
    ``Killing`` event tells whether its container had ended before (``g_delete_graceful``, ``g5_delete_finished``).
    """
    if end_seen_apart or not pod.is_final or pod.status.reason or disruption(pod) is not None:
        return False
    ended = _end_of(pod, base, deleted=True)
    if ended is None or ended[1].reason in NO_CODE:
        return False
    if pod.metadata.deletion_timestamp is not None:
        return not stopping and not pod.metadata.deletion_grace_period_seconds
    return ended[1].exit_code == 0


def gave_up(
    verdict: Verdict,
    our_reason: str,
    cause: StopCause | None = None,
    *,
    base: str,
    not_ended: str = "",
    pod: Pod | None = None,
) -> Outcome:
    """
    The outcome of a run whose end we did not see: stopped at a deadline, hopeless, out of our sight, or lost.

    :param our_reason: why, in our words.
    :param cause: None: the platform's facts decide, or it is lost.
    :param base: name of the container that decides.
    :param not_ended: see ``Outcome``.
    :param pod: as it was seen last, None if it never was.
    """
    made = Outcome(verdict=verdict) if pod is None else _outcome(pod, base, verdict, "")
    return msgspec.structs.replace(made, stop_cause=cause, our_reason=our_reason, not_ended=not_ended)


def disruption(pod: Pod) -> Condition | None:
    """The condition by which Kubernetes says that it ends the pod for reasons of its own; None if it does not."""
    found = pod.condition("DisruptionTarget")
    return found if found is not None and found.status == "True" else None


def _end_of(pod: Pod, base: str, *, deleted: bool) -> tuple[str, Terminated] | None:
    """The container whose end ends the run, and that end; None while there is none."""
    over = deleted or pod.is_final or pod.metadata.deletion_timestamp is not None
    status = pod.status_of(base)
    if status is not None and (end := status.state.terminated) is not None:
        return (base, end) if over or not _restarts(pod, base, end) else None
    if status is not None and (status.state.running or status.last_state.terminated):
        # Between two instances: if nothing will run again, the last one was its end.
        last = status.last_state.terminated
        return (base, last) if (pod.is_final or deleted) and last and not status.state.running else None
    for name in pod.init_containers():
        init = pod.status_of(name)
        failed = init.state.terminated if init is not None else None
        if failed is None or not failed.exit_code or failed.reason == UNKNOWN_END:
            continue
        if pod.is_final or deleted or not _restarts(pod, name, failed):
            return name, failed
    return None


def _restarts(pod: Pod, name: str, end: Terminated) -> bool:
    spec = pod.spec_of(name)
    if spec is not None and any(rule.restarts(end.exit_code) for rule in spec.restart_policy_rules or ()):
        return True
    policy = (spec.restart_policy if spec is not None else None) or pod.spec.restart_policy
    if policy == "Never":
        return False
    # An init container is done once it succeeded, whatever the policy.
    return end.exit_code != 0 or (policy != "OnFailure" and name not in pod.init_containers())


def _by_code(end: Terminated) -> tuple[Verdict, str]:
    if end.reason in NEVER_RAN:
        return Verdict.NEVER_STARTED, ""
    if end.reason == UNKNOWN_END:
        return Verdict.LOST, "the node no longer knew the container, so how its process ended is not known"
    return (Verdict.SUCCEEDED if end.exit_code == 0 else Verdict.FAILED), ""


def _by_platform(pod: Pod, decider: str, end: Terminated, events: Sequence[PodEvent] | None) -> tuple[Verdict, str]:
    """Of a container whose end came together with the pod's: its exit code may be an answer to a signal."""
    if pod.status.reason == DEADLINE:
        # The program may answer the kubelet's signal by 0 (trace h_active_deadline).
        return Verdict.FAILED, ""
    if end.reason in NEVER_RAN or _ended_before_deletion(pod, end):
        return _by_code(end)
    if pod.status.reason in EVICTIONS or disruption(pod) is not None:
        return Verdict.EVICTED, ""
    if pod.metadata.deletion_timestamp is not None and not _was_left_alone(pod, decider, events):
        return Verdict.STOPPED, _deleted_before(pod, decider) if end.reason == UNKNOWN_END else ""
    return (Verdict.EVICTED, "") if _eviction(events) is not None else _by_code(end)


def _without_end(pod: Pod, base: str, *, deleted: bool, stopping: bool) -> tuple[Verdict, str]:
    """Of a pod that is over, or gone, while the deciding container shows no end."""
    status = pod.status_of(base)
    ran = status is not None and (status.state.running is not None or status.last_state.terminated is not None)
    if pod.status.reason in EVICTIONS or disruption(pod) is not None:
        return Verdict.EVICTED, ""
    if pod.metadata.deletion_timestamp is not None or (deleted and stopping):
        return Verdict.STOPPED, _deleted_before(pod, base)
    if pod.status.phase == "Failed" and ran and pod.status.reason == DEADLINE:
        return Verdict.FAILED, ""
    if pod.status.phase == "Failed" and not ran:
        return Verdict.NEVER_STARTED, ""
    if pod.is_final:
        return Verdict.LOST, f"its phase is {pod.status.phase}, but it shows no end of container {base!r}"
    return Verdict.LOST, "the pod no longer exists, and nobody was seen to delete it"


def _deleted_before(pod: Pod, name: str) -> str:
    """What a deletion came before: of a container whose end the pod does not show."""
    status = pod.status_of(name)
    if status is not None and status.state.running is not None:
        return "it was deleted while its container was shown as running, so how its process ended is not known"
    end = None if status is None else status.state.terminated
    had_run = status is not None and status.last_state.terminated is not None
    if had_run or (end is not None and "used to be Running" in end.message):
        return "the node no longer knew its container, so how its process ended is not known"
    return "it was deleted before its container ran"


def _ended_before_deletion(pod: Pod, end: Terminated) -> bool:
    """
    Whether it is proven that the container had ended before somebody asked for the pod's deletion.

    ``deletionTimestamp`` is the time of the request plus the grace. A grace of 0 proves nothing: so ends the deletion
    of every pod, by the kubelet.
    """
    asked, grace = pod.metadata.deletion_timestamp, pod.metadata.deletion_grace_period_seconds
    if asked is None or not grace or end.finished_at is None:
        return False
    return end.finished_at.timestamp() < asked.timestamp() - grace


def _was_left_alone(pod: Pod, name: str, events: Sequence[PodEvent] | None) -> bool:
    """
    Whether the events prove that the kubelet did not end the container, so that its end came before the deletion.

    Events that were read while the pod was starting prove nothing: all of its containers must be told as started.
    """
    if not events or pod.metadata.deletion_grace_period_seconds:
        return False
    started = sum(one.count for one in events if one.reason == "Started")
    ran = sum(1 for one in pod.statuses() if one.state.terminated or one.state.running)
    return started >= ran and not any(
        one.reason == "Killing" and one.message.endswith(f"container {name}") for one in events
    )


def _eviction(events: Sequence[PodEvent] | None) -> PodEvent | None:
    return next((one for one in events or () if one.reason in _EVICTION_EVENTS), None)


def _outcome(
    pod: Pod,
    base: str,
    verdict: Verdict,
    words: str,
    *,
    decider: str | None = None,
    events: Sequence[PodEvent] | None = None,
) -> Outcome:
    containers = containers_of(pod, base)
    decided_by = decider or base
    chosen = next((one for one in containers if one.name == decided_by), None)
    code, reason = pod.status.reason or "", pod.status.message or ""
    disrupted, evicted = disruption(pod), _eviction(events)
    if not code and verdict is Verdict.EVICTED and disrupted is not None:
        code, reason = disrupted.reason or "", disrupted.message or ""
    if not code and verdict is Verdict.EVICTED and evicted is not None:
        code, reason = evicted.reason, evicted.message
    return Outcome(
        verdict=verdict,
        containers=containers,
        decided_by=decided_by,
        exit_code=chosen.exit_code if chosen else None,
        code=code,
        reason=reason.strip(),
        started_at=next((one.started_at for one in containers if one.name == base), None),
        finished_at=chosen.finished_at if chosen else None,
        our_reason=words,
    )
