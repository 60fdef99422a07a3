"""The trigger class for pods: serialized fields and wiring. Its path stands in Airflow's database and stays."""

from __future__ import annotations

import json
from functools import cached_property
from typing import Any

from asyncrun.clients.config import running_settings
from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.event import CompletionEvent
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import RunTrigger, run_inline
from asyncrun.triggers.pod_finishing import finish_later
from asyncrun.triggers.pod_observer import PodObserver
from asyncrun.triggers.pod_run import PodRun
from asyncrun.triggers.stored_watch import StoredWatch
from asyncrun.triggers.tasklog import TaskLog

__all__ = ["PodTrigger", "run_inline"]

_WATCH = StoredWatch()


class PodTrigger(RunTrigger):
    """
    Watches one pod that a worker created, streams its logs, and ends or resumes the Airflow task.

    :param watch: ``PodWatch.to_dict()``.
    :ivar observer: set by a worker that drives this trigger itself: the user's code that is told how the pod goes on.
    """

    observer: PodObserver | None = None

    watch = _WATCH

    @cached_property
    def _parsed(self) -> PodWatch:
        parsed = PodWatch.from_dict(self.watch)
        _WATCH.was_read(self)
        return parsed

    def open_run(self, settings: Settings, task_log: TaskLog) -> PodRun:
        """The pod; opens nothing yet."""
        return PodRun(self._parsed, settings, task_log, observer=self.observer)

    def end_in_triggerer(self) -> bool:
        """Whether the worker said that a success may end here. Not in ``dag.test()``: nobody would finish the pod."""
        return self._parsed.end_in_triggerer and self.trigger_number is not None

    def push_result(self) -> bool:
        """Whether what the container wrote as its XCom is to be written as ``return_value``."""
        return self._parsed.wants_xcom

    def xcom_of(self, result: str) -> Any:
        """The value that the container wrote as JSON."""
        return json.loads(result)

    def ends_here(self, completion: CompletionEvent, settings: Settings) -> None:
        """A worker finishes the pod of a task that it ends; nobody else finishes this one."""
        finish_later(self._parsed, completion.outcome, settings)

    async def on_kill(self) -> None:
        """Delete the pod if a user killed the task, unless ``on_kill_action`` says that it goes on."""
        try:
            keeps = self._parsed.on_kill_action == "keep_pod"
        except MalformedAnswer:
            keeps = False  # which is said below
        if not keeps:
            await super().on_kill()
            return
        async with TaskLog(self.trigger_number, running_settings().settings) as task_log:
            task_log.say("info", f"Cancelled. If the task was killed, pod {self._parsed.ref} goes on all the same: "
                                 "on_kill_action=keep_pod")  # fmt: skip

    def deferred_at(self) -> float:
        """When the task was deferred, seconds since the epoch."""
        return self._parsed.deferred_at

    def run_identity(self) -> str:
        """The pod's uid."""
        return self._parsed.ref.identity
