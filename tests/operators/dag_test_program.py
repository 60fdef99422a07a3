"""`dag.test()` of what DAG authors do with operators, against an embedded AWS; run by test_ecs_dag_test in its own
process."""

from __future__ import annotations

import json
from typing import Any

from airflow.sdk import DAG, TaskGroup, task

from asyncrun.operators.ecs import EcsCreateClusterOperator, EcsDeleteClusterOperator, EcsRunTaskOperator
from asyncrun.sensors.ecs import EcsTaskStates, EcsTaskStateSensor
from tests.operators.support import run_task, script

PLACE = {"task_definition": "operators", "launch_type": "FARGATE", "aws_conn_id": None}


@task
def report(value: Any, name: str = "ARRIVED") -> None:
    """Show what arrived."""
    print(name, json.dumps(value if isinstance(value, (str, dict, type(None))) else list(value)))


class Parsed(EcsRunTaskOperator):
    """A user's subclass that makes more of the last line."""

    def execute_complete(self, context: Any, event: Any = None) -> Any:
        return json.loads(super().execute_complete(context, event) or "{}")


with DAG(
    "through_dag_test",
    params={"word": "templated"},
    default_args={
        "cluster": "default",
        "network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "trigger_rule": "all_success",
    },
) as dag:
    first = run_task("print('first'); print('{{ params.word }} last')", number_logs_exception="{{ 3 }}", reattach=True)
    report(first.output)
    EcsTaskStateSensor(
        task_id="ended",
        task=first.output["ecs_task_arn"],
        target_state=EcsTaskStates.STOPPED,
        failure_states={EcsTaskStates.NONE},
        aws_conn_id=None,
    )

    run_task("raise SystemExit(5)", task_id="skips", skip_on_exit_code=5)
    fails = run_task("raise SystemExit(6)", task_id="fails")
    fails >> run_task("print('after')", task_id="afterwards", trigger_rule="all_done", do_xcom_push=False)

    # A cluster for one task, taken away again though that task fails.
    cluster = EcsCreateClusterOperator(task_id="cluster", cluster_name="for-{{ params.word }}", aws_conn_id=None)
    within = run_task("raise SystemExit(7)", task_id="within", cluster="for-{{ params.word }}")
    away = EcsDeleteClusterOperator(task_id="away", cluster_name="{{ ti.xcom_pull('cluster')['clusterName'] }}")
    away.aws_conn_id = None
    cluster >> within >> away.as_teardown(setups=cluster.as_setup())

    @task
    def parts() -> list[dict[str, Any]]:
        """What the mapped tasks run."""
        return [script(f"print('part {number}')") for number in range(2)]

    with TaskGroup("group"):
        mapped = EcsRunTaskOperator.partial(
            task_id="mapped", map_index_template="{{ ti.map_index }} of 2", **PLACE
        ).expand(overrides=parts())
        report.override(task_id="gather")(mapped.output, "GATHERED")

    several = EcsRunTaskOperator.partial(
        task_id="several", overrides=script("print('as {{ ti.map_index }}')"), **PLACE
    ).expand_kwargs([{"container_name": "main", "deferrable": "False"}, {"container_name": "", "awslogs_group": ""}])

    report.override(task_id="indexes")(several.output, "INDEXES")

    parsed = run_task('print(\'{"rows": 5, "bad": 0}\')', task_id="parsed", kind=Parsed, multiple_outputs=True)
    report.override(task_id="rows")({"rows": parsed.output["rows"]}, "ROWS")

if __name__ == "__main__":
    run = dag.test()
    states = {
        f"{ti.task_id}{'' if ti.map_index < 0 else ti.map_index}": str(ti.state) for ti in run.get_task_instances()
    }
    print("STATES", json.dumps(states))
