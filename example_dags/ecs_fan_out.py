"""Twenty containers at a time from one mapped task: all of them are watched by a few shared pollers, and no worker
waits."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator

PARTS = 20

with DAG("ecs_fan_out", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    EcsRunTaskOperator.partial(
        task_id="part",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
    ).expand(
        overrides=[
            {"containerOverrides": [{"name": "main", "command": ["sh", "-c", f"echo part {part} of {PARTS}; sleep 2"]}]}
            for part in range(1, PARTS + 1)
        ]
    )
