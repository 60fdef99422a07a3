"""A failing container calls your `on_failure_callback` with the exception, as any failing Airflow task does.

The callback gets the typed error, so it can tell the program's own failure from one of the platform.
"""

from __future__ import annotations

import logging

from airflow.sdk import DAG, Context

from asyncrun.operators.ecs import EcsRunTaskOperator

log = logging.getLogger(__name__)


def tell(context: Context) -> None:
    """Send this to your chat or pager; here it goes to the task's log."""
    log.error("callback: %s failed: %s", context["ti"].task_id, context.get("exception"))


with DAG("ecs_on_failure_callback", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    EcsRunTaskOperator(
        task_id="fails",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["sh", "-c", "echo disk is full; exit 1"]}]},
        on_failure_callback=tell,
    )
