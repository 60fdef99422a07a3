"""Input that cannot work; each task has one thing wrong."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator

GOOD: dict[str, Any] = {
    "cluster": "default",
    "task_definition": "asyncrun-example",
    "launch_type": "FARGATE",
    "network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}},
    "overrides": {},
}


def wrong(task_id: str, **what: Any) -> EcsRunTaskOperator:
    return EcsRunTaskOperator(task_id=task_id, **{**GOOD, **what})


with DAG("e2e_bad_input", schedule=None):
    wrong("unknown_cluster", cluster="no-such-cluster")
    wrong("unknown_definition", task_definition="no-such-family")
    wrong("inactive_definition", task_definition="e2e-inactive:1")
    wrong("unknown_container", overrides={"containerOverrides": [{"name": "nobody", "cpu": 1}]})
    wrong("no_log_group", task_definition="e2e-no-log-group")
    wrong("no_connection", aws_conn_id="no_such_connection")
    wrong("no_network", launch_type="{{ 'FARGATE' }}", network_configuration=None)
    wrong("empty_cluster", cluster="{{ '' }}")
