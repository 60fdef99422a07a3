"""The states of clusters, tasks and task definitions, with the names and values that the amazon provider has."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum
from typing import Any

from asyncrun.spec.values import text_of


class EcsClusterStates(StrEnum):
    """The states of an ECS cluster."""

    ACTIVE = "ACTIVE"
    PROVISIONING = "PROVISIONING"
    DEPROVISIONING = "DEPROVISIONING"
    FAILED = "FAILED"
    INACTIVE = "INACTIVE"


class EcsTaskDefinitionStates(StrEnum):
    """The states of a task definition."""

    ACTIVE = "ACTIVE"
    INACTIVE = "INACTIVE"
    DELETE_IN_PROGRESS = "DELETE_IN_PROGRESS"


class EcsTaskStates(StrEnum):
    """The states of an ECS task (``lastStatus``); NONE stands for no state."""

    PROVISIONING = "PROVISIONING"
    PENDING = "PENDING"
    ACTIVATING = "ACTIVATING"
    RUNNING = "RUNNING"
    DEACTIVATING = "DEACTIVATING"
    STOPPING = "STOPPING"
    DEPROVISIONING = "DEPROVISIONING"
    STOPPED = "STOPPED"
    NONE = "NONE"


NO_STATE = EcsTaskStates.NONE.value
MISSING = "MISSING"
"""AWS does not know it: no state of AWS's, and nothing that can be waited for."""


def state_name(value: Any) -> str:
    """The state as AWS writes it, from our enums, upstream's, or text."""
    return text_of(value).strip().upper()


def state_names(values: Iterable[Any] | str) -> tuple[str, ...]:
    """Several of them, in a fixed order: sets have none, and an order that changes would be a new DAG version."""
    return tuple(sorted({state_name(one) for one in ([values] if isinstance(values, str) else values)}))
