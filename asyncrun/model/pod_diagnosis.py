"""Why a pod ended as it did: what happened, why, the evidence, and who must do what."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from asyncrun.model import pod_end_words as words
from asyncrun.model import pod_waiting
from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RequestRefused,
    Unavailable,
)
from asyncrun.model.outcome import ContainerOutcome, Outcome, StopCause, Verdict, to_blame
from asyncrun.model.pod import Pod, PodEvent
from asyncrun.model.pod_containers import NEVER_RAN, UNKNOWN_END
from asyncrun.model.pod_evidence import evidence
from asyncrun.model.pod_outcome import DEADLINE
from asyncrun.model.pod_start import StartTrouble, is_over, node_trouble, start_trouble

_KILLED = 137  # 128 + SIGKILL
_DELETED = "it was deleted "  # so begins what ``decide`` says of most deletions


def diagnose(
    outcome: Outcome,
    pod: Pod | None,
    events: Sequence[PodEvent] | None,
    *,
    base: str,
    error: AsyncrunError | None = None,
    trouble: StartTrouble | None = None,
) -> Diagnosis:
    """
    Explain the end of a pod.

    :param outcome: as ``decide`` gave it, or ``gave_up``.
    :param pod: as it was seen last, None if it never was.
    :param events: of this pod, oldest first; None: they were not or may not be read, and the evidence says what they
        would have added.
    :param base: name of the container that decides.
    :param error: for which we gave up: says who must act.
    :param trouble: what was last seen to keep the pod from starting, for a pod that no longer shows it: one that was
        deleted meanwhile, or whose kubelet tells the reason only now and then.
    """
    if outcome.verdict is Verdict.SUCCEEDED:
        return Diagnosis(summary=f"container {base!r} exited with 0", cause=Cause.NONE)
    if pod is not None:
        trouble = _present(trouble, pod, events)
    made = _explained(outcome, pod, events, base, error, trouble)
    missed = words.missed(made.cause, outcome.verdict)
    return msgspec.structs.replace(made, evidence=evidence(outcome, pod, events, missed))


def _present(said: StartTrouble | None, pod: Pod, events: Sequence[PodEvent] | None) -> StartTrouble | None:
    """What keeps the pod from starting now; or did last, as far as that is not over."""
    now = start_trouble(pod, events)
    if now is not None:
        return now if now.is_news(said) else said
    return None if said is not None and is_over(said, pod, events) else said


def _explained(
    outcome: Outcome,
    pod: Pod | None,
    events: Sequence[PodEvent] | None,
    base: str,
    error: AsyncrunError | None,
    trouble: StartTrouble | None,
) -> Diagnosis:
    container = outcome.container(base)
    ran = container is not None and (container.exit_code is not None or container.started_at is not None)
    kept_back = None if ran else trouble
    match outcome.stop_cause, outcome.verdict:
        case StopCause.RESULT, _:
            made = _without_result(outcome, base)
        case StopCause.ACCESS, _:
            made = _unwatchable(outcome, pod, error)
        case _, Verdict.NEVER_STARTED:
            made = _never_started(outcome, pod, base, trouble)
        case StopCause.DEADLINE | StopCause.START, _:
            made = _deadline(outcome, pod, kept_back)
        case _, Verdict.EVICTED:
            made = words.evicted(outcome)
        case _, Verdict.STOPPED:
            made = _stopped(outcome, kept_back)
        case _, Verdict.LOST:
            made = _lost(outcome)
        case _:
            made = _failed(outcome, pod, events, base)
    return made


# -- what never ran ----------------------------------------------------------------------------------------------------


def _never_started(outcome: Outcome, pod: Pod | None, base: str, trouble: StartTrouble | None) -> Diagnosis:
    ours = f" ({outcome.our_reason})" if outcome.our_reason else ""
    container = outcome.container(base)
    if container is not None and container.reason in NEVER_RAN and pod is not None:
        found = pod_waiting.of_start(base, container.message, pod.metadata.namespace)
        return Diagnosis(summary=f"the pod never started: {found.what}", cause=found.cause, next_step=found.next_step)
    if trouble is not None:
        return Diagnosis(
            summary=f"the pod never started: {trouble.what}{ours}", cause=trouble.cause, next_step=trouble.next_step
        )
    if outcome.code:
        return words.not_admitted(outcome)
    if outcome.our_reason and pod is not None:
        creating = "its containers are still being created" if pod.spec.node_name else "no node was chosen for it yet"
        return Diagnosis(
            summary=f"the pod never started: {creating}, and Kubernetes gives no reason{ours}",
            cause=Cause.START,
            next_step=f"{_describe(pod)} shows what it waits for: often a slow pull of its image, or a volume. If it "
            "needs that long, the author of the DAG must raise `startup_timeout_seconds`.",
        )
    return Diagnosis(
        summary=f"the pod never started: {outcome.reason or outcome.our_reason or 'Kubernetes gives no reason'}",
        cause=Cause.START,
        next_step=f"{_describe(pod)} may say more, as long as the pod is there.",
    )


# -- what ran, and failed ----------------------------------------------------------------------------------------------


def _failed(outcome: Outcome, pod: Pod | None, events: Sequence[PodEvent] | None, base: str) -> Diagnosis:
    if outcome.code == DEADLINE:
        return _own_deadline(outcome, pod)
    blamed = to_blame(outcome)
    if blamed is None:
        return Diagnosis(
            summary=f"the pod failed: {outcome.reason or 'Kubernetes gives no reason'}",
            next_step=f"{_describe(pod)} may say more, as long as the pod is there.",
        )
    made = _ended_badly(blamed, pod, events)
    if blamed.name != base and pod is not None and blamed.name in pod.init_containers():
        summary = f"init {made.summary}, so container {base!r} never ran"
        return msgspec.structs.replace(made, summary=summary)
    return made


def _ended_badly(container: ContainerOutcome, pod: Pod | None, events: Sequence[PodEvent] | None) -> Diagnosis:
    who = f"container {container.name!r}"
    restarts = words.restarts(pod, container.name)
    if container.reason == "OOMKilled":
        return _out_of_memory(container, pod, restarts)
    if container.exit_code is None:
        return Diagnosis(
            summary=f"{who} ended without an exit code: {container.reason or 'Kubernetes gives no reason'}",
            next_step=f"{_describe(pod)} may say more, as long as the pod is there.",
        )
    if (probe := words.failed_probe(events, container.name)) is not None:
        return Diagnosis(
            summary=f"{who} was ended because {probe} (exit code {container.exit_code}){restarts}",
            cause=Cause.KILLED,
            next_step="The author of the DAG must give the probe more time or attempts, or find out from the last log "
            "lines why the program did not answer.",
        )
    if (name := container.signal) is not None:
        return Diagnosis(
            summary=f"{who} was killed by {name} (exit code {container.exit_code}){restarts}",
            cause=Cause.KILLED,
            next_step=words.of_signal(name),
        )
    return Diagnosis(
        summary=f"{who} exited with code {container.exit_code}{restarts}",
        cause=Cause.EXIT_CODE,
        next_step=words.of_exit_code(container.exit_code),
    )


def _out_of_memory(container: ContainerOutcome, pod: Pod | None, restarts: str) -> Diagnosis:
    limit = _memory_limit(pod, container.name)
    size = f" (limit {limit})" if limit else " (it has no limit of its own, so the pod or the node ran full)"
    how = "and was killed"
    if container.exit_code != _KILLED:
        how = f"and one of its processes was killed; it exited with code {container.exit_code}"
    return Diagnosis(
        summary=f"container {container.name!r} ran out of memory{size} {how}{restarts}",
        cause=Cause.OUT_OF_MEMORY,
        next_step="The author of the DAG must raise the container's memory limit in `container_resources`, or make the "
        "program use less.",
    )


def _own_deadline(outcome: Outcome, pod: Pod | None) -> Diagnosis:
    seconds = pod.spec.active_deadline_seconds if pod is not None else None
    limit = f" ({seconds} s)" if seconds else ""
    return Diagnosis(
        summary=f"the pod ran longer than its own active_deadline_seconds{limit} and was ended by Kubernetes"
        f"{words.answered(outcome)}",
        cause=Cause.DEADLINE,
        next_step="The author of the DAG must raise `active_deadline_seconds`, or find out from the log what took so "
        "long.",
    )


def _without_result(outcome: Outcome, base: str) -> Diagnosis:
    return Diagnosis(
        summary=f"container {base!r} exited with 0, but its result (XCom) cannot be used: {outcome.our_reason}",
        cause=Cause.RESULT,
        next_step="The program must write one JSON value to /airflow/xcom/return.json; if its result is not needed, "
        "the author of the DAG can set `do_xcom_push=False`. The work itself was done: a retry does it again.",
    )


# -- what was ended, or is out of sight --------------------------------------------------------------------------------


def _deadline(outcome: Outcome, pod: Pod | None, trouble: StartTrouble | None) -> Diagnosis:
    raise_it = "Raise that limit, or find out from the log what took so long."
    if trouble is not None:
        ended = f"; {outcome.not_ended}" if outcome.not_ended else ""
        what = f"{trouble.what}{ended}"
        return Diagnosis(
            summary=f"the pod took longer than allowed ({outcome.our_reason}) and had not started: {what}",
            cause=trouble.cause,
            next_step=trouble.next_step,
        )
    if outcome.not_ended:
        away = node_trouble(pod) if pod is not None else None
        node = f"; {away.what}" if away is not None else ""
        return Diagnosis(
            summary=f"the pod took longer than allowed ({outcome.our_reason}); {outcome.not_ended}{node}",
            cause=Cause.DEADLINE,
            next_step=f"Delete the pod by hand if it still runs{_command(pod)}. {raise_it}",
        )
    return Diagnosis(
        summary=f"the pod was stopped because it took longer than allowed: {outcome.our_reason}",
        cause=Cause.DEADLINE,
        next_step=raise_it,
    )


# The first class that fits, so the narrow ones come first.
_MENDING: tuple[tuple[type[AsyncrunError], str], ...] = (
    (CredentialsExpired, "Whoever manages the connection must give it usable credentials"),
    (AccessDenied, "Whoever manages the cluster's permissions must restore access (get, list and watch pods)"),
    (NotFound, "Find out whether the namespace was deleted, or the connection now leads to another cluster"),
    (MalformedAnswer, "Find out what changes Kubernetes's answers on their way (a proxy?), or report this as a defect"),
    (RequestRefused, "Mend what this call was refused for"),
    (Unavailable, "Find out why the cluster's API server cannot be reached from the triggerer"),
)


def _unwatchable(outcome: Outcome, pod: Pod | None, error: AsyncrunError | None) -> Diagnosis:
    mending = next((text for kind, text in _MENDING if isinstance(error, kind)), "Restore access")
    return Diagnosis(
        summary=f"the pod can no longer be watched, and may still be running: {outcome.our_reason}",
        cause=Cause.ACCESS,
        next_step=f"{mending}; then delete the pod by hand{_command(pod)}, or clear the Airflow task.",
    )


def _stopped(outcome: Outcome, trouble: StartTrouble | None) -> Diagnosis:
    chosen = outcome.container(outcome.decided_by)
    how = f": {outcome.our_reason}" if outcome.our_reason else ""
    if outcome.our_reason.startswith(_DELETED):
        how = f" {outcome.our_reason.removeprefix(_DELETED)}"
    elif not how and chosen is not None and chosen.exit_code is not None:
        signal = f" ({chosen.signal})" if chosen.signal else ""
        how = f", and container {chosen.name!r} ended with code {chosen.exit_code}{signal}"
    before = f"; what had kept it from starting: {trouble.what}" if trouble is not None else ""
    return Diagnosis(
        summary=f"the pod was deleted by somebody{how}{before}",
        cause=Cause.USER,
        next_step="If this was not intended, the API server's audit log says by whom: a person with kubectl, a job "
        "that cleans up, or a controller.",
    )


def _lost(outcome: Outcome) -> Diagnosis:
    why = outcome.our_reason or outcome.reason or "Kubernetes gives no reason"
    next_step = (
        "Its log, as far as it was read, may tell. Look for what deletes pods in that namespace, and at its nodes."
    )
    if any(one.reason == UNKNOWN_END for one in outcome.containers):
        next_step = (
            "Its node was probably restarted, or its container runtime reset: whoever runs the cluster can tell. "
            "A retry starts anew."
        )
    return Diagnosis(summary=f"how the pod ended cannot be known: {why}", cause=Cause.LOST, next_step=next_step)


def _memory_limit(pod: Pod | None, name: str) -> str:
    spec = pod.spec_of(name) if pod is not None else None
    limit = (spec.resources.limits or {}).get("memory") if spec is not None and spec.resources is not None else None
    return str(limit) if limit is not None else ""


def _describe(pod: Pod | None) -> str:
    if pod is None:
        return "kubectl describe"
    return f"kubectl -n {pod.metadata.namespace} describe pod {pod.metadata.name}"


def _command(pod: Pod | None) -> str:
    return "" if pod is None else f" (kubectl -n {pod.metadata.namespace} delete pod {pod.metadata.name})"
