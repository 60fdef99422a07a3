"""Jinja anywhere in a pod, nested objects included: here an Airflow variable and the run's own facts."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator

with DAG("pod_jinja", tags=["asyncrun"]):
    KubernetesPodOperator(
        task_id="templated",
        image="busybox:1.36",
        cmds=["sh", "-c", "echo region $REGION; echo run {{ run_id }} of {{ dag.dag_id }}; ls /data"],
        env_vars={"REGION": "{{ var.value.get('region', 'eu-west-1') }}"},
        labels={"run": "{{ dag_run.run_type }}"},
        volumes=[{"name": "data", "emptyDir": {"sizeLimit": "{{ 16 * 2 }}Mi"}}],
        volume_mounts=[{"name": "data", "mountPath": "/data", "subPath": "{{ dag.dag_id }}"}],
    )
