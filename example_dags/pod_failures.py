"""What you see when a pod fails, in five ways (this DAG fails on purpose)."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator, Secret

with DAG("pod_failures", tags=["asyncrun"]):
    KubernetesPodOperator(
        task_id="exit_code", image="busybox:1.36", cmds=["sh", "-c", "echo \"KeyError: 'orders'\"; exit 3"]
    )
    KubernetesPodOperator(
        task_id="out_of_memory",
        image="busybox:1.36",
        cmds=["sh", "-c", "echo filling memory; head -c 200m /dev/zero | tail -c 200m > /dev/null"],
        container_resources={"limits": {"memory": "32Mi"}},
    )
    KubernetesPodOperator(task_id="no_image", image="registry.invalid/no/such:image", startup_timeout_seconds=5)
    KubernetesPodOperator(
        task_id="no_secret",
        image="busybox:1.36",
        cmds=["true"],
        secrets=[Secret("env", "PASSWORD", "no-such-secret", "password")],
        startup_timeout_seconds=5,
    )
    KubernetesPodOperator(
        task_id="no_room",
        image="busybox:1.36",
        cmds=["true"],
        container_resources={"requests": {"memory": "100Ti"}},
        startup_timeout_seconds=5,
    )
