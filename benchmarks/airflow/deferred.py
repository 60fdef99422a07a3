"""What the DAG files are made of. Each has one operator class: a worker imports nothing but what it needs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from airflow.sdk import DAG

from benchmarks.airflow.plan import (
    LABEL_VARIABLE,
    SCRIPT_ANNOTATION,
    SPEC_VARIABLE,
    TASK,
    WARMING_RUNS,
    Backend,
    Operators,
    dag_id,
    label,
    planned,
)


def ecs_dags(operators: Operators, operator: Any) -> dict[str, DAG]:
    """The DAG that is measured and the one that warms up, by id.

    :param operator: the class. Ours finds out by itself where the logs are; upstream's is told, as its documentation
        says.
    """
    plan = planned()
    more: dict[str, Any] = {}
    if operators == "upstream":
        more = {
            "deferrable": True,
            "awslogs_group": "/ecs/bench",
            "awslogs_region": "us-east-1",
            "awslogs_stream_prefix": "bench/main",
            **({} if plan.waiter_delay is None else {"waiter_delay": plan.waiter_delay}),
        }
    spec = {"name": SPEC_VARIABLE, "value": plan.task_spec}
    dags = {}
    for dag, labels in _dags("ecs", operators):
        variables = [[{"name": LABEL_VARIABLE, "value": one}, spec] for one in labels]
        with dag:
            operator.partial(
                task_id=TASK,
                cluster="default",
                task_definition="bench-main",
                launch_type="FARGATE",
                network_configuration={"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}},
                **more,
            ).expand(overrides=[{"containerOverrides": [{"name": "main", "environment": one}]} for one in variables])
        dags[dag.dag_id] = dag
    return dags


def pod_dags(operators: Operators, operator: Any) -> dict[str, DAG]:
    """The DAG that is measured and the one that warms up, by id.

    :param operator: the class. Upstream's shows logs of a pod that runs only where ``logging_interval`` is given.
    """
    plan = planned()
    more = {"deferrable": True, "logging_interval": plan.logging_interval} if operators == "upstream" else {}
    dags = {}
    for dag, labels in _dags("pods", operators):
        with dag:
            operator.partial(
                task_id=TASK,
                image="busybox:1.36",
                cmds=["sh", "-c", "work"],
                annotations={SCRIPT_ANNOTATION: plan.script},
                **more,
            ).expand(name=labels)
        dags[dag.dag_id] = dag
    return dags


def _dags(backend: Backend, operators: Operators) -> Iterator[tuple[DAG, list[str]]]:
    """Empty DAGs, with the labels of their tasks' containers."""
    for warming, runs in ((False, planned().runs), (True, WARMING_RUNS)):
        name = dag_id(backend, operators, warming=warming)
        yield DAG(name, schedule=None, max_active_tasks=1_000), [label(name, index) for index in range(runs)]
