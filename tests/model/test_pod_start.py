"""What keeps a pod from starting, from the recorded ones and from the words of other registries and schedulers."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncrun.model import pod_waiting
from asyncrun.model.diagnosis import Cause
from asyncrun.model.pod import Pod, PodEvent, read_pod
from asyncrun.model.pod_start import StartTrouble, has_started, is_scheduled, node_trouble, start_trouble
from tests.support.pod_histories import alive, events, updates


def trouble_of(name: str, pod: str = "", *, heard: bool = False) -> StartTrouble:
    found = start_trouble(alive(name, pod), events(name, pod) if heard else None)
    assert found is not None
    return found


@pytest.mark.parametrize(
    ("name", "pod", "code", "cause", "permanent", "sentence"),
    [
        (
            "d2_image_dns", "", "ImagePullBackOff", Cause.IMAGE, False,
            "Image 'registry.invalid/a/b:1' of container 'main' cannot be pulled: the name of its registry cannot be "
            "resolved from the node: dial tcp: lookup registry.invalid on 10.255.255.53:53: no such host",
        ),
        (
            "d2_image_invalid", "", "InvalidImageName", Cause.IMAGE, True,
            "Image 'UPPER/Bad:1' of container 'main' is no valid image name: invalid reference format: repository name "
            "(Bad) must be lowercase",
        ),
        (
            "d2_image_never", "", "ErrImageNeverPull", Cause.IMAGE, True,
            "Image 'docker.io/library/absent:1' of container 'main' is not on the node, and image_pull_policy is Never",
        ),
        (
            "d_image_pull", "", "ImagePullBackOff", Cause.IMAGE, False,
            "Image '127.0.0.1:5999/nope/nope:1' of container 'main' cannot be pulled: its registry cannot be reached "
            "from the node: dial tcp 127.0.0.1:5999: connect: connection refused",
        ),
        (
            "e_unschedulable", "", "Unschedulable", Cause.CAPACITY, False,
            "No node can take the pod: 0/1 nodes are available: 1 node(s) didn't match Pod's node affinity/selector",
        ),
        (
            "o_start_errors", "o-cfg", "CreateContainerConfigError", Cause.SECRET, False,
            "Container 'main' cannot be started: Secret 'absent' does not exist in namespace 'rec'",
        ),
        (
            "o_start_errors", "o-nonroot", "CreateContainerConfigError", Cause.CONFIG, True,
            "Container 'main' must not run as root, and its image would: container has runAsNonRoot and image will run "
            "as root",
        ),
    ],
)  # fmt: skip
def test_recorded_troubles_are_told_without_events(
    name: str, pod: str, code: str, cause: Cause, permanent: bool, sentence: str
) -> None:
    found = trouble_of(name, pod)
    assert (found.code, found.cause, found.permanent, found.sentence) == (code, cause, permanent, sentence)
    assert found.next_step.endswith(".")
    assert trouble_of(name, pod, heard=True) == found


def test_a_volume_that_cannot_be_mounted_is_told_by_events_only() -> None:
    assert start_trouble(alive("o_start_errors", "o-vol")) is None
    found = trouble_of("o_start_errors", "o-vol", heard=True)
    assert (found.code, found.cause) == ("FailedMount", Cause.CONFIG)
    assert found.sentence == "Volume 'v' cannot be mounted: ConfigMap 'absent' does not exist in namespace 'rec'"
    assert found.next_step == (
        "Create ConfigMap 'absent' in namespace 'rec', or mend its name or the `namespace` in the DAG."
    )


def test_pull_errors_that_alternate_are_said_once() -> None:
    said: list[StartTrouble] = []
    for one in updates("d_image_pull"):
        found = start_trouble(one.pod)
        if found is not None and found.is_news(said[-1] if said else None):
            said.append(found)
    assert [one.code for one in said] == ["ErrImagePull"]


def test_a_kubelet_that_drops_the_reason_between_two_attempts_says_nothing_new() -> None:
    detailed = start_trouble(_waiting("ErrImagePull", "repository x not found"))
    vague = start_trouble(_waiting("ImagePullBackOff", 'Back-off pulling image "x"'))
    other = start_trouble(_waiting("ErrImagePull", "401 Unauthorized"))
    assert detailed is not None
    assert vague is not None
    assert other is not None
    assert vague.sentence == "Image 'docker.io/library/busybox:1.36' of container 'main' cannot be pulled"
    assert vague.is_news(None)
    assert not vague.is_news(detailed)
    assert detailed.is_news(vague)
    assert other.is_news(detailed)


def test_a_kubelet_that_gives_no_reason_is_completed_by_events() -> None:
    pod = _waiting("ImagePullBackOff", 'Back-off pulling image "x"')
    failed = event("Failed", 'Failed to pull image "x": failed to resolve reference "x": x: not found', "Warning")
    found = start_trouble(pod, [failed])
    assert found is not None
    assert found.permanent
    assert found.sentence.endswith("does not exist in its registry: x: not found")


@pytest.mark.parametrize(
    ("message", "words", "permanent"),
    [
        ("docker.io/library/x:1: not found", "does not exist in its registry", True),
        ("manifest unknown: manifest unknown", "does not exist in its registry", True),
        (
            "pull access denied, repository does not exist or may require authorization: server message: "
            "insufficient_scope: authorization failed",
            "is refused by its registry", True,
        ),
        ("unexpected status from HEAD request to https://r.example/v2/x: 403 Forbidden", "is refused", True),
        ("failed to fetch anonymous token: unexpected status: 401 Unauthorized", "is refused by its registry", True),
        ("toomanyrequests: You have reached your unauthenticated pull rate limit", "too many pulls", False),
        ("pull QPS exceeded", "too many pulls", False),
        ("unexpected status from GET request to https://a/404: 503 Service Unavailable", "cannot be reached", False),
        ("dial tcp 10.0.0.1:443: i/o timeout", "cannot be reached", False),
        ("dial tcp: lookup r.example on 10.0.0.10:53: read udp: i/o timeout", "name of its registry", False),
        ("tls: failed to verify certificate: x509: certificate signed by unknown authority", "certificate", False),
        ("no match for platform in manifest: not found", "processor of the node", True),
        ("write /var/lib/containerd/x: no space left on device", "disk is full", False),
        ("something new", "cannot be pulled: something new", False),
    ],
)  # fmt: skip
def test_what_a_registry_answers_says_who_must_act(message: str, words: str, permanent: bool) -> None:
    # The image's own name must not be taken for an answer.
    image = "denied.example/not-found:404"
    full = f'failed to pull and unpack image "{image}": failed to resolve reference "{image}": {message}'
    found = pod_waiting.of_image("main", image, "ErrImagePull", full)
    assert words in found.what
    assert found.permanent is permanent
    assert found.next_step


@pytest.mark.parametrize(
    ("message", "cause", "words", "next_step"),
    [
        (
            "couldn't find key password in Secret etl/db", Cause.SECRET,
            "Secret 'db' in namespace 'etl' has no key 'password'",
            "Add the key 'password' to Secret 'db' in namespace 'etl', or mend its name in the DAG.",
        ),
        (
            "couldn't find key mode in ConfigMap etl/settings", Cause.CONFIG,
            "ConfigMap 'settings' in namespace 'etl' has no key 'mode'",
            "Add the key 'mode' to ConfigMap 'settings' in namespace 'etl', or mend its name in the DAG.",
        ),
        (
            'configmap "settings" not found', Cause.CONFIG,
            "ConfigMap 'settings' does not exist in namespace 'etl'",
            "Create ConfigMap 'settings' in namespace 'etl', or mend its name or the `namespace` in the DAG.",
        ),
        (
            "references non-existent secret key: tls.crt", Cause.SECRET,
            "a volume names the key 'tls.crt', which its Secret does not have",
            "Add the key to the Secret in namespace 'etl', or mend the volume's items in the DAG.",
        ),
    ],
)  # fmt: skip
def test_a_missing_object_is_named_with_its_namespace(message: str, cause: Cause, words: str, next_step: str) -> None:
    found = pod_waiting.of_start("main", message, "etl")
    assert (found.cause, found.next_step) == (cause, next_step)
    assert found.what == f"container 'main' cannot be started: {words}"
    assert not found.permanent


@pytest.mark.parametrize(
    ("message", "words"),
    [
        ('exec: "nope": executable file not found in $PATH: unknown', "its image has no such program"),
        ("exec /app: exec format error", "is not built for the processor of the node"),
        ('exec: "/app": permission denied: unknown', "its program may not be executed"),
        ("failed to prepare subPath for volumeMount", "one of its volumes cannot be mounted"),
        ("context deadline exceeded", "cannot be started: context deadline exceeded"),
    ],
)
def test_what_the_runtime_says_of_a_start_is_translated(message: str, words: str) -> None:
    assert words in pod_waiting.of_start("main", f"OCI runtime create failed: {message}", "etl").what


@pytest.mark.parametrize(
    ("message", "advice"),
    [
        ("0/3 nodes are available: 3 Insufficient memory.", "Lower the requests in `container_resources`"),
        ("0/3 nodes are available: 3 node(s) had untolerated taint {gpu: true}.", "Add `tolerations`"),
        ('persistentvolumeclaim "data" not found', "Check the PersistentVolumeClaims"),
        ("0/3 nodes are available: 3 Too many pods.", "Have whoever runs the cluster add nodes: each holds"),
        ("no nodes available to schedule pods", "Have whoever runs the cluster add nodes: it has none"),
        ("", "Have whoever runs the cluster look for room"),
    ],
)
def test_the_scheduler_s_reason_becomes_advice(message: str, advice: str) -> None:
    assert pod_waiting.of_scheduling(message).next_step.startswith(advice)


def test_what_the_autoscaler_decided_is_said() -> None:
    pod = alive("e_unschedulable")
    refused = event("NotTriggerScaleUp", "pod didn't trigger scale-up: 1 max node group size reached")
    added = event("TriggeredScaleUp", "pod triggered scale-up: [{pool 1->2 (max: 5)}]", at=2.0)
    found = start_trouble(pod, [refused])
    assert found is not None
    assert found.what.endswith(
        "(the cluster autoscaler will not add nodes: pod didn't trigger scale-up: 1 max node group size reached)"
    )
    found = start_trouble(pod, [refused, added])
    assert found is not None
    assert "(the cluster autoscaler is adding nodes: pod triggered scale-up" in found.what


def test_scheduling_gates_are_named() -> None:
    raw = msgspec.to_builtins(alive("e_unschedulable"))
    raw["status"]["conditions"] = [
        {"type": "PodScheduled", "status": "False", "reason": "SchedulingGated", "message": "Scheduling is blocked"}
    ]
    found = start_trouble(read_pod(msgspec.json.encode(raw)))
    assert found is not None
    assert found.sentence.startswith("The pod is held back by scheduling gates: ")


def test_the_network_of_a_node_is_told_by_events() -> None:
    pod = alive("o_start_errors", "o-vol")
    sandbox = event("FailedCreatePodSandBox", "failed to assign an IP address to container", "Warning", at=9.9e9)
    found = start_trouble(pod, [*events("o_start_errors", "o-vol"), sandbox])
    assert found is not None
    assert found.cause is Cause.NETWORK
    assert found.sentence == ("The node cannot set up the pod's network: failed to assign an IP address to container")


def test_what_only_takes_its_time_is_no_problem() -> None:
    running = [start_trouble(one.pod) for one in updates("c_init_two_containers")]
    found = [one for one in running if one is not None]
    assert {(one.sentence, one.is_problem, one.permanent) for one in found} == {
        ("Init container 'prep' is still running", False, False)
    }
    creating = next(one.pod for one in updates("a_success") if one.pod.statuses())
    pulling = start_trouble(creating, [event("Pulling", 'Pulling image "big:1"')])
    assert pulling is not None
    assert (pulling.sentence, pulling.is_problem) == ('Image "big:1" is still being pulled', False)
    pulled = [event("Pulling", 'Pulling image "big:1"'), event("Pulled", "Successfully pulled", at=2.0)]
    assert start_trouble(creating, pulled) is None


def test_a_container_that_keeps_ending_is_said() -> None:
    found = [start_trouble(one.pod) for one in updates("n_follow_over_restart")]
    assert [one.sentence for one in found if one is not None] == [
        "Container 'main' keeps ending: it ended with code 1 (Error), was restarted once, and waits to be restarted "
        "again"
    ]


def test_a_healthy_pod_has_no_trouble() -> None:
    for name in ("a_success", "b_exit3", "j_native_sidecar", "h_active_deadline"):
        found = [start_trouble(one.pod, events(name)) for one in updates(name)]
        assert [one for one in found if one is not None and one.is_problem] == []


def test_a_silent_node_is_noticed_and_what_kubernetes_does_about_it() -> None:
    lost = [node_trouble(one.pod) for one in updates("t_node_lost")]
    assert [one.sentence for one in lost if one is not None] == [
        "Node 'k8s-node' does not answer, so nobody knows whether the pod still runs: Kubernetes waits for the node, "
        "and may evict the pod after its tolerations (usually 300 s)"
    ]
    evicted = [
        one for one in map(node_trouble, [one.pod for one in updates("t2_node_lost_evicted")]) if one is not None
    ]
    assert evicted[-1].is_news(evicted[0])
    assert evicted[-1].sentence.endswith(
        "Kubernetes has marked the pod for deletion, which only that node can carry out"
    )
    for name in ("a_success", "h_active_deadline", "j3_sidecar_crashes_and_restarts", "g_delete_graceful"):
        assert [node_trouble(one.pod) for one in updates(name)] == [None] * len(updates(name))


@pytest.mark.parametrize(
    ("ready", "containers_ready", "lost"),
    [
        ({"status": "False"}, "True", True),
        ({"status": "False", "reason": "ReadinessGatesNotReady"}, "True", False),
        ({"status": "False"}, "False", False),
        ({"status": "True"}, "True", False),
    ],
)
def test_a_pod_that_is_not_ready_for_other_reasons_has_its_node(
    ready: dict[str, str], containers_ready: str, lost: bool
) -> None:
    raw = msgspec.to_builtins(alive("t_node_lost"))
    raw["status"]["conditions"] = [
        {"type": "Ready", **ready},
        {"type": "ContainersReady", "status": containers_ready},
    ]
    assert (node_trouble(read_pod(msgspec.json.encode(raw))) is not None) is lost


def test_scheduled_and_started_mean_what_upstream_means() -> None:
    seen = [one.pod for one in updates("c_init_two_containers")]
    assert [is_scheduled(one) for one in seen[:3]] == [False, True, True]
    started = [has_started(one, "one") for one in seen]
    assert started == [one.status.phase != "Pending" for one in seen]
    assert not is_scheduled(alive("e_unschedulable"))
    assert is_scheduled(alive("d_image_pull"))
    assert not has_started(alive("d_image_pull"), "main")


def event(reason: str, message: str, kind: str = "Normal", at: float = 1.0) -> PodEvent:
    return PodEvent(uid=reason, kind=kind, reason=reason, message=message, first_at=at, last_at=at)


def _waiting(reason: str, message: str) -> Pod:
    creating = next(one.pod for one in updates("a_success") if one.pod.statuses())
    raw: dict[str, Any] = msgspec.to_builtins(creating)
    raw["status"]["containerStatuses"][0]["state"] = {"waiting": {"reason": reason, "message": message}}
    return read_pod(msgspec.json.encode(raw))
