"""The operators for AWS ECS, under the names that the amazon provider gives them."""

from __future__ import annotations

from asyncrun.operators.ecs_cluster import EcsCreateClusterOperator, EcsDeleteClusterOperator
from asyncrun.operators.ecs_definition import EcsDeregisterTaskDefinitionOperator, EcsRegisterTaskDefinitionOperator
from asyncrun.operators.ecs_run_task import EcsRunTaskOperator

__all__ = [
    "EcsCreateClusterOperator",
    "EcsDeleteClusterOperator",
    "EcsDeregisterTaskDefinitionOperator",
    "EcsRegisterTaskDefinitionOperator",
    "EcsRunTaskOperator",
]
