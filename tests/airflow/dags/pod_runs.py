"""Pods as the end-to-end tests need them: what a container does is given when a DAG run is triggered.

Each DAG has one idea; ``program`` is a shell script, ``cluster`` and ``namespace`` say where its pod runs.
"""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG, Param

from asyncrun.operators.pod import KubernetesPodOperator

IMAGE = "busybox:1.36"
PARAMS = {
    "program": Param("echo done", type="string"),
    "cluster": Param("kubernetes_default", type="string"),
}


def shell(program: str) -> dict[str, Any]:
    return {"image": IMAGE, "cmds": ["sh", "-c"], "arguments": [program]}


def dag(dag_id: str) -> DAG:
    return DAG(dag_id, schedule=None, params=PARAMS)


def run(task_id: str = "run", **more: Any) -> KubernetesPodOperator:
    where = {**shell("{{ params.program }}"), "kubernetes_conn_id": "{{ params.cluster }}"}
    return KubernetesPodOperator(task_id=task_id, **{**where, **more})


with dag("e2e_pod_run"):
    run()

with dag("e2e_pod_kept_when_killed"):
    run(on_kill_action="keep_pod")

with dag("e2e_pod_in_worker"):
    run(deferrable=False)

with dag("e2e_pod_several"):
    KubernetesPodOperator.partial(
        task_id="part", **shell("{{ params.program }}"), kubernetes_conn_id="{{ params.cluster }}", do_xcom_push=True
    ).expand(env_vars=[{"PART": str(part)} for part in range(5)])

# Twenty pods with everything that has a log: an init container, a native sidecar, two main containers.
PARTS = 20
INIT = "echo preparing $PART; echo prepared; echo prepared"
SIDECAR = """
trap 'echo proxy ends; exit 0' TERM
echo proxy starts
number=0
while :; do echo "proxy line $number"; number=$((number + 1)); sleep 0.25; done
"""
HELPER = 'for number in 0 1 2 3 4 5 6 7 8 9; do echo "helper line $number"; echo again; done; sleep 1; echo helper ends'


def part(index: int) -> dict[str, Any]:
    """The whole pod but its base container's program."""
    env = [{"name": "PART", "value": str(index)}]
    base = {"name": "base", "image": IMAGE, "env": env}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "spec": {
            "restartPolicy": "Never",
            "initContainers": [
                {"name": "prepare", "image": IMAGE, "command": ["sh", "-c", INIT], "env": env},
                {"name": "proxy", "image": IMAGE, "command": ["sh", "-c", SIDECAR], "restartPolicy": "Always"},
            ],
            "containers": [base, {"name": "helper", "image": IMAGE, "command": ["sh", "-c", HELPER]}],
        },
    }


with dag("e2e_pod_mapped"):
    KubernetesPodOperator.partial(
        task_id="part",
        **shell("{{ params.program }}"),
        init_container_logs=True,
        container_logs=True,
        do_xcom_push=True,
    ).expand(pod_template_dict=[part(index) for index in range(PARTS)])
