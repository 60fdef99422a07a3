"""What may work, and templates, pass where the DAG is parsed; nothing breaks the checks."""

from __future__ import annotations

import contextlib
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
from tests.spec.pod.cases import CASES, TEMPLATE
from tests.spec.pod.test_models import FromAnotherTask

ARGUMENTS = [one.name for one in fields(PodArguments)]


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


def test_same_variable_twice_passes() -> None:
    """The later one goes: that is how an argument overrules a template."""
    check_pod(
        PodArguments(
            image="x",
            env_vars=[{"name": "A", "value": "1"}, {"name": "A", "value": "2"}],
            secrets=[Secret("env", "A", "s", "k")],
        )
    )


def test_template_file_that_is_a_pod_passes() -> None:
    check_template(yaml.safe_load(TEMPLATE))
