"""ECS tasks by upstream's operator."""

from __future__ import annotations

from airflow.providers.amazon.aws.operators.ecs import EcsRunTaskOperator  # noqa: TID253 - as users write it

from benchmarks.airflow.deferred import ecs_dags

globals().update(ecs_dags("upstream", EcsRunTaskOperator))
