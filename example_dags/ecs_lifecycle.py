"""A whole life: create a cluster, register a task definition, run it, check what became of it, and put everything
away again.

The logs of the container arrive in the log of the task `run` while it runs.
"""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
    EcsRunTaskOperator,
)
from asyncrun.sensors.ecs import EcsClusterStateSensor, EcsTaskDefinitionStateSensor, EcsTaskStateSensor

# What the container does: one line a second, for ten seconds.
PROGRAM = """
import time

for step in range(1, 11):
    print(f"step {step} of 10", flush=True)
    time.sleep(1)
print("all steps done")
"""

CLUSTER = "asyncrun-lifecycle"

with DAG(
    "ecs_lifecycle",
    tags=["asyncrun"],
    params={
        "subnet": "subnet-12345678",
        "execution_role": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "region": "us-east-1",
    },
):
    create_cluster = EcsCreateClusterOperator(task_id="create_cluster", cluster_name=CLUSTER)
    cluster_is_active = EcsClusterStateSensor(task_id="cluster_is_active", cluster_name=CLUSTER)

    register = EcsRegisterTaskDefinitionOperator(
        task_id="register",
        family="asyncrun-lifecycle",
        container_definitions=[
            {
                "name": "main",
                "image": "public.ecr.aws/docker/library/python:3.12-slim",
                "command": ["python", "-c", PROGRAM],
                "essential": True,
                "logConfiguration": {
                    "logDriver": "awslogs",
                    "options": {
                        "awslogs-group": "/ecs/asyncrun-lifecycle",
                        "awslogs-region": "{{ params.region }}",
                        "awslogs-stream-prefix": "ecs",
                        "awslogs-create-group": "true",
                    },
                },
            }
        ],
        register_task_kwargs={
            "cpu": "256",
            "memory": "512",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "executionRoleArn": "{{ params.execution_role }}",
        },
    )
    # `register.output` is the ARN of the new revision.
    definition_is_active = EcsTaskDefinitionStateSensor(task_id="definition_is_active", task_definition=register.output)

    run = EcsRunTaskOperator(
        task_id="run",
        cluster=CLUSTER,
        task_definition=register.output,
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={},
    )
    task_is_stopped = EcsTaskStateSensor(
        task_id="task_is_stopped",
        cluster=CLUSTER,
        task="{{ ti.xcom_pull('run', key='ecs_task_arn') }}",
        target_state="STOPPED",
    )

    # Teardowns also run after a failure, and do not decide whether the DAG run succeeded.
    deregister = EcsDeregisterTaskDefinitionOperator(
        task_id="deregister", task_definition=register.output
    ).as_teardown()
    delete_cluster = EcsDeleteClusterOperator(task_id="delete_cluster", cluster_name=CLUSTER).as_teardown()

    create_cluster >> cluster_is_active >> run
    register >> definition_is_active >> run
    run >> task_is_stopped
    task_is_stopped >> [deregister, delete_cluster]
