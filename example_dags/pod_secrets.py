"""
A Secret and a ConfigMap of the cluster, as variables and as files::

    kubectl create secret generic asyncrun-example --from-literal=password=hunter2
    kubectl create configmap asyncrun-example --from-literal=MODE=fast
"""

from __future__ import annotations

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator, Secret

with DAG("pod_secrets", tags=["asyncrun"]):
    KubernetesPodOperator(
        task_id="secretive",
        image="busybox:1.36",
        cmds=["sh", "-c"],
        arguments=['echo "mode $MODE, $(printf %s "$PASSWORD" | wc -c) and $(wc -c < /secrets/password) characters"'],
        secrets=[
            Secret("env", "PASSWORD", "asyncrun-example", "password"),
            Secret("volume", "/secrets", "asyncrun-example"),
        ],
        configmaps=["asyncrun-example"],
    )
