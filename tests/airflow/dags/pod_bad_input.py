"""Pods that cannot work; each task has one thing wrong, in itself or in what its connection may do."""

from __future__ import annotations

from typing import Any

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator, Secret


def wrong(task_id: str, **what: Any) -> KubernetesPodOperator:
    usual: dict[str, Any] = {"image": "busybox:1.36", "cmds": ["sh", "-c", "echo done"], "startup_timeout_seconds": 5}
    return KubernetesPodOperator(task_id=task_id, **{**usual, **what})


with DAG("e2e_pod_bad_input", schedule=None):
    wrong("no_connection", kubernetes_conn_id="no_such_connection")
    wrong("no_kubeconfig", kubernetes_conn_id="pod_no_kubeconfig")
    wrong("bad_token", kubernetes_conn_id="pod_bad_token")
    wrong("no_namespace", namespace="nowhere")
    wrong("forbidden_namespace", namespace="kube-system", kubernetes_conn_id="pod_only_airflow")
    wrong("crowded_namespace", namespace="crowded")
    wrong("image_name", image="Busy Box")
    wrong("image_missing", image="registry.invalid/no/such:image")
    wrong("secret_missing", secrets=[Secret("env", "PASSWORD", "no-such-secret", "password")])
    wrong("config_map_missing", configmaps=["no-such-config-map"])
    wrong("no_such_program", cmds=["/no/such/program"])
    wrong("no_such_service_account", service_account_name="nobody")
    wrong("bad_resources", container_resources={"limits": {"memory": "{{ 'much' }}"}})
    wrong("bad_xcom", do_xcom_push=True, cmds=["sh", "-c", "echo '{half' > /airflow/xcom/return.json"])

# What works all the same, and says what is missing.
with DAG("e2e_pod_few_rights", schedule=None):
    for task_id in ("may_not_watch", "may_not_read_logs", "may_not_delete"):
        wrong(task_id, kubernetes_conn_id=f"pod_{task_id}", cmds=["sh", "-c", "echo begins; sleep 2; echo ends"])
    wrong("may_not_list_events", kubernetes_conn_id="pod_may_not_list_events", image="registry.invalid/no/such:image")
