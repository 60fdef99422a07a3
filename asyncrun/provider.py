"""What Airflow asks a provider package about itself. Light: Airflow reads it in every process."""

from __future__ import annotations

from typing import Any

from asyncrun import __version__
from asyncrun.clients.config import settings_metadata

_ECS = "Amazon Elastic Container Service (ECS)"
_KUBERNETES = "Kubernetes"


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata, after Airflow's ``provider_info.schema.json``."""
    return {
        "package-name": "asyncrun",
        "name": "asyncrun",
        "description": "Runs containers on AWS ECS and Kubernetes without holding a worker slot.",
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": _ECS,
                "external-doc-url": "https://aws.amazon.com/ecs/",
                "tags": ["aws"],
            },
            {
                "integration-name": _KUBERNETES,
                "external-doc-url": "https://kubernetes.io/",
                "tags": ["software"],
            },
        ],
        "operators": [
            {"integration-name": _ECS, "python-modules": ["asyncrun.operators.ecs"]},
            {"integration-name": _KUBERNETES, "python-modules": ["asyncrun.operators.pod"]},
        ],
        "sensors": [{"integration-name": _ECS, "python-modules": ["asyncrun.sensors.ecs"]}],
        "triggers": [
            {"integration-name": _ECS, "python-modules": ["asyncrun.triggers.ecs"]},
            {"integration-name": _KUBERNETES, "python-modules": ["asyncrun.triggers.pod"]},
        ],
        "extra-links": ["asyncrun.operators.links.EcsTaskLink", "asyncrun.operators.links.EcsTaskLogsLink"],
        "config": settings_metadata(),
    }
