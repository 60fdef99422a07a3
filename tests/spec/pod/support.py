"""What upstream's installed operator builds, and what we build, for the same arguments."""

from __future__ import annotations

import copy
from types import SimpleNamespace
from typing import Any

from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator  # noqa: TID253 - no DAG file
from airflow.version import version as airflow_version
from kubernetes.client import ApiClient, Configuration  # noqa: TID253

from asyncrun.spec.pod.arguments import PodArguments
from asyncrun.spec.pod.build import Sidecar, build_manifest
from asyncrun.spec.pod.labels import launch_id, origin_labels, our_labels, task_labels

TI = SimpleNamespace(
    dag_id="my_dag", task_id="my.task_1", run_id="manual__2030-01-01T00:00:00+00:00", map_index=-1, try_number=2
)
LAUNCH = launch_id("0199a3f0-0000-7000-8000-000000000001")


def upstreams(arguments: dict[str, Any], ti: SimpleNamespace = TI) -> dict[str, Any]:
    """The body of the request that upstream's operator would send."""
    operator = KubernetesPodOperator(task_id=ti.task_id, **copy.deepcopy(arguments))
    operator.name = operator._set_name(operator.name)  # as execute() does first
    operator.__dict__["hook"] = SimpleNamespace(
        is_in_cluster=False,
        get_namespace=lambda: "of-the-connection",
        get_xcom_sidecar_container_image=lambda: None,
        get_xcom_sidecar_container_resources=lambda: None,
        get_xcom_sidecar_container_security_context=lambda: None,
    )
    context = {"ti": ti, "run_id": ti.run_id, "dag": SimpleNamespace()}
    pod = operator.build_pod_request_obj(context)
    body: dict[str, Any] = ApiClient(Configuration()).sanitize_for_serialization(pod)
    return body


def ours(arguments: dict[str, Any], ti: SimpleNamespace = TI, template: dict[str, Any] | None = None) -> dict[str, Any]:
    """The body of the request that we send."""
    return build_manifest(
        PodArguments(**copy.deepcopy(arguments)),
        task_id=ti.task_id,
        launch=LAUNCH,
        labels={
            **task_labels(
                dag_id=ti.dag_id, task_id=ti.task_id, run_id=ti.run_id, map_index=ti.map_index, try_number=ti.try_number
            ),
            **origin_labels(airflow_version, in_cluster=False),
            **our_labels("", LAUNCH),
        },
        namespace="of-the-connection",
        template=template,
        sidecar=Sidecar(),
    )
