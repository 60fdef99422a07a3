"""Resources of device plug-ins, and ports on the node's own network: what the API server takes, and what it refuses."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import check_pod

GPU = "nvidia.com/gpu"
NO_LIMIT = (
    "container_resources.limits['nvidia.com/gpu']=None cannot work: expected as much as in requests: Kubernetes wants "
    "a limit for what device plug-ins offer (one without a request counts as both)"
)


def check(**arguments: Any) -> None:
    check_pod(PodArguments(image="x", **arguments))


@pytest.mark.parametrize(
    "resources",
    [
        {"limits": {GPU: 1}},
        {"limits": {GPU: "1"}, "requests": {GPU: 1}},
        {"limits": {GPU: "1k"}, "requests": {GPU: 1000}},
        {"limits": {GPU: "{{ params.gpus }}"}, "requests": {GPU: 1}},
        {"requests": {"cpu": 1, "memory": "1Gi", "ephemeral-storage": "1Gi"}},
        {"limits": {"cpu": 2}, "requests": {"cpu": 1}},
        {"requests": {"example.kubernetes.io/thing": 1}},
    ],
)
def test_requests_that_can_be_met(resources: dict[str, Any]) -> None:
    check(container_resources=resources)


@pytest.mark.parametrize(
    ("resources", "sentence"),
    [
        (
            {"requests": {GPU: 1}},
            NO_LIMIT,
        ),
        (
            {"limits": {"cpu": 1}, "requests": {GPU: 1}},
            NO_LIMIT,
        ),
        (
            {"limits": {GPU: 2}, "requests": {GPU: 1}},
            "container_resources.requests['nvidia.com/gpu']=1 cannot work: expected as much as in limits, 2",
        ),
        (
            {"limits": {GPU: 1}, "requests": {GPU: "2"}},
            "container_resources.requests['nvidia.com/gpu']='2' cannot work: expected as much as in limits, 1",
        ),
    ],
)
def test_device_requests_without_an_equal_limit_are_refused(resources: dict[str, Any], sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check(container_resources=resources)
    assert str(refused.value) == sentence


@pytest.mark.parametrize("port", [{}, {"hostPort": None}, {"hostPort": 0}, {"hostPort": 80}])
def test_host_ports_that_are_the_containers_own_or_have_that_default(port: dict[str, Any]) -> None:
    check(hostnetwork=True, ports=[{"containerPort": 80, **port}])


def test_another_host_port_needs_a_network_of_the_pods_own() -> None:
    ports = [{"containerPort": 80, "hostPort": 80}, {"containerPort": 81, "hostPort": 8081}]
    check(ports=ports)
    with pytest.raises(InvalidArgument) as refused:
        check(ports=ports, hostnetwork=True)
    assert str(refused.value) == (
        "ports=8081 cannot work: expected the containerPort, 81, or nothing, since hostNetwork is True (field "
        "spec.containers[0].ports[1].hostPort)"
    )


def test_host_ports_of_a_template_meet_the_arguments_network() -> None:
    other = {"name": "side", "image": "x", "ports": [{"containerPort": 1, "hostPort": 2}]}
    template = {"spec": {"containers": [{"name": "base"}, other]}}
    with pytest.raises(InvalidArgument, match=r"^pod\.spec\.containers\[1\]\.ports\[0\]\.hostPort=2 cannot work"):
        check(pod_template_dict=template, hostnetwork=True)


def test_empty_text_has_kubernetes_default() -> None:
    check(dnspolicy="", full_pod_spec={"spec": {"restartPolicy": "", "containers": [{"name": "base"}]}})
