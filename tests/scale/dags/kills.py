"""Runs that write until they are told to end, some of them with two containers: what triggerers die over.

``folder`` is where the program of all containers and the word to end are (``tests.support.writing``).
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from asyncrun.operators.ecs import EcsRunTaskOperator
from asyncrun.operators.pod import KubernetesPodOperator

RUNS = 5
PAIRS = 2  # of them have two containers
IMAGE = "busybox:1.36"
NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}}


def command(backend: str, part: int, container: str) -> list[str]:
    """How a container writes."""
    folder = "{{ params.folder }}"
    return ["sh", "-c", f"exec python -u {folder}/write.py {folder} {backend}-{part}-{container}"]


def is_pair(part: int) -> bool:
    """Whether that run has two containers."""
    return part >= RUNS - PAIRS


def task(part: int) -> dict[str, Any]:
    """One ECS run: task definitions of one and of two containers."""
    names = ("main", "helper") if is_pair(part) else ("main",)
    return {
        "task_definition": "asyncrun-pair" if is_pair(part) else "asyncrun-example",
        "overrides": {"containerOverrides": [{"name": name, "command": command("ecs", part, name)} for name in names]},
    }


def pod(part: int) -> dict[str, Any]:
    """One pod."""
    names = ("base", "helper") if is_pair(part) else ("base",)
    containers = [{"name": name, "image": IMAGE, "command": command("pod", part, name)} for name in names]
    return {"apiVersion": "v1", "kind": "Pod", "spec": {"restartPolicy": "Never", "containers": containers}}


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params={"folder": Param("", type="string")})


with dag("kills_ecs"):
    EcsRunTaskOperator.partial(
        task_id="part", cluster="default", launch_type="FARGATE", network_configuration=NETWORK
    ).expand_kwargs([task(part) for part in range(RUNS)])

with dag("kills_pod"):
    KubernetesPodOperator.partial(task_id="part", container_logs=True).expand(
        pod_template_dict=[pod(part) for part in range(RUNS)]
    )
