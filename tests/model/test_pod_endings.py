"""What is said of ends that were not recorded: other codes and reasons, our own deadlines, lost sight."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    CredentialsExpired,
    NotFound,
    Unavailable,
)
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.pod import Pod, PodEvent, read_pod
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import decide, gave_up
from tests.support.pod_histories import alive, decided, ended, ending, updates


@pytest.mark.parametrize(
    ("exit_code", "summary", "cause", "next_step"),
    [
        (1, "container 'main' exited with code 1", Cause.EXIT_CODE, "The program said that it failed"),
        (127, "container 'main' exited with code 127", Cause.EXIT_CODE, "127 usually is a shell that did not find"),
        (
            126,
            "container 'main' exited with code 126",
            Cause.EXIT_CODE,
            "126 usually is a shell that could not execute",
        ),
        (
            137,
            "container 'main' was killed by SIGKILL (exit code 137)",
            Cause.KILLED,
            "Without an out-of-memory reason",
        ),
        (139, "container 'main' was killed by SIGSEGV (exit code 139)", Cause.KILLED, "The program crashed"),
        (143, "container 'main' was killed by SIGTERM (exit code 143)", Cause.KILLED, "Find out what told it to end"),
        (255, "container 'main' exited with code 255", Cause.EXIT_CODE, "The program said that it failed"),
    ],
)
def test_exit_codes_and_signals(exit_code: int, summary: str, cause: Cause, next_step: str) -> None:
    made = _of(ended(exit_code=exit_code))
    assert (made.summary, made.cause) == (summary, cause)
    assert made.next_step.startswith(next_step)


def test_a_child_that_was_killed_for_memory_and_no_limit() -> None:
    made = _of(ended(exit_code=1, reason="OOMKilled"))
    assert made.summary == (
        "container 'main' ran out of memory (it has no limit of its own, so the pod or the node ran full) and one of "
        "its "
        "processes was killed; it exited with code 1"
    )


def test_a_failed_probe_is_told_by_its_event() -> None:
    pod = ended(exit_code=137)
    killing = _event("Killing", "Container main failed liveness probe, will be restarted")
    made = diagnose(decided(pod), pod, [killing], base="main")
    assert made.summary == "container 'main' was ended because its liveness probe failed (exit code 137)"


def test_restarts_are_counted() -> None:
    raw = msgspec.to_builtins(ended(exit_code=2))
    raw["status"]["containerStatuses"][0]["restartCount"] = 2
    assert _of(read_pod(msgspec.json.encode(raw))).summary == "container 'main' exited with code 2, after 2 restarts"


@pytest.mark.parametrize(
    ("status", "condition", "cause", "summary"),
    [
        (
            ("Evicted", "The node was low on resource: memory. Threshold quantity: 100Mi, available: 52Mi. "), None,
            Cause.EVICTED,
            "the pod was evicted because its node ran short of memory: The node was low on resource: memory. Threshold "
            "quantity: 100Mi, available: 52Mi.",
        ),
        (
            ("Evicted", "The node had condition: [DiskPressure]. "), None, Cause.EVICTED,
            "the pod was turned away by its node, which was under pressure (DiskPressure): The node had condition: "
            "[DiskPressure].",
        ),
        (
            ("Evicted", 'Container main exceeded its local ephemeral storage limit "1Gi". '), None, Cause.EVICTED,
            "the pod was evicted because it used more of the node's disk than it may: Container main exceeded its "
            "local "
            'ephemeral storage limit "1Gi".',
        ),
        (
            ("", ""), ("PreemptionByScheduler", "default-scheduler: preempting"), Cause.PREEMPTED,
            "the pod had to make room for one of a higher priority",
        ),
        (
            ("", ""), ("DeletionByPodGC", "PodGC: node no longer exists"), Cause.HOST,
            "the pod was removed because its node no longer exists",
        ),
        (
            ("Terminated", "Pod was terminated in response to imminent node shutdown."), None, Cause.HOST,
            "the pod was ended because its node was shut down",
        ),
        (
            ("Evicted", "something new"), None, Cause.EVICTED, "the pod was evicted by Kubernetes: something new",
        ),
    ],
)  # fmt: skip
def test_every_kind_of_eviction(
    status: tuple[str, str], condition: tuple[str, str] | None, cause: Cause, summary: str
) -> None:
    raw = msgspec.to_builtins(ended(exit_code=137))
    raw["status"]["reason"], raw["status"]["message"] = status
    if condition is not None:
        told = {"type": "DisruptionTarget", "status": "True", "reason": condition[0], "message": condition[1]}
        raw["status"]["conditions"] = [*raw["status"]["conditions"], told]
    made = _of(read_pod(msgspec.json.encode(raw)))
    assert (made.cause, made.summary) == (cause, summary)


@pytest.mark.parametrize(
    ("reason", "cause", "words"),
    [
        ("OutOfcpu", Cause.CAPACITY, "its node had no cpu left when the pod arrived there: said"),
        ("NodeAffinity", Cause.HOST, "its node no longer takes it"),
        ("DeadlineExceeded", Cause.DEADLINE, "its own active_deadline_seconds passed before its container ran"),
        ("UnexpectedAdmissionError", Cause.HOST, "its node did not accept it: said"),
        ("SomethingNew", Cause.START, "SomethingNew: said"),
    ],
)
def test_a_node_that_did_not_take_the_pod(reason: str, cause: Cause, words: str) -> None:
    raw = msgspec.to_builtins(updates("a_success")[1].pod)
    raw["status"].update(phase="Failed", reason=reason, message="said")
    made = _of(read_pod(msgspec.json.encode(raw)))
    assert made.cause is cause
    assert made.summary.startswith(f"the pod never started: {words}")


def test_an_unknown_end_and_a_vanished_pod() -> None:
    made = _of(ended(exit_code=137, reason="ContainerStatusUnknown"))
    assert made.summary == (
        "how the pod ended cannot be known: the node no longer knew the container, so how its process ended is not "
        "known"
    )
    assert made.next_step.startswith("Its node was probably restarted")
    running = next(one.pod for one in updates("a_success") if one.pod.status.phase == "Running")
    gone = decide(running, "main", deleted=True)
    assert gone is not None
    made = diagnose(gone.outcome, running, [], base="main")
    assert (made.cause, made.summary) == (
        Cause.LOST, "how the pod ended cannot be known: the pod no longer exists, and nobody was seen to delete it"
    )  # fmt: skip


def test_what_keeps_a_sidecar_from_running_did_not_keep_the_pod_from_starting() -> None:
    pod = next(one.pod for one in updates("j3_sidecar_crashes_and_restarts") if "CrashLoopBackOff" in str(one.pod))
    outcome = gave_up(Verdict.STOPPED, "execution_timeout=60", StopCause.DEADLINE, base="main", pod=pod)
    made = diagnose(outcome, pod, [], base="main")
    assert made.summary == "the pod was stopped because it took longer than allowed: execution_timeout=60"


def test_our_deadline_and_a_node_that_cannot_end_the_pod() -> None:
    stopped = gave_up(
        Verdict.STOPPED, "execution_timeout=60", StopCause.DEADLINE, base="main", pod=ended(exit_code=143)
    )
    made = diagnose(stopped, ended(exit_code=143), [], base="main")
    assert (made.cause, made.summary) == (
        Cause.DEADLINE, "the pod was stopped because it took longer than allowed: execution_timeout=60"
    )  # fmt: skip
    silent = updates("t2_node_lost_evicted")
    pod = next(one.pod for one in reversed(silent) if (ready := one.pod.condition("Ready")) and not ready.reason
               and ready.status == "False")  # fmt: skip
    outcome = gave_up(
        Verdict.STOPPED,
        "execution_timeout=60",
        StopCause.DEADLINE,
        base="main",
        pod=pod,
        not_ended="it was told to stop",
    )
    made = diagnose(outcome, pod, [], base="main")
    assert made.summary == (
        "the pod took longer than allowed (execution_timeout=60); it was told to stop; node 'k8s-node' does not "
        "answer, so "
        "nobody knows whether the pod still runs: Kubernetes has marked the pod for deletion, which only that node can "
        "carry out"
    )
    assert made.next_step.startswith(
        "Delete the pod by hand if it still runs (kubectl -n rec delete pod t-lost). Raise that limit"
    )


@pytest.mark.parametrize(
    ("error", "who"),
    [
        (
            Unavailable("connection refused"),
            "Find out why the cluster's API server cannot be reached from the triggerer",
        ),
        (
            AccessDenied("no"),
            "Whoever manages the cluster's permissions must restore access (get, list and watch pods)",
        ),
        (CredentialsExpired("no"), "Whoever manages the connection must give it usable credentials"),
        (NotFound("no"), "Find out whether the namespace was deleted"),
        (None, "Restore access"),
    ],
)
def test_out_of_sight_says_who_must_act(error: AsyncrunError | None, who: str) -> None:
    pod = alive("t_node_lost")
    outcome = gave_up(Verdict.LOST, "connection refused", StopCause.ACCESS, base="main", pod=pod)
    made = diagnose(outcome, pod, None, base="main", error=error)
    assert (made.cause, made.summary) == (
        Cause.ACCESS, "the pod can no longer be watched, and may still be running: connection refused"
    )  # fmt: skip
    assert made.next_step.startswith(who)
    assert made.next_step.endswith(
        "; then delete the pod by hand (kubectl -n rec delete pod t-lost), or clear the Airflow task."
    )


def test_an_unusable_result_is_a_failure_of_its_own() -> None:
    outcome = msgspec.structs.replace(
        decided(ended(exit_code=0, phase="Succeeded")),
        verdict=Verdict.FAILED, stop_cause=StopCause.RESULT, our_reason="it is not valid JSON: line 1, column 2",
    )  # fmt: skip
    made = diagnose(outcome, ended(exit_code=0, phase="Succeeded"), None, base="main")
    assert (made.cause, made.summary) == (
        Cause.RESULT,
        "container 'main' exited with 0, but its result (XCom) cannot be used: it is not valid JSON: line 1, column 2",
    )
    assert "`do_xcom_push=False`" in made.next_step


def test_success_needs_no_evidence() -> None:
    found = ending("a_success")
    assert found.decision is not None
    made = diagnose(found.decision.outcome, found.pod, None, base="main")
    assert made == Diagnosis(summary="container 'main' exited with 0", cause=Cause.NONE)


def _event(reason: str, message: str, kind: str = "Normal") -> PodEvent:
    return PodEvent(uid=reason, kind=kind, reason=reason, message=message)


def _of(pod: Pod) -> Diagnosis:
    return diagnose(decided(pod), pod, [], base="main")
