"""A callback that runs when the pod has succeeded: on a worker, where Airflow runs callbacks."""

from __future__ import annotations

import logging

from airflow.sdk import DAG, Context

from asyncrun.operators.pod import KubernetesPodOperator

log = logging.getLogger(__name__)


def tell(context: Context) -> None:
    """Send this to your chat; here it goes to the task's log."""
    log.info("callback: %s succeeded", context["ti"].task_id)


with DAG("pod_on_success_callback", tags=["asyncrun"]):
    KubernetesPodOperator(
        task_id="succeeds", image="busybox:1.36", cmds=["sh", "-c", "echo all is well"], on_success_callback=tell
    )
