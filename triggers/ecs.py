"""Trigger classes for ECS: serialized fields and wiring. Their paths stand in Airflow's database and stay."""

from __future__ import annotations

from functools import cached_property

from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import RunTrigger, run_inline
from asyncrun.triggers.ecs_run import EcsRun
from asyncrun.triggers.ecs_states import EcsClusterTrigger, EcsTaskDefinitionTrigger, EcsTaskStateTrigger
from asyncrun.triggers.stored_watch import StoredWatch
from asyncrun.triggers.tasklog import TaskLog

__all__ = ["EcsTaskTrigger", "EcsClusterTrigger", "EcsTaskDefinitionTrigger", "EcsTaskStateTrigger", "run_inline"]

_WATCH = StoredWatch()


class EcsTaskTrigger(RunTrigger):
    """
    Watches one ECS task that a worker launched, streams its logs, and ends or resumes the Airflow task.

    :param watch: ``EcsTaskWatch.to_dict()``.
    """

    watch = _WATCH

    @cached_property
    def _parsed(self) -> EcsTaskWatch:
        parsed = EcsTaskWatch.from_dict(self.watch)
        _WATCH.was_read(self)
        return parsed

    def open_run(self, settings: Settings, task_log: TaskLog) -> EcsRun:
        """The ECS task; opens nothing yet."""
        return EcsRun(self._parsed, settings, task_log)

    def end_in_triggerer(self) -> bool:
        """Whether the worker said that a success may end here."""
        return self._parsed.end_in_triggerer

    def push_result(self) -> bool:
        """Whether the last line is to be written as XCom ``return_value``."""
        return self._parsed.push_result

    def deferred_at(self) -> float:
        """When the task was deferred, seconds since the epoch."""
        return self._parsed.deferred_at

    def run_identity(self) -> str:
        """The ECS task's ARN."""
        return self._parsed.ref.identity
