"""ECS tasks by our operator."""

from __future__ import annotations

from asyncrun.operators.ecs import EcsRunTaskOperator
from benchmarks.airflow.deferred import ecs_dags

globals().update(ecs_dags("ours", EcsRunTaskOperator))
