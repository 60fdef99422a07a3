"""Small rules of the node: quantities, image names, expansion, scheduling, phases, options."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from asyncrun.local.kube import quantities
from asyncrun.local.kube.node import NodeOptions, images, status
from asyncrun.local.kube.node.container import Container
from asyncrun.local.kube.node.environment import expand
from asyncrun.local.kube.node.options import Delays, ImageFault
from asyncrun.local.kube.node.scheduling import Rules, requests
from asyncrun.local.kube.node.worker import duration


@pytest.mark.parametrize(
    ("text", "number"),
    [
        ("500m", Fraction(1, 2)),
        ("1.5", Fraction(3, 2)),
        ("256Mi", 256 << 20),
        ("1k", 1000),
        ("1e3", 1000),
        ("2Gi", 2 << 30),
        ("1E", 10**18),
        ("1E3", 1000),
        ("-.5", Fraction(-1, 2)),
        (2, 2),
        (1e-05, Fraction(1, 100_000)),
    ],
)
def test_quantities(text: str | float, number: Fraction) -> None:
    assert quantities.parse(text) == number


def test_sums_of_quantities_stay_as_written_where_there_is_one() -> None:
    parts = [{"cpu": "500m", "memory": "0.5Gi"}, {"cpu": "1"}]
    assert quantities.summed(parts) == {"cpu": "1500m", "memory": "0.5Gi"}
    assert quantities.summed([{"memory": "20Mi"}, {"memory": "1Gi"}]) == {"memory": "1044Mi"}


@pytest.mark.parametrize("text", ["many", "", "1/2", "1_0", " 1", "1\n", "1Kib", "1e9999999999", "-"])
def test_what_is_no_quantity(text: str) -> None:
    with pytest.raises(ValueError, match="quantities must match the regular expression"):
        quantities.parse(text)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("busybox", ("docker.io", "library/busybox", "latest")),
        ("a/b:1", ("docker.io", "a/b", "1")),
        ("localhost:5000/a/b:1", ("localhost:5000", "a/b", "1")),
        ("ghcr.io/a/b@sha256:ab", ("ghcr.io", "a/b", "sha256:ab")),
    ],
)
def test_image_names(image: str, parts: tuple[str, str, str]) -> None:
    found = images.parse(image)
    assert (found.registry, found.repository, found.tag) == parts


@pytest.mark.parametrize("image", ["", "a b", "a:", "a/b:c:d", "/a", "Busybox"])
def test_what_is_no_image_name(image: str) -> None:
    assert images.invalid(image).startswith(f'Failed to apply default image tag "{image}": couldn\'t parse image name')


def test_the_latest_image_fault_decides_and_wears_off() -> None:
    known = images.Images((ImageFault("*", "not_found"),))
    known.add(ImageFault("a:*", "refused", times=1))
    assert known.pull("a:1").endswith("connection refused")
    assert known.pull("a:1") == ""
    assert known.pull("b:1").endswith("docker.io/library/b:1: not found")
    known.clear()
    assert known.present("b:1")


@pytest.mark.parametrize(
    ("text", "result"),
    [
        ("$(A)", "1"),
        ("$$(A)", "$(A)"),
        ("$(B) $A $", "$(B) $A $"),
        ("$$$(A)", "$1"),
        ("$(A)$(A)", "11"),
        ("$(A", "$(A"),
    ],
)
def test_references_to_variables(text: str, result: str) -> None:
    assert expand(text, {"A": "1"}) == result


def test_affinity_and_selector() -> None:
    rules = Rules(NodeOptions(labels={"disk": "ssd"}))

    def fits(operator: str, key: str, *values: str) -> bool:
        expression = {"key": key, "operator": operator, "values": list(values)}
        terms = {"nodeSelectorTerms": [{"matchExpressions": [expression]}]}
        affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": terms}}
        return not rules.refusal({"metadata": {"uid": "u"}, "spec": {"containers": [], "affinity": affinity}})

    assert fits("In", "disk", "ssd", "hdd")
    assert not fits("NotIn", "disk", "ssd")
    assert fits("Exists", "kubernetes.io/os")
    assert not fits("DoesNotExist", "disk")
    pod: dict[str, Any] = {"metadata": {"uid": "u", "labels": {"a": "b"}}, "spec": {"containers": []}}
    assert rules.refusal(pod) == ""
    rules.forbidden.append(({"a": "b"}, "0/1 nodes are available: because."))
    assert rules.refusal(pod) == "0/1 nodes are available: because."


def test_more_than_the_node_has_never_fits() -> None:
    container = {"resources": {"requests": {"memory": "512Gi", "cpu": "65"}}}
    assert Rules(NodeOptions()).refusal({"metadata": {"uid": "u"}, "spec": {"containers": [container]}}) == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory. no new claims to deallocate, "
        "preemption: 0/1 nodes are available: 1 Preemption is not helpful for scheduling."
    )


def test_sidecars_need_room_beside_the_others() -> None:
    def wants(cpu: str, **more: Any) -> dict[str, Any]:
        return {"resources": {"requests": {"cpu": cpu}}, **more}

    sidecar = wants("2", restartPolicy="Always")
    spec = {"containers": [wants("1"), wants("1")], "initContainers": [wants("3"), sidecar]}
    assert requests(spec) == {"cpu": 4}
    assert requests({**spec, "initContainers": [sidecar, wants("3")]}) == {"cpu": 5}
    assert requests({**spec, "initContainers": [wants("5"), sidecar]}) == {"cpu": 5}
    assert requests({"containers": [{}]}) == {}


def container(kind: Any, what: str, *, last: bool = False) -> Container:
    one = Container({"name": "c"}, kind)
    if what == "waiting":
        one.waiting = ("", "")
    elif what == "running":
        one.running, one.id = "now", "x"
    else:
        one.terminated, one.id = {"exitCode": int(what)}, "x"
    one.last = {"exitCode": 1} if last else None
    return one


@pytest.mark.parametrize(
    ("policy", "containers", "over", "phase"),
    [
        ("Never", [("main", "0"), ("main", "running")], False, "Running"),
        ("Never", [("main", "0"), ("main", "1")], False, "Failed"),
        ("Always", [("main", "0")], False, "Running"),
        ("Always", [("main", "0")], True, "Succeeded"),
        ("OnFailure", [("main", "1")], False, "Running"),
        ("OnFailure", [("main", "1")], True, "Failed"),
        ("Never", [("init", "1"), ("main", "waiting")], False, "Failed"),
        ("OnFailure", [("init", "1"), ("main", "waiting")], False, "Pending"),
        ("Never", [("sidecar", "waiting"), ("main", "waiting")], False, "Pending"),
        ("Never", [("sidecar", "running"), ("main", "0")], False, "Running"),
        ("Never", [("sidecar", "9"), ("main", "0")], False, "Succeeded"),
    ],
)
def test_phases(policy: str, containers: list[tuple[str, str]], over: bool, phase: str) -> None:
    assert status.phase([container(*one) for one in containers], policy, over=over) == phase


def test_a_transition_is_a_change_of_the_status_only() -> None:
    old = [
        {"type": "Ready", "status": "False", "lastTransitionTime": "then", "reason": "A"},
        {"type": "DisruptionTarget", "status": "True"},
    ]
    new = status.merged([{"type": "Ready", "status": "False", "reason": "B"}], old, 3)
    assert new[0]["lastTransitionTime"] == "then"
    assert (new[0]["reason"], new[0]["observedGeneration"]) == ("B", 3)
    assert new[1] == old[1]
    assert status.merged([{"type": "Ready", "status": "True"}], old, 3)[0]["lastTransitionTime"] != "then"


@pytest.mark.parametrize(("seconds", "text"), [(10, "10s"), (80, "1m20s"), (300, "5m0s")])
def test_durations_as_go_writes_them(seconds: float, text: str) -> None:
    assert duration(seconds) == text


def test_options_from_json() -> None:
    raw = {"images": [{"image": "a", "error": "dns"}], "delays": {"crash": [1, 2]}, "cpu": "4"}
    options = NodeOptions.from_dict(raw)
    assert options.images == (ImageFault("a", "dns"),)
    assert options.delays == Delays(crash=(1, 2))
    with pytest.raises(TypeError, match=r"Unknown options of the embedded node: \['gpu'\]"):
        NodeOptions.from_dict({"gpu": 1})
