"""What cannot work is refused by name, in one sentence without secrets."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import check_pod, check_template
from tests.spec.pod import refused_containers, refused_pods

NO_POD = "cannot work: expected a file with one pod as YAML: a mapping with 'metadata' and 'spec'"
REFUSED = [*refused_containers.REFUSED, *refused_pods.REFUSED]


def refusal(**arguments: Any) -> str:
    with pytest.raises(InvalidArgument) as refused:
        check_pod(PodArguments(**{"image": "x", **arguments}))
    return str(refused.value)


@pytest.mark.parametrize(("arguments", "sentence"), REFUSED)
def test_refused(arguments: dict[str, Any], sentence: str) -> None:
    before = copy.deepcopy(arguments)
    said = refusal(**arguments)
    assert said == sentence or said.startswith(f"{sentence} cannot work: expected ")
    assert "hunter2" not in said
    assert arguments == before


def test_every_refusal_names_the_argument() -> None:
    for arguments, _ in REFUSED:
        said = refusal(**arguments)
        assert said.startswith((*arguments, "base_container_name", "dns_config", "pod.spec")), said


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (None, f"pod_template_file=<NoneType> {NO_POD}"),
        (["a"], f"pod_template_file=<list> {NO_POD}"),
        ("text", f"pod_template_file=<str> {NO_POD}"),
        (
            {"kind": "Deployment", "spec": {"replicas": 1}},
            "pod_template_file.spec='replicas' cannot work: expected a field "
            "of PodSpec in Kubernetes 1.36 (activeDeadlineSeconds, affinity, automountServiceAccountToken, containers, "
            "dnsConfig, dnsPolicy, enableServiceLinks, ephemeralContainers, hostAliases, hostIPC, hostNetwork, "
            "hostPID, "
            "...)",
        ),
        (
            {"spec": {"containers": [{"image": "x", "resource": {}}]}},
            "pod_template_file.spec.containers[0]='resource' "
            "cannot work: expected a field of Container in Kubernetes 1.36; did you mean 'resources'?",
        ),
    ],
)
def test_template_file_that_is_no_pod_is_refused(content: object, sentence: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_template(content)
    assert str(refused.value) == sentence
