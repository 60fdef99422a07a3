"""A mapped task whose containers run for minutes, unless somebody ends them."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator

PARTS = 10

with DAG("e2e_mass_kill", schedule=None):
    EcsRunTaskOperator.partial(
        task_id="part",
        cluster="default",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}},
    ).expand(
        overrides=[
            {"containerOverrides": [{"name": "main", "command": ["sh", "-c", f"echo line; exec sleep 30{part}"]}]}
            for part in range(PARTS)
        ]
    )
