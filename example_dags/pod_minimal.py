"""The smallest DAG: one pod, its output live in the task's log."""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator

with DAG("pod_minimal", tags=["asyncrun"]):
    KubernetesPodOperator(task_id="hello", image="busybox:1.36", cmds=["sh", "-c", "echo Hello from Kubernetes"])
