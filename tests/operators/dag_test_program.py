"""`dag.test()` with templates and an XCom, against an embedded AWS; run by test_ecs_dag_test in its own process."""

from __future__ import annotations

import json

from airflow.sdk import DAG, task

from tests.operators.support import run_task

with DAG("through_dag_test", params={"word": "templated"}) as dag:

    @task
    def report(last_line: str) -> None:
        """Show what arrived."""
        print("ARRIVED", json.dumps(last_line))

    report(run_task("print('first'); print('{{ params.word }} last')", aws_conn_id=None).output)
    run_task("raise SystemExit(5)", task_id="skips", skip_on_exit_code=5)
    run_task("raise SystemExit(6)", task_id="fails")

if __name__ == "__main__":
    states = {ti.task_id: str(ti.state) for ti in dag.test().get_task_instances()}
    print("STATES", json.dumps(states))
