"""`dag.test()` of what DAG authors do with pods; run by test_pod_dag_test in its own process."""

from __future__ import annotations

import json
import os
from typing import Any

from airflow.sdk import DAG, task

from asyncrun.operators.pod import KubernetesPodOperator

CONFIG = os.environ["ASYNCRUN_TEST_KUBECONFIG"]
RESULT = "/airflow/xcom/return.json"


def pod(task_id: str, script: str, **arguments: Any) -> KubernetesPodOperator:
    """One that defers."""
    return KubernetesPodOperator(task_id=task_id, cmds=["sh", "-c"], arguments=[script], **arguments)


@task
def report(value: Any, name: str = "ARRIVED") -> None:
    """Show what arrived."""
    print(name, json.dumps(value if isinstance(value, (str, dict, int, type(None))) else list(value)))


with DAG(
    "pods_through_dag_test",
    params={"word": "templated"},
    default_args={
        "image": "busybox",
        "namespace": "airflow",
        "config_file": CONFIG,
        "kubernetes_conn_id": None,
        "trigger_rule": "all_success",
    },
) as dag:
    first = pod("first", f"echo '\"{{{{ params.word }}}}\"' > {RESULT}", do_xcom_push=True)
    report(first.output)
    pod("skips", "exit 5", skip_on_exit_code=5)
    fails = pod("fails", "echo broken; exit 6")
    fails >> pod("afterwards", "echo after", trigger_rule="all_done")
    pod("here", "true", deferrable=False)

    @task
    def parts() -> list[list[str]]:
        """What the mapped tasks run."""
        return [[f"echo '{{\"part\": {number}}}' > {RESULT}"] for number in range(2)]

    mapped = KubernetesPodOperator.partial(task_id="mapped", cmds=["sh", "-c"], do_xcom_push=True).expand(
        arguments=parts()
    )
    report.override(task_id="gather")(mapped.output, "GATHERED")
    several = KubernetesPodOperator.partial(
        task_id="several", cmds=["sh", "-c"], arguments=[f'echo "$INDEX" > {RESULT}'], do_xcom_push=True
    ).expand_kwargs([{"env_vars": {"INDEX": "{{ ti.map_index }}"}}, {"env_vars": {"INDEX": "7"}, "deferrable": False}])
    report.override(task_id="indexes")(several.output, "INDEXES")

if __name__ == "__main__":
    run = dag.test()
    states = {
        f"{ti.task_id}{'' if ti.map_index < 0 else ti.map_index}": str(ti.state) for ti in run.get_task_instances()
    }
    print("STATES", json.dumps(states))
