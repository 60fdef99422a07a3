"""20 pods from one mapped task: no worker slot is held while they run."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator

PARTS = 20

with DAG("pod_fan_out", tags=["asyncrun"]):
    KubernetesPodOperator.partial(
        task_id="part", image="busybox:1.36", cmds=["sh", "-c"], max_active_tis_per_dagrun=PARTS
    ).expand(arguments=[[f"echo part {part} of {PARTS}; sleep 1"] for part in range(1, PARTS + 1)])
