"""Outputs of other tasks, as Airflow makes them, pass wherever they stand in an argument: they are known later."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk import DAG, BaseOperator
from kubernetes.client import models as k8s  # noqa: TID253 - no DAG file

from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.checks import check_pod

with DAG("outputs"):
    OUTPUT: Any = BaseOperator(task_id="other").output


@pytest.mark.parametrize(
    "arguments",
    [
        {"env_vars": {"A": OUTPUT}},
        {"env_vars": [k8s.V1EnvVar(name="A", value=OUTPUT["key"])]},
        {"labels": {"a": OUTPUT}},
        {"annotations": {"a": OUTPUT}},
        {"node_selector": {"a": OUTPUT}},
        {"cmds": ["sh", OUTPUT]},
        {"container_resources": {"requests": {"cpu": OUTPUT}}},
        {"container_resources": {"limits": OUTPUT, "requests": {"nvidia.com/gpu": 1}}},
        {"container_resources": {"limits": {"nvidia.com/gpu": OUTPUT}, "requests": {"nvidia.com/gpu": 1}}},
        {"container_resources": {"limits": {"nvidia.com/gpu": 1}, "requests": {"nvidia.com/gpu": OUTPUT}}},
        {"volumes": [{"name": "data", "emptyDir": OUTPUT}]},
        {"volume_mounts": [{"name": OUTPUT, "mountPath": OUTPUT}]},
        {"ports": [{"containerPort": OUTPUT, "hostPort": 2}], "hostnetwork": True},
        {"ports": [{"containerPort": 2, "hostPort": OUTPUT}], "hostnetwork": True},
        {"ports": [{"containerPort": 2, "hostPort": 3}], "hostnetwork": OUTPUT},
        {"ports": OUTPUT, "hostnetwork": True},
        {"dns_config": {"nameservers": OUTPUT}, "dnspolicy": "None"},
        {"init_containers": [{"name": "first", "image": OUTPUT, "env": OUTPUT, "volumeMounts": OUTPUT}]},
        {
            "init_containers": [{"name": "first", "image": "x", "env": OUTPUT}],
            "pod_template_dict": {"spec": {"initContainers": [{"name": "first", "env": [{"name": "A"}]}]}},
        },
        {"pod_template_dict": {"spec": {"containers": [{"name": "base", "env": OUTPUT}]}}, "env_vars": {"A": "1"}},
        {"pod_template_dict": {"metadata": {"name": OUTPUT}, "spec": {"containers": [{"name": "base"}]}}},
        {"full_pod_spec": {"metadata": {"annotations": {"a": OUTPUT}}, "spec": OUTPUT}},
        {"full_pod_spec": {"spec": {"containers": [{"name": "base", "volumeMounts": OUTPUT}]}}},
    ],
)
def test_outputs_of_other_tasks_pass_at_any_depth(arguments: dict[str, Any]) -> None:
    check_pod(PodArguments(image="x", **arguments))


def test_templates_pass_whose_space_is_gone_once_they_are_rendered() -> None:
    check_pod(PodArguments(image="{{ params.image }}\n"))


def test_a_whole_template_may_bring_what_an_init_container_lacks() -> None:
    template = {"spec": {"initContainers": [{"name": "first"}], "containers": [{"name": "base"}]}}
    for unknown in ({"init_containers": "{{ params.x }}"}, {"full_pod_spec": OUTPUT}):
        check_pod(PodArguments(image="x", pod_template_dict=template, **unknown))  # type: ignore[arg-type]
