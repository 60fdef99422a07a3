"""A container that fails, on purpose: look at the end of the log of the task `broken`.

It says what happened (which container ended, with which exit code), the evidence and the last lines of the output.
"""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator

# Prints a traceback and exits with 3.
PROGRAM = """
import sys, traceback

print("reading the order book")
try:
    {}["orders"]
except KeyError:
    traceback.print_exc()
    sys.exit(3)
"""

with DAG("ecs_failure", tags=["asyncrun"], params={"cluster": "default", "subnet": "subnet-12345678"}):
    EcsRunTaskOperator(
        task_id="broken",
        cluster="{{ params.cluster }}",
        task_definition="asyncrun-example",
        launch_type="FARGATE",
        network_configuration={"awsvpcConfiguration": {"subnets": ["{{ params.subnet }}"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["python", "-u", "-c", PROGRAM]}]},
    )
