"""The life of an operator that runs containers, whatever the platform: launch, announce, defer; say how it ended."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, ClassVar, NamedTuple, Protocol

from airflow.sdk import BaseOperator

from asyncrun.model.event import CompletionEvent
from asyncrun.model.refs import EcsTaskRef, LaunchPhase, PodRef
from asyncrun.operators import remote
from asyncrun.operators.errors import KilledWhileLaunching, airflow_errors
from asyncrun.operators.run_control import announced, backstop, read_event
from asyncrun.spec.values import as_bool

if TYPE_CHECKING:
    from airflow.sdk import Context

    from asyncrun.model.settings import Settings
    from asyncrun.operators.launch_notes import LaunchNotes
    from asyncrun.triggers.base import RunTrigger


class Launched(NamedTuple):
    """
    The run of this try.

    :param is_new: launched by this try, not taken over from an earlier one.
    :param began: when this try began to launch, seconds since the epoch.
    :param at: when the run was launched or found: later where that was waited for.
    """

    ref: Any
    is_new: bool
    began: float
    at: float


class Launch(Protocol):
    """One launch of one try."""

    def launch(self) -> tuple[Any, bool]:
        """
        The run, and whether it was launched now (or earlier in this try) rather than taken over.

        :raises AsyncrunError: there is none.
        """

    def take_back(self) -> None:
        """After a launch that failed or was interrupted: stop what it placed, or may have placed. Only logs."""


class RunOperator(BaseOperator):
    """
    Launches a container run, waits for it, and ends as it ended.

    Subclasses say how. A run is told to stop where this task fails or is killed and nobody would wait for the run any
    more; while the task is deferred the trigger answers for it.
    """

    what: ClassVar[str]
    """The kind of runs, for messages."""
    completion_type: ClassVar[type[CompletionEvent]]
    ref_type: ClassVar[type[EcsTaskRef] | type[PodRef]]
    _ref: Any = None
    _killed = _stopped = False
    _waited_here = False
    """The end was waited for in this worker: it is no resume after a deferral."""

    def _check(self) -> None:
        """
        Refuse what cannot work; called where the DAG is parsed, and again with rendered values.

        :raises InvalidArgument: naming the argument.
        """
        raise NotImplementedError

    def _notes(self, context: Context) -> LaunchNotes[Any]:
        raise NotImplementedError

    def _launching(self, context: Context, settings: Settings, notes: LaunchNotes[Any]) -> Launch:
        raise NotImplementedError

    def _announce(self, context: Context, ref: Any) -> None:
        """Say by XCom which run is this try's: see ``run_control.announce``."""
        raise NotImplementedError

    def _watch(self, launched: Launched, settings: Settings) -> Any:
        """What the trigger needs: has ``deadline``, ``deferred_at`` and ``end_reason``."""
        raise NotImplementedError

    def _trigger(self, watch: Any) -> RunTrigger:
        raise NotImplementedError

    def _stop_now(self, ref: Any, why: str) -> bool:
        """Tell the platform to stop it; whether that is confirmed. Only logs what goes wrong."""
        raise NotImplementedError

    def _ended(self, context: Context, completion: Any) -> Any:
        """
        The result of a run that has ended.

        :raises AirflowException: it did not end well.
        """
        raise NotImplementedError

    def _waits(self) -> bool:
        """Whether the end of the run is to be waited for at all."""
        return True

    def _waits_in_triggerer(self) -> bool:
        return self._flag("deferrable")

    def _wait_here(self, watch: Any) -> Any:
        """Wait for the end in this worker; the event's payload."""
        return remote.wait_here(self._trigger(watch))

    def _stops_on_failure(self) -> bool:
        """Whether a run that nobody waits for any more, because this task failed, is to be stopped."""
        return True

    def _flag(self, name: str) -> bool:
        return as_bool(name, getattr(self, name))

    def _is_judged_at_parse(self) -> bool:
        """A subclass or hook that gets hold of the task before us may complete its arguments then."""
        kind = type(self)
        return (
            kind.execute is RunOperator.execute
            and kind.pre_execute is BaseOperator.pre_execute
            and self._pre_execute_hook is None
        )

    def execute(self, context: Context) -> Any:
        """
        Launch the run, and wait for it as the arguments say.

        :raises AirflowException: as one of ``asyncrun.operators.errors``.
        """
        began = time.time()
        with airflow_errors():
            self._check()
            settings = remote.settings()
            notes = self._notes(context)
            launching = self._launching(context, settings, notes)
            try:
                self._ref, is_new = launching.launch()
            except BaseException:  # a time-out or a kill too: what was placed, or may be, must not be left behind
                launching.take_back()
                raise
        return self._after_launch(context, settings, notes, Launched(self._ref, is_new, began, time.time()))

    def _after_launch(self, context: Context, settings: Settings, notes: LaunchNotes[Any], launched: Launched) -> Any:
        from airflow.sdk.exceptions import TaskDeferred

        done = False
        try:
            notes.write(launched.ref, LaunchPhase.LAUNCHED)
            self._announce(context, launched.ref)
            self._refuse_if_killed()
            if not self._waits():
                self.log.info("Not waiting for %s %s: wait_for_completion=False", self.what, launched.ref)
                notes.write(launched.ref, LaunchPhase.SETTLED)
                done = True
                return None
            watch = self._watch(launched, settings)
            if self._waits_in_triggerer():
                self._defer(watch, settings, notes)
            self.log.info("Waiting for %s %s in the worker", self.what, launched.ref)
            with airflow_errors():
                event = self._wait_here(watch)
            self._waited_here = done = True  # whatever the end is: there is nothing left to stop
            return self.execute_complete(context, event)
        except TaskDeferred:
            done = not self._killed
            raise
        finally:
            # What an earlier try launched is not ours to stop because this one failed; a kill is meant for it.
            if not done and (self._killed or (launched.is_new and self._stops_on_failure())):
                self._stop("the Airflow task was killed" if self._killed else "the Airflow task failed")

    def _refuse_if_killed(self) -> None:
        if self._killed:
            raise KilledWhileLaunching(f"the Airflow task was killed while its {self.what} was being launched")

    def _defer(self, watch: Any, settings: Settings, notes: LaunchNotes[Any]) -> None:
        self.log.info("Waiting for %s %s in the triggerer. %s", self.what, watch.ref, watch.end_reason)
        notes.write(watch.ref, LaunchPhase.HANDED_OVER)
        self.defer(trigger=self._trigger(watch), method_name="execute_complete", timeout=backstop(watch, settings))

    def execute_complete(self, context: Context, event: Any = None) -> Any:
        """
        Say how the run ended, in the worker.

        :param event: a ``CompletionEvent``'s payload; or, from ``dag.test()``, the name of the state with which the
            trigger ended the task.
        :return: its result, with ``do_xcom_push``.
        :raises AirflowException: the run did not end well; one of ``asyncrun.operators.errors``.
        :raises AirflowSkipException: its exit code is one of ``skip_on_exit_code``.
        """
        completion = read_event(event, self.completion_type)
        if completion is None:  # the trigger has written the XCom
            return None
        self._ref = completion.ref
        self._notes(context).write(completion.ref, LaunchPhase.SETTLED)
        return self._ended(context, completion)

    def resume_execution(self, next_method: str, next_kwargs: dict[str, Any] | None, context: Context) -> Any:
        """Go on after the deferral; where the deferral itself failed, stop the run first: nobody watches it."""
        from airflow.sdk.exceptions import TaskDeferralError, TaskDeferralTimeout

        try:
            return super().resume_execution(next_method, next_kwargs, context)
        except (TaskDeferralError, TaskDeferralTimeout):
            self._ref = self._ref or announced(context["ti"], self.ref_type, self.log)
            if self._stops_on_failure():
                self._stop("the deferral of the Airflow task failed")
            raise

    def on_kill(self) -> None:
        """
        Stop the run. The SDK calls this in the worker, from its handler of SIGTERM and at ``execution_timeout``.

        While the task is deferred there is no worker; then the trigger's own on_kill stops the run.
        """
        self._killed = True  # in case that the launch has not been answered yet
        self._stop("the Airflow task was killed")

    def _stop(self, why: str) -> None:
        if self._ref is not None and not self._stopped:
            self._stopped = self._stop_now(self._ref, why)
