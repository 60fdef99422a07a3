"""The smallest useful DAG: run one container on Fargate and see its output in the task's log.

No worker slot is held while the container runs. The container's last line becomes the task's XCom.

The task definition ``asyncrun-example`` has one container named ``main`` (a Python image, logs to CloudWatch);
README.md in this folder says
how to register it in your account. Cluster and subnet are asked for when the DAG is triggered.
"""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator

with DAG("ecs_minimal", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    EcsRunTaskOperator(
        task_id="hello",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["python", "-c", "print('Hello from ECS')"]}]},
    )
