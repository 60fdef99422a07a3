"""Templates inside nested objects."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

import jinja2
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253 - no DAG file
from kubernetes.client import ApiClient, Configuration  # noqa: TID253
from kubernetes.client import models as k8s  # noqa: TID253

from asyncrun.spec.pod.models import Part
from asyncrun.spec.pod.render import render
from tests.spec.pod.support import TI, ours

VALUES = {"x": "ex", "y": "why"}


def text(template: str) -> str:
    return jinja2.Environment(undefined=jinja2.StrictUndefined).from_string(template).render(VALUES)


NESTED: dict[str, Any] = {
    "image": "{{ x }}:1",
    "name": "{{ x }}-pod",
    "hostname": "{{ y }}",
    "namespace": "{{ x }}",
    "base_container_name": "{{ x }}",
    "cmds": ["{{ x }}", "-c"],
    "arguments": ["{{ y }}", "{% if x %}yes{% endif %}"],
    "annotations": {"a": "{{ x }}"},
    "labels": {"b": "{{ y }}"},
    "env_vars": {"A_{{ x }}": "{{ y }}", "B": "b"},
    "container_resources": k8s.V1ResourceRequirements(limits={"cpu": "{{ 1 + 1 }}"}, requests={"memory": "{{ 5 }}Mi"}),
    "volumes": [
        k8s.V1Volume(
            name="v-{{ x }}",
            persistent_volume_claim=k8s.V1PersistentVolumeClaimVolumeSource(claim_name="{{ y }}"),
        ),
        k8s.V1Volume(name="c", config_map=k8s.V1ConfigMapVolumeSource(name="{{ x }}")),
    ],
    "volume_mounts": [k8s.V1VolumeMount(name="v-{{ x }}", mount_path="/v", sub_path="{{ y }}")],
    "env_from": [k8s.V1EnvFromSource(config_map_ref=k8s.V1ConfigMapEnvSource(name="{{ x }}"))],
    "configmaps": ["{{ x }}"],
    "node_selector": {"disk": "{{ x }}"},
    "pod_template_dict": {"metadata": {"labels": {"t": "{{ y }}"}}, "spec": {"containers": [{"name": "{{ x }}"}]}},
}


def test_pod_is_upstreams_after_rendering() -> None:
    operator = KubernetesPodOperator(task_id="t", random_name_suffix=False, **copy.deepcopy(NESTED))
    operator.render_template_fields({**VALUES, "ti": TI})
    operator.name = operator._set_name(operator.name)
    operator.__dict__["hook"] = SimpleNamespace(is_in_cluster=False)
    theirs = ApiClient(Configuration()).sanitize_for_serialization(
        operator.build_pod_request_obj({"ti": TI, "run_id": TI.run_id, "dag": SimpleNamespace()})
    )
    variables = [{"name": key, "value": value} for key, value in NESTED["env_vars"].items()]  # as the operator does
    rendered = {name: render(value, text) for name, value in {**NESTED, "env_vars": variables}.items()}
    mine = ours({**rendered, "random_name_suffix": False})
    for name in ("asyncrun/deployment", "asyncrun/launch"):
        del mine["metadata"]["labels"][name]
    assert mine == theirs


def test_every_text_at_any_depth_is_rendered_and_the_original_is_left() -> None:
    value = [{"a": ("{{ x }}", {"b": ["{{ y }}", 5, None, True]})}, {"{{ x }}": "{{ x }}"}, {"{{ y }}"}]
    before = copy.deepcopy(value)
    assert render(value, text) == [{"a": ("ex", {"b": ["why", 5, None, True]})}, {"{{ x }}": "ex"}, {"why"}]
    assert value == before


def test_models_become_plain_and_still_count_as_given() -> None:
    empty = render(k8s.V1ResourceRequirements(), text)
    assert isinstance(empty, Part)
    variable = k8s.V1EnvVar(name="{{ x }}", value="{{ y }}")
    assert render([variable], text) == [{"name": "ex", "value": "why"}]
    assert variable.name == "{{ x }}"


def test_other_objects_are_left_to_whoever_knows_them() -> None:
    output = SimpleNamespace(resolve=None, iter_references=None)
    assert render([k8s.V1EnvVar(name="a", value=output)], text) == [{"name": "a", "value": output}]
    assert render({"a": 5, "b": output}, text) == {"a": 5, "b": output}
