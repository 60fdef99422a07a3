"""What cannot work is refused where the DAG is parsed, by name; what may work, and templates, pass."""

from __future__ import annotations

import contextlib
import copy
from dataclasses import fields
from types import SimpleNamespace
from typing import Any

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st
from kubernetes.client import models as k8s  # noqa: TID253 - no DAG file

from asyncrun.model.errors import InvalidArgument
from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.build import build_manifest
from asyncrun.spec.pod.checks import check_pod, check_template
from asyncrun.spec.pod.secret import Secret
from asyncrun.spec.pod.whole import check_manifest
from tests.spec.pod.test_like_upstream import CASES, TEMPLATE
from tests.spec.pod.test_models import FromAnotherTask

ARGUMENTS = [one.name for one in fields(PodArguments)]
VOLUMES = [k8s.V1Volume(name="data", empty_dir=k8s.V1EmptyDirVolumeSource())]


def refusal(**arguments: Any) -> str:
    with pytest.raises(InvalidArgument) as refused:
        check_pod(PodArguments(**{"image": "x", **arguments}))
    return str(refused.value)


@pytest.mark.parametrize("case", sorted(set(CASES) - {"nothing"}))
def test_what_upstream_can_send_passes(case: str) -> None:
    check_pod(PodArguments(**CASES[case]))


@pytest.mark.parametrize("value", ["{{ params.x }}", FromAnotherTask(), ["{{ params.x }}"], [FromAnotherTask()]])
@pytest.mark.parametrize("name", ARGUMENTS)
def test_templates_pass_everywhere(name: str, value: object) -> None:
    if isinstance(value, list) and name not in LISTS:
        return
    check_pod(PodArguments(**{"image": "x", name: value}))
    check_pod(PodArguments(**{"pod_template_file": "/pod.yaml", name: value}))


LISTS = {
    "cmds",
    "arguments",
    "ports",
    "volume_mounts",
    "volumes",
    "env_vars",
    "env_from",
    "configmaps",
    "secrets",
    "pod_runtime_info_envs",
    "tolerations",
    "host_aliases",
    "init_containers",
    "image_pull_secrets",
}


def test_templates_inside_pass() -> None:
    arguments = {
        "image": "{{ x }}",
        "name": "{{ x }}",
        "labels": {"a": "{{ x }} {{ y }}"},
        "volumes": [{"name": "{{ x }}", "emptyDir": {"sizeLimit": "{{ x }}"}}],
        "volume_mounts": [k8s.V1VolumeMount(name="other", mount_path="{{ x }}", sub_path="{{ '/' }}")],
        "env_vars": {"{{ x }}": "{{ y }}"},
        "container_resources": {"limits": {"cpu": "{{ x }}"}, "requests": {"cpu": "5"}},
        "init_containers": [{"name": "{{ x }}", "image": "{{ x }}", "imagePullPolicy": "{{ x }}"}],
        "tolerations": [{"key": "a", "operator": "{{ x }}", "effect": "{{ x }}"}],
        "full_pod_spec": {"spec": {"containers": [{"name": "{{ x }}"}], "priority": "{{ x }}"}},
        "active_deadline_seconds": "{{ x }}",
        "do_xcom_push": "{{ x }}",
    }
    check_pod(PodArguments(**arguments))


@pytest.mark.parametrize(
    "full",
    [
        {"spec": "{{ x }}"},
        {"spec": {"containers": "{{ x }}"}},
        {"metadata": "{{ x }}"},
        {"metadata": {"labels": FromAnotherTask()}},
        {"spec": {"containers": [FromAnotherTask()]}},
        {"spec": {"volumes": ["{{ x }}"]}},
    ],
)
def test_templates_in_place_of_a_pods_parts_pass(full: dict[str, Any]) -> None:
    check_pod(PodArguments(full_pod_spec=full))
    check_pod(PodArguments(image="x", pod_template_dict=full))


_JUNK = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-2, 70000)
    | st.floats()
    | st.text(max_size=5)
    | st.binary(max_size=2)
    | st.sampled_from(["name", "{{ x }}", "500m", "Always", "/a"]),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                ["name", "spec", "containers", "metadata", "labels", "volumes", "env", "image", "limits", "cpu"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), _JUNK, max_size=4))
def test_nothing_breaks_the_checks(arguments: dict[str, Any]) -> None:
    """A crash would be shown as an import error of the DAG, without a word about the argument."""
    with contextlib.suppress(InvalidArgument):
        check_pod(PodArguments(**arguments))


@settings(max_examples=100, deadline=None)
@given(st.dictionaries(st.sampled_from(ARGUMENTS), _JUNK, max_size=3))
def test_what_passes_can_be_built(arguments: dict[str, Any]) -> None:
    try:
        check_pod(made := PodArguments(**{"image": "x", **arguments}))
    except InvalidArgument:
        return
    if "{{" not in repr(arguments):
        check_manifest(build_manifest(made, task_id="t", launch="0", labels={}, namespace="n"))


def test_arguments_are_read_from_an_operator() -> None:
    operator = SimpleNamespace(**{name: f"<{name}>" for name in ARGUMENTS})
    assert vars(PodArguments.of(operator)) == vars(operator)


def _affinity(requirement: dict[str, Any], weight: int = 1) -> dict[str, Any]:
    term = {"weight": weight, "preference": {"matchExpressions": [requirement]}}
    return {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": [term]}}}


NAME_63 = "expected 1 to 63 lower-case letters, digits and dashes, beginning and ending with a letter or digit"


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        (
            {"image": None},
            "image=None cannot work: expected an image, here or in full_pod_spec or the pod template (field "
            "spec.containers[0].image)",
        ),
        (
            {"image": ""},
            "image='' cannot work: expected an image, here or in full_pod_spec or the pod template (field "
            "spec.containers[0].image)",
        ),
        (
            {"image": " x"},
            "image=' x' cannot work: expected an image's name without spaces around it (field "
            "spec.containers[0].image)",
        ),
        ({"image": ["x"]}, "image=<list> cannot work: expected text"),
        (
            {"pod_template_file": "/a", "pod_template_dict": {"spec": {}}},
            "pod_template_dict=<dict> cannot work: expected nothing, since pod_template_file is given",
        ),
        ({"pod_template_file": ""}, "pod_template_file='' cannot work: expected a path of a YAML file with a pod"),
        ({"cmds": "echo hi"}, "cmds=<str> cannot work: expected a list, of which each is text"),
        ({"cmds": ["sleep", 5]}, "cmds[1]=<int> cannot work: expected text"),
        (
            {"name": "a b"},
            "name='a b' cannot work: expected 1 to 220 letters, digits, dashes, dots and underscores (the rest is made "
            "safe)",
        ),
        (
            {"name": "_a", "random_name_suffix": False},
            "name='-a' cannot work: expected 1 to 253 lower-case letters, digits, dashes and dots, each part "
            "beginning and ending with a letter or digit (field metadata.name)",
        ),
        ({"namespace": "a.b"}, f"namespace='a.b' cannot work: {NAME_63} (field metadata.namespace)"),
        (
            {"labels": {"a b": "c"}},
            "labels='a b' cannot work: expected labels whose keys are 1 to 63 letters, digits, dashes, underscores and "
            "dots, beginning and ending with a letter or digit, which may stand after a DNS name and '/'",
        ),
        (
            {"labels": {"a": "b c"}},
            "labels['a']='b c' cannot work: expected at most 63 letters, digits, dashes, underscores and dots, "
            "beginning "
            "and ending with a letter or digit",
        ),
        ({"labels": {"a": 5}}, "labels['a']=<int> cannot work: expected text"),
        ({"annotations": {"a": 5}}, "annotations['a']=<int> cannot work: expected text"),
        ({"annotations": {"/a": "5"}}, None),
        ({"labels": {"a": "x" * 64}}, None),
        ({"env_vars": {"A": 5}}, "env_vars['A']=<int> cannot work: expected text"),
        (
            {"env_vars": {"A=B": "c"}},
            "env_vars='A=B' cannot work: expected the name of an environment variable: printable ASCII without '='",
        ),
        ({"env_vars": {"": "c"}}, None),
        ({"env_vars": "A=b"}, "env_vars=<str> cannot work: expected a dict of texts, or a list of V1EnvVar"),
        ({"env_vars": [k8s.V1EnvVar(name="A", value=5)]}, "env_vars[0].value=<int> cannot work: expected text"),
        (
            {"env_vars": [{"value": "hunter2"}]},
            "env_vars[0].name=None cannot work: expected a value: Kubernetes requires it in every EnvVar",
        ),
        (
            {"env_vars": [{"name": "A", "value": "hunter2", "valueFrom": {"fieldRef": {"fieldPath": "x"}}}]},
            "env_vars[0].valueFrom=<dict> cannot work: expected nothing, since there is a value",
        ),
        (
            {"env_vars": [{"name": "A", "valueFrom": {}}]},
            "env_vars[0].valueFrom='none' cannot work: expected exactly one source",
        ),
        (
            {"env_from": [{"prefix": "A_"}]},
            "env_from[0]='nothing' cannot work: expected either configMapRef or secretRef",
        ),
        ({"env_from": [{"secretRef": {}}]}, "env_from[0].secretRef.name=None cannot work: expected the name of it"),
        ({"configmaps": "cm"}, "configmaps=<str> cannot work: expected a list, of which each is text"),
        ({"configmaps": ["C M"]}, None),
        (
            {"volume_mounts": [k8s.V1VolumeMount(name="dta", mount_path="/a")], "volumes": VOLUMES},
            "volume_mounts='dta' cannot work: expected the name of one of the pod's volumes (data) (field "
            "spec.containers[0].volumeMounts[0].name)",
        ),
        (
            {"volume_mounts": [{"name": "data"}], "volumes": VOLUMES},
            "volume_mounts[0].mountPath=None cannot work: expected a value: Kubernetes requires it in every "
            "VolumeMount",
        ),
        (
            {"volume_mounts": [{"name": "data", "mountPath": "/a", "subPath": "../b"}], "volumes": VOLUMES},
            "volume_mounts[0].subPath='../b' cannot work: expected a path inside the volume: relative, without '..'",
        ),
        (
            {"volume_mounts": [{"name": "data", "mountPath": "/a"}] * 2, "volumes": VOLUMES},
            "volume_mounts='/a' cannot work: expected another: it is there already (field "
            "spec.containers[0].volumeMounts[1].mountPath)",
        ),
        (
            {"volumes": VOLUMES * 2},
            "volumes='data' cannot work: expected another: it is there already (field spec.volumes[1].name)",
        ),
        (
            {"volumes": [{"name": "a", "emptyDir": {}, "hostPath": {"path": "/a"}}]},
            "volumes[0]='emptyDir, hostPath' cannot work: expected one kind of volume",
        ),
        ({"volumes": [{"name": "A", "emptyDir": {}}]}, f"volumes[0].name='A' cannot work: {NAME_63}"),
        (
            {"volumes": [{"name": "a", "emptydir": {}}]},
            "volumes[0]='emptydir' cannot work: expected a field of Volume in "
            "Kubernetes 1.36; did you mean 'emptyDir'?",
        ),
        ({"volumes": [{"name": "a", "emptyDir": {"sizeLimit": "1 GB"}}]}, None),
        ({"secrets": [{"secret": "s"}]}, "secrets[0]=<dict> cannot work: expected asyncrun's Secret, or upstream's"),
        ({"secrets": Secret("env", None, "s")}, "secrets=<Secret> cannot work: expected a list of Secret"),
        (
            {"container_resources": {"limits": {"memory": "1Gi"}, "requests": {"memory": "2G"}}},
            "container_resources.requests['memory']='2G' cannot work: expected at most its limit, 1Gi",
        ),
        (
            {"container_resources": {"limits": {"cpu": "1 core"}}},
            "container_resources.limits['cpu']='1 core' cannot work: expected a quantity: a number with a unit such as "
            "500m, 256Mi or 1G, 0 or more",
        ),
        ({"container_resources": {"limits": {"cpu": "-1"}}}, None),
        ({"container_resources": {"limits": {"memory": "1gb"}}}, None),
        (
            {"container_resources": {"request_memory": "1Gi"}},
            "container_resources='request_memory' cannot work: expected a field of ResourceRequirements in Kubernetes "
            "1.36; did you mean 'requests'?",
        ),
        (
            {"ports": [{"containerPort": 0}]},
            "ports[0].containerPort=0 cannot work: expected a whole number from 1 to 65535",
        ),
        ({"ports": [{"containerPort": 80, "name": "a_port"}]}, None),
        ({"ports": [{"containerPort": 80, "protocol": "tcp"}]}, None),
        ({"ports": [{"name": "a"}]}, None),
        (
            {"init_containers": [k8s.V1Container(name="base", image="x")]},
            "init_containers='base' cannot work: expected another: a main container has that name (field "
            "spec.initContainers[0].name)",
        ),
        (
            {"init_containers": [{"name": "i"}]},
            "init_containers=None cannot work: expected an image, here or in "
            "full_pod_spec or the pod template (field spec.initContainers[0].image)",
        ),
        ({"init_containers": [{"name": "i", "image": "x"}] * 2}, None),
        ({"init_containers": [{"name": "I", "image": "x"}]}, f"init_containers[0].name='I' cannot work: {NAME_63}"),
        (
            {"image_pull_policy": "always"},
            "image_pull_policy='always' cannot work: expected one of Always, IfNotPresent, Never (field "
            "spec.containers[0].imagePullPolicy)",
        ),
        (
            {"dnspolicy": "Cluster"},
            "dnspolicy='Cluster' cannot work: expected one of ClusterFirst, "
            "ClusterFirstWithHostNet, Default, None (field spec.dnsPolicy)",
        ),
        (
            {"termination_message_policy": "Log"},
            "termination_message_policy='Log' cannot work: expected one of File, "
            "FallbackToLogsOnError (field spec.containers[0].terminationMessagePolicy)",
        ),
        (
            {"active_deadline_seconds": 0},
            "active_deadline_seconds=0 cannot work: expected a whole number of seconds from 1 "
            "to 2147483647 (field spec.activeDeadlineSeconds)",
        ),
        ({"active_deadline_seconds": -5}, None),
        ({"active_deadline_seconds": "60"}, "active_deadline_seconds=<str> cannot work: expected a whole number"),
        (
            {"termination_grace_period": -1},
            "termination_grace_period=-1 cannot work: expected a whole number of seconds "
            "from 0 to 2147483647 (field spec.terminationGracePeriodSeconds)",
        ),
        ({"termination_grace_period": 1.5}, None),
        ({"hostname": "a_b"}, f"hostname='a_b' cannot work: {NAME_63} (field spec.hostname)"),
        ({"service_account_name": "A"}, None),
        ({"hostnetwork": "yes"}, "hostnetwork=<str> cannot work: expected True or False"),
        ({"random_name_suffix": "perhaps"}, "random_name_suffix='perhaps' cannot work: expected True or False"),
        ({"node_selector": {"a": "b c"}}, None),
        (
            {"tolerations": [{"operator": "Equal"}]},
            "tolerations[0].key=None cannot work: expected a taint's key, or operator 'Exists' for all taints",
        ),
        ({"tolerations": [{"key": "a", "effect": "NoRun"}]}, None),
        ({"tolerations": [{"key": "a", "operator": "Exists", "value": "b"}]}, None),
        (
            {"affinity": {"nodeAffinty": {}}},
            "affinity='nodeAffinty' cannot work: expected a field of Affinity in "
            "Kubernetes 1.36; did you mean 'nodeAffinity'?",
        ),
        ({"security_context": {"runAsUser": -1}}, None),
        (
            {"security_context": k8s.V1SecurityContext(privileged=True)},
            "security_context=<V1SecurityContext> cannot work: "
            "expected a Kubernetes PodSecurityContext: V1PodSecurityContext of the Kubernetes client, or a dict of its "
            "fields",
        ),
        (
            {"full_pod_spec": k8s.V1PodSpec(containers=[])},
            "full_pod_spec=<V1PodSpec> cannot work: expected a Kubernetes "
            "Pod: V1Pod of the Kubernetes client, or a dict of its fields",
        ),
        (
            {"full_pod_spec": {"spec": {"containers": [{"name": "proxy", "image": "p"}, {"name": "base"}]}}},
            "base_container_name='base' cannot work: expected the name of the first container in the pod template or "
            "full_pod_spec, with which the operator's own is merged: 'base' is number 2 there",
        ),
        (
            {"pod_template_dict": {"kind": "Deployment"}},
            "pod_template_dict.kind='Deployment' cannot work: expected one of Pod",
        ),
        (
            {"pod_template_dict": {"metadata": {"resourceVersion": "5"}}},
            "pod_template_dict.metadata.resourceVersion='5' cannot work: expected nothing: the pod is new (remove it "
            "from the template)",
        ),
        ({"pod_template_dict": {"spec": {"containers": [{"name": "a"}, {"name": "b"}]}}}, None),
        ({"do_xcom_push": True, "volumes": [{"name": "xcom", "emptyDir": {}}]}, None),
        ({"base_container_name": "My Container"}, None),
        ({"env_vars": [{"name": "A=B", "value": "hunter2"}]}, None),
        ({"image_pull_secrets": [{"nme": "a"}]}, None),
        (
            {"volume_mounts": [{"name": "data", "mountPath": "/a", "subPath": "b", "subPathExpr": "c"}]},
            "volume_mounts[0].subPathExpr='c' cannot work: expected nothing, since there is a subPath",
        ),
        (
            {"volumes": [{"name": "a", "secret": {"items": [{"key": "k", "path": "/p"}]}}]},
            "volumes[0].secret.items[0].path='/p' cannot work: expected a path inside the volume: relative, without "
            "'..'",
        ),
        ({"container_resources": {"limits": {"my cpu": "1"}}}, None),
        (
            _affinity({"key": "k", "operator": "In"}),
            "affinity.nodeAffinity.preferredDuringSchedulingIgnoredDuringExecution[0].preference.matchExpressions[0]"
            ".values=None cannot work: expected at least one value with operator 'In'",
        ),
        (_affinity({"key": "k", "operator": "Exists", "values": ["a"]}), None),
        (_affinity({"key": "k", "operator": "Is"}), None),
        (_affinity({"key": "k", "operator": "Exists"}, weight=0), None),
        ({"pod_template_dict": {"apiVersion": "v2"}}, None),
        ({"ports": [{"containerPort": 80, "hostPort": 70000}]}, None),
        ({"env_from": [{"prefix": "a=", "secretRef": {"name": "s"}}]}, None),
        ({"env_from": [{"secretRef": {"name": "S"}}]}, None),
        ({"env_from": [{"secretRef": {"name": "s"}, "configMapRef": {"name": "c"}}]}, None),
        ({"priority_class_name": "High"}, None),
        ({"runtime_class_name": "G Visor"}, None),
        ({"subdomain": "a.b"}, None),
        ({"tolerations": [{"key": "a", "operator": "exists"}]}, None),
        ({"full_pod_spec": {"metadata": {"annotations": {"a b": "c"}}}}, None),
        ({"full_pod_spec": {"metadata": {"labels": {"a b": "c"}}}}, None),
        ({"full_pod_spec": {"metadata": {"name": "A"}}}, None),
        ({"full_pod_spec": {"metadata": {"namespace": "A"}}}, None),
        ({"full_pod_spec": {"spec": {"containers": [], "restartPolicy": "never"}}}, None),
        (
            {"full_pod_spec": {"spec": {"containers": [], "ephemeralContainers": [{"name": "e", "image": "x"}]}}},
            "full_pod_spec.spec.ephemeralContainers='a list' cannot work: expected nothing: they are added to running "
            "pods only",
        ),
        (
            {"dnspolicy": "None"},
            "dns_config=None cannot work: expected nameservers, since dnspolicy is 'None' (field spec.dnsConfig)",
        ),
        (
            {"tolerations": [{"key": "a", "effect": "NoSchedule", "tolerationSeconds": 5}]},
            "tolerations[0].effect='NoSchedule' cannot work: expected one of NoExecute",
        ),
        (
            {"container_security_context": {"privileged": True, "allowPrivilegeEscalation": False}},
            "container_security_context.allowPrivilegeEscalation=False cannot work: expected True, or nothing, since "
            "privileged is True",
        ),
        (
            {"host_aliases": [{"ip": "1.2.3.999", "hostnames": ["a"]}]},
            "host_aliases[0].ip='1.2.3.999' cannot work: expected an IP address",
        ),
        ({"init_containers": [None]}, "init_containers[0]=None cannot work: expected a value"),
        ({"dns_config": {"nameservers": ["10.0.0.1", "nope"]}}, None),
        ({"dns_config": {"nameservers": ["10.0.0.1", "10.0.0.2", "::1", "10.0.0.4"]}}, None),
        (
            {"full_pod_spec": {"spec": {"containers": [{"name": "base", "livenessProbe": {"periodSeconds": 5}}]}}},
            "full_pod_spec.spec.containers[0].livenessProbe='nothing' cannot work: expected exactly one of exec, grpc, "
            "httpGet, tcpSocket",
        ),
        (
            {
                "full_pod_spec": {
                    "spec": {
                        "containers": [
                            {"name": "base", "startupProbe": {"exec": {"command": ["a"]}, "tcpSocket": {"port": 80}}}
                        ]
                    }
                }
            },
            None,
        ),
        (
            {"full_pod_spec": {"spec": {"containers": [{"name": "base", "lifecycle": {"preStop": {}}}]}}},
            None,
        ),
        (
            {"init_containers": [{"name": "i", "image": "x", "lifecycle": {}}]},
            "init_containers=<dict> cannot work: expected nothing in an init container (unless its restartPolicy is "
            "Always) (field spec.initContainers[0].lifecycle)",
        ),
    ],
)
def test_refused(arguments: dict[str, Any], sentence: str | None) -> None:
    before = copy.deepcopy(arguments)
    said = refusal(**arguments)
    assert sentence is None or said == sentence
    assert "hunter2" not in said
    assert repr(arguments) == repr(before) or "Secret" in repr(arguments)


def test_every_refusal_names_the_argument() -> None:
    parameters = next(mark for mark in test_refused.pytestmark if mark.name == "parametrize").args[1]  # type: ignore[attr-defined]
    for arguments, _ in parameters:
        said = refusal(**arguments)
        assert said.startswith((*arguments, "base_container_name", "dns_config", "pod.spec")), said


def test_same_variable_twice_passes() -> None:
    """The later one goes: that is how an argument overrules a template."""
    check_pod(
        PodArguments(
            image="x",
            env_vars=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            secrets=[Secret("env", "A", "s", "k")],
        )
    )


@pytest.mark.parametrize(
    ("content", "sentence"),
    [
        (
            None,
            "pod_template_file=<NoneType> cannot work: expected a file with one pod as YAML: a mapping with "
            "'metadata' and 'spec'",
        ),
        (["a"], None),
        ("text", None),
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
def test_template_file_that_is_no_pod_is_refused(content: object, sentence: str | None) -> None:
    with pytest.raises(InvalidArgument) as refused:
        check_template(content)
    assert sentence is None or str(refused.value) == sentence


def test_template_file_that_is_a_pod_passes() -> None:
    check_template(yaml.safe_load(TEMPLATE))
