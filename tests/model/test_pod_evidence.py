"""The facts that prove how a pod ended."""

from __future__ import annotations

import pytest

from asyncrun.model.diagnosis import Diagnosis
from asyncrun.model.pod import Pod, PodEvent
from asyncrun.model.pod_diagnosis import diagnose
from tests.support.pod_histories import decided, ended, of_end, of_start


def test_the_evidence_holds_status_conditions_containers_and_events() -> None:
    assert of_end("g7_evict_api").evidence == (
        "pod rec/g7-evict: phase=Succeeded, node=k8s-node, deletionTimestamp=2026-11-21T01:12:11Z (grace 30 s)",
        "condition DisruptionTarget=True, reason=EvictionByEvictionAPI: Eviction API: evicting",
        "container main: exitCode=0, ran 1 s",
        "event Killing: Stopping container main",
    )
    assert of_end("p2_evicted_exit_nonzero").evidence == (
        'pod rec/p2-evict: phase=Failed, reason=Evicted, message=Usage of EmptyDir volume "d" exceeds the limit '
        '"5Mi"., '
        "node=k8s-node",
        "container main: exitCode=143, reason=Error, ran 63 s",
        'event Evicted: Usage of EmptyDir volume "d" exceeds the limit "5Mi".',
        "event Killing: Stopping container main",
    )
    assert of_start("o_start_errors", "o-vol").evidence == (
        "pod rec/o-vol: phase=Pending, node=k8s-node",
        'event FailedMount (6 times): MountVolume.SetUp failed for volume "v" : configmap "absent" not found',
    )
    found = of_start("d_image_pull").evidence
    assert found[1].startswith("container main: reason=ImagePullBackOff, message=Back-off pulling image")
    assert [one.partition(":")[0] for one in found[2:]] == ["event Failed (3 times)"]


@pytest.mark.parametrize(
    ("made", "adds"),
    [
        (of_start("d_image_pull", blind=True), "each attempt to pull the image and what the registry answered"),
        (of_start("e_unschedulable", blind=True), "whether an autoscaler adds nodes, and why not"),
        (
            of_start("o_start_errors", "o-vol", blind=True),
            "volumes that cannot be mounted, networks that cannot be set up, and slow pulls",
        ),
        (of_end("b_exit3", blind=True), "what the scheduler and the kubelet said of it"),
        (of_end("g_delete_graceful", blind=True), "whether the kubelet ended the container, or it had ended before"),
        (of_end("p2_evicted_exit_nonzero", blind=True), "the kubelet's reason for the eviction"),
    ],
)
def test_without_events_the_evidence_says_what_they_would_add(made: Diagnosis, adds: str) -> None:
    said = made.evidence[-1]
    assert said.startswith("the pod's events were not read: with the permission to list events in namespace 'rec")
    assert said.endswith(f"they would show {adds}")


def test_the_termination_message_of_the_base_container_is_evidence() -> None:
    assert (
        "termination message of container file: from the file" in of_end("m_termination_message", base="file").evidence
    )
    made = of_end("m_termination_message", base="fallback").evidence
    assert "termination message of container fallback: fb line1 | fb line2" in made
    assert not any("from the file" in one for one in made)


def test_a_handed_over_xcom_is_never_shown() -> None:
    pod = ended(exit_code=1, message="asyncrun-xcom/1 inline 6 c0ffee c2VjcmV0 .")
    made = _of(pod)
    assert made.summary == "container 'main' exited with code 1"
    assert "asyncrun-xcom" not in made.text()


def test_many_and_long_facts_are_cut() -> None:
    pod = ended(exit_code=1, message="x" * 5000)
    many = [_event("Unhealthy", f"probe {number} " + "y" * 2000, "Warning") for number in range(30)]
    outcome = decided(pod)
    found = diagnose(outcome, pod, many, base="main").evidence
    assert "22 earlier events are left out" in found
    assert sum(one.startswith("event Unhealthy") for one in found) == 8
    assert max(map(len, found)) <= 600


def _event(reason: str, message: str, kind: str = "Normal") -> PodEvent:
    return PodEvent(uid=reason, kind=kind, reason=reason, message=message)


def _of(pod: Pod) -> Diagnosis:
    return diagnose(decided(pod), pod, [], base="main")
