"""Two containers in one ECS task: the logs of both arrive in the task's log, each line marked with its container.

`main` is essential: when it ends, ECS stops the sidecar, and the exit code of `main` decides.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRegisterTaskDefinitionOperator, EcsRunTaskOperator

IMAGE = "public.ecr.aws/docker/library/python:3.12-slim"


def container(name: str, script: str, *, essential: bool) -> dict[str, Any]:
    """A container definition whose output goes to CloudWatch."""
    return {
        "name": name,
        "image": IMAGE,
        "command": ["sh", "-c", script],
        "essential": essential,
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {
                "awslogs-group": "/ecs/asyncrun-sidecar",
                "awslogs-region": "{{ params.region }}",
                "awslogs-stream-prefix": "ecs",
                "awslogs-create-group": "true",
            },
        },
    }


with DAG(
    "ecs_sidecar",
    tags=["asyncrun"],
    params={
        "cluster": "default",
        "subnet": "subnet-12345678",
        "execution_role": "arn:aws:iam::123456789012:role/ecsTaskExecutionRole",
        "region": "us-east-1",
    },
):
    register = EcsRegisterTaskDefinitionOperator(
        task_id="register",
        family="asyncrun-sidecar",
        container_definitions=[
            container("main", "echo main starts; sleep 3; echo main ends", essential=True),
            container(
                "proxy", "echo proxy is ready; while true; do sleep 1; echo proxy is alive; done", essential=False
            ),
        ],
        register_task_kwargs={
            "cpu": "256",
            "memory": "512",
            "networkMode": "awsvpc",
            "requiresCompatibilities": ["FARGATE"],
            "executionRoleArn": "{{ params.execution_role }}",
        },
    )
    EcsRunTaskOperator(
        task_id="two_containers",
        cluster="{{ params.cluster }}",
        task_definition=register.output,
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={},
    )
