"""ECS runs as the end-to-end tests need them: what a container does is given when a DAG run is triggered.

Each DAG has one idea; ``program`` is a shell script, run by the container `main` of the examples' task definition.
"""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.providers.standard.operators.empty import EmptyOperator  # noqa: TID253 - as in users' DAG files
from airflow.sdk import DAG, Asset, Param

from asyncrun.operators.ecs import EcsRunTaskOperator

NETWORK = {"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}}
WHERE: dict[str, Any] = {
    "cluster": "default",
    "task_definition": "asyncrun-example",
    "launch_type": "FARGATE",
    "network_configuration": NETWORK,
}
PARTS = 20


def script(program: str = "{{ params.program }}", **environment: str) -> dict[str, Any]:
    """``overrides`` with which the container runs a shell script."""
    pairs = [{"name": name, "value": value} for name, value in environment.items()]
    return {"containerOverrides": [{"name": "main", "command": ["sh", "-c", program], "environment": pairs}]}


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params={"program": Param("echo done", type="string")})


def tell(context: Any) -> None:
    """A callback that says what it got."""
    error = context.get("exception")
    kind = f"{type(error).__module__}.{type(error).__qualname__}"
    exit_code = getattr(getattr(error, "outcome", None), "exit_code", None)
    print(f"callback of {context['ti'].task_id}: {kind if error else 'no error'}, exit code {exit_code}")


with dag("e2e_run"):
    EcsRunTaskOperator(task_id="run", **WHERE, overrides=script())

# Connections of these names lead to AWS accounts of their own.
for account in ("launch_denied", "launch_expired", "watching_refused"):
    with dag(f"e2e_{account}"):
        EcsRunTaskOperator(task_id="run", **WHERE, overrides=script(), aws_conn_id=account)

with dag("e2e_mapped"):
    EcsRunTaskOperator.partial(task_id="part", **WHERE).expand(
        overrides=[
            script(PART=str(part), WHO="{{ ti.task_id }}[{{ ti.map_index }}] of {{ dag.dag_id }}")
            for part in range(PARTS)
        ]
    )

with dag("e2e_several"):
    EcsRunTaskOperator.partial(task_id="part", **WHERE).expand(overrides=[script(PART=str(part)) for part in range(5)])

with dag("e2e_on_worker"):
    EcsRunTaskOperator(task_id="callback", **WHERE, overrides=script(), on_success_callback=tell)
    EcsRunTaskOperator(task_id="outlet", **WHERE, overrides=script(), outlets=[Asset("e2e://result")])

with dag("e2e_fails"):
    EcsRunTaskOperator(task_id="fails", **WHERE, overrides=script(), number_logs_exception=2, on_failure_callback=tell)

with dag("e2e_retry"):
    EcsRunTaskOperator(
        task_id="retries",
        **WHERE,
        overrides=script(TRY="{{ ti.try_number }}"),
        retries=1,
        retry_delay=timedelta(seconds=1),
    )

with dag("e2e_skip"):
    (
        EcsRunTaskOperator(task_id="look", **WHERE, overrides=script(), skip_on_exit_code=[7])
        >> EmptyOperator(task_id="needs_it")
        >> EmptyOperator(task_id="anyway", trigger_rule="none_failed")
    )

with dag("e2e_deadline"):
    # Long enough for the launch: in a worker Airflow enforces it itself.
    EcsRunTaskOperator(
        task_id="slow", **WHERE, overrides=script(), execution_timeout=timedelta(seconds=12), on_failure_callback=tell
    )

with dag("e2e_in_worker"):
    for name, program in (("good", "echo done"), ("bad", "echo broken; exit 4"), ("long", "{{ params.program }}")):
        EcsRunTaskOperator(task_id=name, **WHERE, overrides=script(program), deferrable=False)

with dag("e2e_reattach"):
    EcsRunTaskOperator(
        task_id="run", **WHERE, overrides=script(), reattach=True, retries=1, retry_delay=timedelta(seconds=1)
    )
