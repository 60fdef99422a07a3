"""What is said of recorded pods' ends, and of those that did not start."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.pod import read_pod
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import gave_up
from asyncrun.model.pod_start import start_trouble
from tests.support.pod_histories import LATE, alive, ending, of_end, of_start

ENDS: list[tuple[str, str, str, Cause, str, str]] = [
    (
        "b_exit3", "", "main", Cause.EXIT_CODE,
        "container 'main' exited with code 3",
        "The program said that it failed: its last log lines hold the reason.",
    ),
    (
        "c2_init_fails", "", "main", Cause.EXIT_CODE,
        "init container 'i2' exited with code 7, so container 'main' never ran",
        "The program said that it failed: its last log lines hold the reason.",
    ),
    (
        "f_oom_pid1", "", "main", Cause.OUT_OF_MEMORY,
        "container 'main' ran out of memory (limit 20Mi) and was killed",
        "The author of the DAG must raise the container's memory limit in `container_resources`, or make the program "
        "use "
        "less.",
    ),
    (
        "g2_delete_ignores_term", "", "main", Cause.USER,
        "the pod was deleted by somebody, and container 'main' ended with code 137 (SIGKILL)",
        "If this was not intended, the API server's audit log says by whom: a person with kubectl, a job that cleans "
        "up, "
        "or a controller.",
    ),
    (
        "g3_delete_force", "", "main", Cause.USER,
        "the pod was deleted by somebody while its container was shown as running, so how its process ended is not "
        "known",
        "If this was not intended,",
    ),
    (
        "g4_delete_pending", "", "main", Cause.USER,
        "the pod was deleted by somebody before its container ran",
        "If this was not intended,",
    ),
    (
        "o_start_errors", "o-cfg", "main", Cause.USER,
        "the pod was deleted by somebody before its container ran; what had kept it from starting: container 'main' "
        "cannot be started: Secret 'absent' does not exist in namespace 'rec'",
        "If this was not intended,",
    ),
    (
        "g7_evict_api", "", "main", Cause.HOST,
        "the pod was evicted on request (a node that is being drained, an autoscaler that removes one, or somebody); "
        "its "
        "container ended with 0 when it was told to, which is no success",
        "Retry. What must not be interrupted can carry the annotation",
    ),
    (
        "g_delete_graceful", "", "main", Cause.USER,
        "the pod was deleted by somebody, and container 'main' ended with code 0",
        "If this was not intended,",
    ),
    (
        "h_active_deadline", "", "main", Cause.DEADLINE,
        "the pod ran longer than its own active_deadline_seconds (5 s) and was ended by Kubernetes; its container "
        "ended "
        "with 0 when it was told to, which is no success",
        "The author of the DAG must raise `active_deadline_seconds`, or find out from the log what took so long.",
    ),
    (
        "o_start_errors", "o-cmd", "main", Cause.START,
        "the pod never started: container 'main' cannot be started: its image has no such program: exec: \"/no/such\": "
        "stat /no/such: no such file or directory",
        "The author of the DAG must mend `cmds` and `arguments`: the first word of `cmds` must be a program in the "
        "image.",
    ),
    (
        "p_evicted_by_kubelet", "", "main", Cause.EVICTED,
        "the pod was evicted because it wrote more into its emptyDir volume 'd' than the limit of 5Mi; its container "
        "ended with 0 when it was told to, which is no success",
        "The author of the DAG must raise the volume's size limit, or make the program write less there.",
    ),
    (
        "p2_evicted_exit_nonzero", "", "main", Cause.EVICTED,
        "the pod was evicted because it wrote more into its emptyDir volume 'd' than the limit of 5Mi",
        "The author of the DAG must raise the volume's size limit, or make the program write less there.",
    ),
    (
        "t2_node_lost_evicted", "", "main", Cause.HOST,
        "the pod was ended because its node stopped answering, or was tainted to be emptied; its container ended with "
        "0 "
        "when it was told to, which is no success",
        "Retry. If it happens often, whoever runs the cluster must look at that node.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pod", "base", "cause", "summary", "next_step"), ENDS)
def test_recorded_ends_are_explained(
    name: str, pod: str, base: str, cause: Cause, summary: str, next_step: str
) -> None:
    made = of_end(name, pod, base)
    assert (made.cause, made.summary) == (cause, summary)
    assert made.next_step.startswith(next_step)
    assert "\n" not in made.summary


STARTS: list[tuple[str, str, Cause, str, str]] = [
    (
        "d2_image_dns", "", Cause.IMAGE,
        "image 'registry.invalid/a/b:1' of container 'main' cannot be pulled: the name of its registry cannot be "
        "resolved "
        "from the node: dial tcp: lookup registry.invalid on 10.255.255.53:53: no such host",
        "Check the registry's name in `image`; if it is right, whoever runs the cluster must mend the DNS of its "
        "nodes.",
    ),
    (
        "d2_image_invalid", "", Cause.IMAGE,
        "image 'UPPER/Bad:1' of container 'main' is no valid image name: invalid reference format: repository name "
        "(Bad) "
        "must be lowercase",
        "The author of the DAG must mend the `image`.",
    ),
    (
        "d2_image_never", "", Cause.IMAGE,
        "image 'docker.io/library/absent:1' of container 'main' is not on the node, and image_pull_policy is Never",
        "The author of the DAG must choose another `image_pull_policy` (IfNotPresent), or whoever runs the cluster "
        "must put "
        "the image on its nodes.",
    ),
    (
        "d_image_pull", "", Cause.IMAGE,
        "image '127.0.0.1:5999/nope/nope:1' of container 'main' cannot be pulled: its registry cannot be reached from "
        "the "
        "node: dial tcp 127.0.0.1:5999: connect: connection refused",
        "Retry, if the registry was only away for a while. Else check its name in `image`, and whoever runs the "
        "cluster "
        "must check the way from its nodes to the registry.",
    ),
    (
        "e_unschedulable", "", Cause.CAPACITY,
        "no node can take the pod: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
        "Check `node_selector` and `affinity`: no node has the labels that they ask for.",
    ),
    (
        "o_start_errors", "o-cfg", Cause.SECRET,
        "container 'main' cannot be started: Secret 'absent' does not exist in namespace 'rec'",
        "Create Secret 'absent' in namespace 'rec', or mend its name or the `namespace` in the DAG.",
    ),
    (
        "o_start_errors", "o-vol", Cause.CONFIG,
        "volume 'v' cannot be mounted: ConfigMap 'absent' does not exist in namespace 'rec'",
        "Create ConfigMap 'absent' in namespace 'rec', or mend its name or the `namespace` in the DAG.",
    ),
    (
        "o_start_errors", "o-nonroot", Cause.CONFIG,
        "container 'main' must not run as root, and its image would: container has runAsNonRoot and image will run as "
        "root",
        "The author of the DAG must set `run_as_user` in the security context to a number other than 0, or use an "
        "image "
        "whose USER is one.",
    ),
]  # fmt: skip


@pytest.mark.parametrize(("name", "pod", "cause", "what", "next_step"), STARTS)
def test_a_pod_that_did_not_start_in_time_says_why(
    name: str, pod: str, cause: Cause, what: str, next_step: str
) -> None:
    made = of_start(name, pod)
    assert (made.cause, made.summary) == (cause, f"the pod never started: {what} ({LATE})")
    assert made.next_step == next_step


def test_a_deadline_of_ours_before_the_start_says_what_kept_it() -> None:
    pod = alive("e_unschedulable")
    outcome = gave_up(Verdict.STOPPED, "execution_timeout=60", StopCause.DEADLINE, base="main", pod=pod)
    made = diagnose(outcome, pod, None, base="main")
    assert made.cause is Cause.CAPACITY
    assert made.summary == (
        "the pod took longer than allowed (execution_timeout=60) and had not started: no node can take the pod: 0/1 "
        "nodes "
        "are available: 1 node(s) didn't match Pod's node affinity/selector"
    )


def test_a_trouble_that_was_seen_earlier_is_told_though_the_pod_no_longer_shows_it() -> None:
    trouble = start_trouble(alive("g4_delete_pending"))
    found = ending("g4_delete_pending")
    assert found.decision is not None
    made = diagnose(found.decision.outcome, found.pod, None, base="main", trouble=trouble)
    assert made.summary == (
        "the pod was deleted by somebody before its container ran; what had kept it from starting: image "
        "'127.0.0.1:5999/nope:1' of container 'main' cannot be pulled: its registry cannot be reached from the node: "
        "dial tcp 127.0.0.1:5999: connect: connection refused"
    )


def test_a_trouble_that_is_over_is_not_told() -> None:
    pod = alive("o_start_errors", "o-vol")
    over = start_trouble(alive("e_unschedulable"))
    outcome = gave_up(Verdict.NEVER_STARTED, LATE, StopCause.START, base="main", pod=pod)
    made = diagnose(outcome, pod, None, base="main", trouble=over)
    assert made.summary.startswith("the pod never started: its containers are still being created")


def test_a_reason_that_the_kubelet_no_longer_tells_is_remembered() -> None:
    said = start_trouble(alive("d_image_pull"))
    raw = msgspec.to_builtins(alive("d_image_pull"))
    vague = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "x"'}}
    raw["status"]["containerStatuses"][0]["state"] = vague
    pod = read_pod(msgspec.json.encode(raw))
    outcome = gave_up(Verdict.NEVER_STARTED, LATE, StopCause.START, base="main", pod=pod)
    made = diagnose(outcome, pod, None, base="main", trouble=said)
    assert "dial tcp 127.0.0.1:5999: connect: connection refused" in made.summary
    assert "connection refused" not in diagnose(outcome, pod, None, base="main").summary


def test_a_pod_that_nothing_is_said_of_names_the_command_that_may_help() -> None:
    made = of_start("o_start_errors", "o-vol", blind=True)
    assert made.cause is Cause.START
    assert made.summary == (
        f"the pod never started: its containers are still being created, and Kubernetes gives no reason ({LATE})"
    )
    assert made.next_step.startswith("kubectl -n rec describe pod o-vol shows what it waits for")
