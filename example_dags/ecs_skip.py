"""A container that finds nothing to do exits with 99, and the task is skipped instead of failed; what comes after it
is skipped, too."""

from __future__ import annotations

from airflow.sdk import DAG, task

from asyncrun.operators.ecs import EcsRunTaskOperator


@task
def process() -> None:
    """Would run if there were something to do."""


with DAG("ecs_skip", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    look_for_work = EcsRunTaskOperator(
        task_id="look_for_work",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["sh", "-c", "echo no new files; exit 99"]}]},
        skip_on_exit_code=99,
    )
    look_for_work >> process()
