"""The log of one ECS run: finds its streams as they become known, and follows each from its first line to its last."""

from __future__ import annotations

import dataclasses
import logging
from collections.abc import Iterable, Iterator
from contextlib import contextmanager

from asyncrun.clients.api import AwsAccess
from asyncrun.model.ecs import EcsTaskState
from asyncrun.model.ecs_definition import AWSLOGS, TaskPlan
from asyncrun.model.ecs_streams import Stream, streams_of
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.outcome import Outcome, StopCause
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.logs.source import EcsLog, LogStream
from asyncrun.triggers.tasklog import TaskLog

_logger = logging.getLogger(__name__)

_BEFORE_MS = 60_000  # clocks of AWS and of a container's machine may differ: nothing older than that is looked for
_FINISH_LIMIT = 60.0  # s; the log socket of a triggerer in trouble may not drain at all


class EcsRunLog:
    """
    Follows the containers' output of one ECS task into its Airflow task log.

    :param watch: its ``slot_ms`` was fixed at deferral, so that another triggerer makes equal records.
    """

    def __init__(self, watch: EcsTaskWatch, settings: Settings, task_log: TaskLog) -> None:
        self._watch, self._task_log = watch, task_log
        is_same = settings.log_slot == watch.slot_ms
        self._settings = settings if is_same else dataclasses.replace(settings, log_slot=watch.slot_ms)
        self._run_log: RunLog | None = None
        self._logs: list[EcsLog] = []
        self._followed: set[Stream] = set()
        self._waiting = True
        self._said: set[str] = set()
        self._running = False

    def look(self, state: EcsTaskState, plan: TaskPlan | None, access: AwsAccess) -> None:
        """Follow what this state makes known."""
        with self._no_failure():
            if self._waiting:
                self._find(state, plan, access)
            if state.started_at is not None and not self._running:
                self._running = True
                for log in self._logs:
                    log.started()

    @contextmanager
    def _no_failure(self) -> Iterator[None]:
        """A defect of ours in reading logs is told, and ends no run."""
        try:
            yield
        except Exception as error:
            _logger.exception("A defect of asyncrun while reading the log of %s", self._watch.ref)
            self._task_log.say(
                "error", f"A defect of asyncrun while reading this log ({type(error).__name__}): it may be incomplete"
            )

    def _find(self, state: EcsTaskState, plan: TaskPlan | None, access: AwsAccess) -> None:
        streams = streams_of(state, plan, self._watch)
        for remark in streams.remarks:
            if remark not in self._said:
                self._said.add(remark)
                self._task_log.say("warning", remark)
        self._waiting = streams.waiting
        new = [one for one in streams.found if one not in self._followed]
        if not new:
            return
        created = state.created_at or self._watch.launched_at or self._watch.deferred_at
        since_ms = int(created * 1000) - _BEFORE_MS
        if self._run_log is None:
            self._run_log = emitter().open(
                self._task_log.sink,
                streams.containers,
                self._settings,
                where=_places(new, plan, self._watch.target.region_name, since_ms),
                keep=max(1, self._watch.number_logs_exception),
                whole=self._watch.wants_result,
            )
        self._followed.update(new)
        self._logs.append(
            EcsLog(
                [LogStream(one.container, one.group, access.logs(one.region), one.name) for one in new],
                self._run_log,
                self._task_log.say,
                self._settings,
                since_ms=since_ms,
                running=self._running or state.started_at is not None,
            )
        )

    async def drain(self, outcome: Outcome) -> None:
        """Read everything to its end, and see it out of this process."""
        with self._no_failure():
            # Where the run can no longer be seen its log has no end to wait for.
            reading = [] if outcome.stop_cause is StopCause.ACCESS else self._logs
            for log in reading:  # one after the other: each has been reading all the time
                await log.drain(outcome.finished_at)
            if self._run_log is not None and not await self._run_log.finish(_FINISH_LIMIT):
                self._task_log.say("warning", "Airflow's log channel is stuck: the end of this log may be missing here")

    def last_lines(self, container: str | None, count: int) -> tuple[str, ...]:
        """The last lines of that container, for the exception."""
        if self._run_log is None or container is None or count <= 0 or container not in self._containers:
            return ()
        return tuple(self._run_log.last_lines(container, count))

    def last_line(self, container: str | None) -> str | None:
        """The very last line of that container as it wrote it, None if it wrote none."""
        if self._run_log is None or container is None or container not in self._containers:
            return None
        return self._run_log.last_line(container)

    @property
    def _containers(self) -> set[str]:
        return {one.container for one in self._followed}

    def close(self) -> None:
        """Stop reading; what was not written yet is dropped."""
        for log in self._logs:
            log.close()
        if self._run_log is not None:
            self._run_log.close()


def _places(found: Iterable[Stream], plan: TaskPlan | None, region: str | None, since_ms: int) -> dict[str, str]:
    """
    Where each container's full log can be read. Part of records, so it must not depend on what is known by now.

    :param region: of the task.
    """
    places = {one.container: one.tail_command(region, since_ms) for one in found}
    for one in plan.containers if plan else ():
        if one.log is not None and one.log.driver == AWSLOGS and not one.log.stream_prefix:
            places[one.name] = f"CloudWatch log group {one.log.group}, the stream that is named by its runtime id"
    return places
