"""
A native sidecar beside the base container, and a result as XCom.

The sidecar serves for as long as the base container runs, and never keeps the task waiting. The result needs neither
``pods/exec`` nor a worker.
"""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator

with DAG("pod_sidecar_xcom", tags=["asyncrun"]):
    count = KubernetesPodOperator(
        task_id="count",
        image="busybox:1.36",
        cmds=["sh", "-c", "echo counting; sleep 1; echo '{\"rows\": 1204}' > /airflow/xcom/return.json; echo counted"],
        init_containers=[
            {
                "name": "proxy",
                "image": "busybox:1.36",
                "restartPolicy": "Always",
                "command": [
                    "sh",
                    "-c",
                    "trap 'echo proxy ends; exit' TERM; echo proxy is alive; while :; do sleep 1; done",
                ],
            }
        ],
        init_container_logs=["proxy"],
        do_xcom_push=True,
    )
    KubernetesPodOperator(
        task_id="report",
        image="busybox:1.36",
        cmds=["sh", "-c", "echo {{ ti.xcom_pull(task_ids='count')['rows'] }} rows in orders"],
    ).set_upstream(count)
