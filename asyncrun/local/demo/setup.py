"""What the example DAGs expect to find in the AWS account and in the cluster, put into the embedded ones."""

from __future__ import annotations

import base64
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from asyncrun.local.aws import EmbeddedAwsOptions
from asyncrun.local.kube import EmbeddedKube

FAMILY = "asyncrun-example"
LOG_GROUP = f"/ecs/{FAMILY}"
IMAGE = "public.ecr.aws/docker/library/python:3.12-slim"
EXECUTION_ROLE = "arn:aws:iam::123456789012:role/ecsTaskExecutionRole"

AWS_OPTIONS = EmbeddedAwsOptions(log_groups=(LOG_GROUP,))
"""Options of the embedded AWS for the example DAGs: as in an account that example_dags/README.md was followed in."""


def example_task_definition(region: str) -> dict[str, Any]:
    """Arguments of RegisterTaskDefinition: the same as in example_dags/README.md."""
    options = {"awslogs-group": LOG_GROUP, "awslogs-region": region, "awslogs-stream-prefix": "ecs"}
    return {
        "family": FAMILY,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": "256",
        "memory": "512",
        "executionRoleArn": EXECUTION_ROLE,
        "containerDefinitions": [
            {
                "name": "main",
                "image": IMAGE,
                "essential": True,
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
        ],
    }


def register_example_task_definition(client_options: Mapping[str, str]) -> str:
    """Register it in the embedded AWS; returns the ARN of its revision.

    :param client_options: ``EmbeddedAws.client_options()``
    """
    import boto3

    ecs = boto3.client("ecs", **client_options)
    try:
        answer = ecs.register_task_definition(**example_task_definition(client_options["region_name"]))
        arn: str = answer["taskDefinition"]["taskDefinitionArn"]
        return arn
    finally:
        ecs.close()


NAMESPACE = "airflow"


def prepare_cluster(kube: EmbeddedKube, kubeconfig: Path) -> dict[str, str]:
    """Put the examples' Secret and ConfigMap into the embedded cluster.

    :param kubeconfig: where the file goes that leads there.
    :return: environment variables by which Airflow finds the cluster, the connection ``kubernetes_default``, and the
        examples' variable.
    """
    password = base64.b64encode(b"hunter2").decode()
    kube.control.put("secrets", {"metadata": _EXAMPLE, "type": "Opaque", "data": {"password": password}})
    kube.control.put("configmaps", {"metadata": _EXAMPLE, "data": {"MODE": "fast"}})
    kube.write_kubeconfig(kubeconfig, namespace=NAMESPACE)
    extra = {"kube_config_path": str(kubeconfig), "namespace": NAMESPACE}
    return {
        "AIRFLOW_CONN_KUBERNETES_DEFAULT": json.dumps({"conn_type": "kubernetes", "extra": extra}),
        "AIRFLOW_VAR_REGION": "eu-north-1",
    }


_EXAMPLE = {"name": "asyncrun-example", "namespace": NAMESPACE}
