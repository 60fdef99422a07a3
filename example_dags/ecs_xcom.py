"""The last line that the container writes is the task's XCom: here a JSON document that the next task reads."""

from __future__ import annotations

import json

from airflow.sdk import DAG, task

from asyncrun.operators.ecs import EcsRunTaskOperator

PROGRAM = """
import json

print("counting")
print(json.dumps({"rows": 1204, "table": "orders"}))
"""


@task
def report(last_line: str) -> str:
    """Use what the container found out."""
    result = json.loads(last_line)
    message = f"{result['rows']} rows in {result['table']}"
    print(message)  # noqa: T201 - the output of a Python task is its log
    return message


with DAG("ecs_xcom", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    count = EcsRunTaskOperator(
        task_id="count",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["python", "-u", "-c", PROGRAM]}]},
    )
    report(count.output)
