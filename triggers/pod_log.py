"""The log of one pod: the chosen containers' output, in Airflow's task log."""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager

from asyncrun.clients.kube_api import KubeAccess
from asyncrun.model.outcome import Outcome, StopCause
from asyncrun.model.pod import Pod
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.pods.source import PodLog
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.pod_observer import PodObserver, observed
from asyncrun.triggers.tasklog import TaskLog

_logger = logging.getLogger(__name__)

_FINISH_LIMIT = 60.0  # s; the log socket of a triggerer in trouble may not drain at all


class PodRunLog:
    """
    Follows the chosen containers of one pod into its Airflow task log.

    :param watch: its ``logs`` were fixed when the pod was created, so that another triggerer makes equal records.
    """

    __slots__ = ("_log", "_observer", "_run_log", "_settings", "_task_log", "_watch")

    def __init__(
        self, watch: PodWatch, settings: Settings, task_log: TaskLog, observer: PodObserver | None = None
    ) -> None:
        self._watch, self._settings, self._task_log, self._observer = watch, settings, task_log, observer
        self._run_log: RunLog | None = None
        self._log: PodLog | None = None

    def look(self, pod: Pod, access: KubeAccess) -> None:
        """Follow what this state makes known."""
        with self._no_failure():
            if self._log is None and self._watch.logs:
                self._log = self._open(access)
            if self._log is not None:
                self._log.look(pod)

    def _open(self, access: KubeAccess) -> PodLog:
        watch, ref = self._watch, self._watch.ref
        self._run_log = emitter().open(
            self._task_log.sink,
            watch.logs,
            self._settings,
            where={name: f"kubectl logs -n {ref.namespace} {ref.name} -c {name}" for name in watch.logs},
            keep=max(1, watch.last_lines),
            prefixed=watch.prefixed,
        )
        into = self._run_log if self._observer is None else observed(self._run_log, self._observer)
        return PodLog(access.pods(ref.namespace), ref, watch.logs, into, self._task_log.say, self._settings)

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

    async def drain(self, outcome: Outcome, *, endless: Collection[str] = ()) -> None:
        """
        Read everything to its end, and see it out of this process.

        :param endless: containers that go on though the run has ended.
        """
        with self._no_failure():
            # Where the run can no longer be seen its log has no end to wait for.
            if self._log is not None and outcome.stop_cause is not StopCause.ACCESS:
                await self._log.drain(endless=endless)
            if self._run_log is not None and not await self._run_log.finish(_FINISH_LIMIT):
                self._task_log.say("warning", "Airflow's log channel is stuck: the end of this log may be missing here")

    def last_lines(self, container: str | None, count: int) -> tuple[str, ...]:
        """The last lines of that container, for the exception."""
        if self._run_log is None or container not in self._watch.logs or count <= 0:
            return ()
        return tuple(self._run_log.last_lines(container, count))

    async def close(self) -> None:
        """Stop reading; what was not written yet is dropped."""
        if self._log is not None:
            await self._log.close()
        if self._run_log is not None:
            self._run_log.close()
