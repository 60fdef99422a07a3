"""
The one algorithm of a trigger: watch a container run to its end, drain its log, explain it, report one event.

What Airflow demands shapes it (shared facts, measured on 3.3.2):

- A constructor only stores: an exception in it kills the whole triggerer, again after each restart.
- ``run()`` may start again at any time, on any triggerer; so nothing here launches or relaunches anything.
- The event is the last thing that happens: what a trigger does after it may be cancelled as if by a user.
- ``CancelledError`` passes through untouched: the triggerer reads the reason from its message. There are no child tasks
  here that could hide it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing, nullcontext
from types import TracebackType
from typing import Any, Protocol, Self

from airflow.triggers.base import BaseTrigger, TaskSuccessEvent, TriggerEvent

from asyncrun.clients.airflow import write_xcom
from asyncrun.clients.config import running_settings
from asyncrun.model.errors import MalformedAnswer, RemoteError
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import Verdict
from asyncrun.model.settings import Settings
from asyncrun.model.stopping import stop_reason
from asyncrun.triggers.background import spawn
from asyncrun.triggers.ends import turn_to_end
from asyncrun.triggers.kill import TaskId
from asyncrun.triggers.killing import Killing
from asyncrun.triggers.logs.takeover.taking_over import past_of
from asyncrun.triggers.metrics.reporter import reporter
from asyncrun.triggers.once import OnceSink
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.warming import warm_up

log = logging.getLogger(__name__)

_CRASHES = 3  # a defect of ours in one run: so many in a row, and the run is given up
_CRASH_WAIT = 5.0  # s
_HOLD_STARTS, _LONGEST_HOLD = 3, 30.0  # times as long as a trigger took to start (1.5 s in an idle Airflow); s
_HEALTHY = 600.0  # s; a crash after watching for so long begins a new row: a defect that stays shows within minutes


class Run(Protocol):
    """One container run, being watched. An async context manager; leaving it stops nothing remote."""

    async def __aenter__(self) -> Self: ...

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None: ...

    async def completion(self) -> CompletionEvent:
        """Wait for the end, read the log to its end, explain both."""

    async def stop(self, reason: str) -> None:
        """
        Stop the remote run, repeating the call until it is answered.

        :raises RemoteError: it was refused, or nobody answered for ``kill_grace``.
        """


class StoredTrigger(BaseTrigger):
    """A trigger whose only argument is the plain form of a watch (``asyncrun.model.ecs_watch``)."""

    def __init__(self, watch: Any = None, **unknown: Any) -> None:  # noqa: ARG002 - rows of newer releases must load
        super().__init__()  # type: ignore[no-untyped-call]
        self.watch = watch
        self.inline = False  # set by run_inline: the worker that waits is not resumed
        self._began = 0.0  # when it started to run here, seconds since the epoch

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """Class path, which is public and stays, and the watch as it was given."""
        return f"{type(self).__module__}.{type(self).__qualname__}", {"watch": self.watch}

    @asynccontextmanager
    async def logged(self) -> AsyncIterator[tuple[Settings, TaskLog]]:
        """What lasts as long as the trigger: its words in the task log, and metrics, which a worker does not send."""
        self._began = time.time()
        settings, troubles = running_settings()
        with nullcontext() if self.inline else reporter().needed(settings):
            async with TaskLog(self.trigger_number, settings) as task_log:
                if not self.inline:  # a worker's own log, where it has been said, is the task's
                    for trouble in troubles:
                        task_log.say("error", trouble)
                yield settings, task_log

    async def hold_resume(self, deferred_at: float, settings: Settings) -> None:
        """
        Wait until a resume is safe: a task that resumes within seconds of its deferral can fail spuriously.

        The scheduler then still has the deferral in hand (measured on Airflow 3.3.2; never with events that end a
        task). How busy it is cannot be seen from here; that this trigger was slow to start tells that Airflow is.

        :param deferred_at: seconds since the epoch; clocks of worker and triggerer may differ.
        """
        if self.inline or not settings.resume_hold:
            return
        started_after = self._began - deferred_at
        hold = max(settings.resume_hold, min(_HOLD_STARTS * started_after, _LONGEST_HOLD))
        await asyncio.sleep(min(max(deferred_at + hold - time.time(), 0.0), hold))

    @property
    def trigger_number(self) -> int | None:
        """The trigger's id in Airflow's database, by which log records find their task; None outside of a triggerer."""
        number = getattr(self, "trigger_id", None)
        return number if isinstance(number, int) else None


class RunTrigger(StoredTrigger):
    """Base of the triggers that watch a container run of ours."""

    def open_run(self, settings: Settings, task_log: TaskLog) -> Run:
        """
        The run that this trigger is about; opens nothing yet.

        :raises MalformedAnswer: the stored watch cannot be read.
        """
        raise NotImplementedError

    def end_in_triggerer(self) -> bool:
        """Whether the worker said that a success may end here."""
        raise NotImplementedError

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Yield exactly one event, as the last thing."""
        yield await self._event()

    async def _event(self) -> TriggerEvent:
        if self.task_instance is not None and not self.inline:
            warm_up(TaskId.of(self.task_instance))
        async with self.logged() as (settings, task_log):
            past = await past_of(None if self.inline else self.task_instance, settings, task_log)
            with nullcontext() if past is None else closing(past):
                task_log.sink = OnceSink(task_log.sink, past)
                completion = await self._complete(settings, task_log)
            task_log.say("info" if completion.outcome.verdict is Verdict.SUCCEEDED else "error",
                         completion.diagnosis.text())  # fmt: skip
            event = await self._ending(completion, settings, task_log)
            await turn_to_end(settings, task_log.say)
        if isinstance(event, TaskSuccessEvent):
            self.ends_here(completion, settings)
        return event

    async def _complete(self, settings: Settings, task_log: TaskLog) -> CompletionEvent:
        """
        The end of the run; a defect of ours in between is logged, and the watching starts again.

        The log is then read again from its first line, which is what the sink is for.
        """
        loop = asyncio.get_running_loop()
        crashes = 0
        while True:
            run, began = self.open_run(settings, task_log), loop.time()
            try:
                async with run:
                    return await run.completion()
            except Exception as error:
                crashes = 1 if loop.time() - began >= _HEALTHY else crashes + 1
                log.exception("A defect of asyncrun while watching %s", run)
                task_log.say("error", f"A defect of asyncrun while watching ({type(error).__name__}: {error})")
                if crashes == _CRASHES:
                    await self._abandon(run, task_log)
                    raise
            await asyncio.sleep(_CRASH_WAIT * crashes)

    async def _abandon(self, run: Run, task_log: TaskLog) -> None:
        """Nobody will watch the run any more: do not leave it behind."""
        try:
            await run.stop(stop_reason("a defect of asyncrun, which can no longer watch this task"))
        except RemoteError as error:
            task_log.say("error", f"{run} could not be stopped and may still be running: {error}")

    async def _ending(self, completion: CompletionEvent, settings: Settings, task_log: TaskLog) -> TriggerEvent:
        succeeded = completion.outcome.verdict is Verdict.SUCCEEDED
        if succeeded and self.end_in_triggerer() and await self._xcoms_written(completion, task_log):
            return TaskSuccessEvent()
        await self.hold_resume(self.deferred_at(), settings)
        return TriggerEvent(completion.to_dict())

    async def _xcoms_written(self, completion: CompletionEvent, task_log: TaskLog) -> bool:
        """Write the result; if Airflow does not take it, a worker can do so."""
        if completion.result is None or not self.push_result():
            return True
        if self.task_instance is None:  # dag.test(): there is no Airflow to write to from here
            return False
        ti = TaskId.of(self.task_instance)
        try:
            await write_xcom(
                "return_value", self.xcom_of(completion.result), ti.dag_id, ti.task_id, ti.run_id, ti.map_index
            )
        except RemoteError as error:
            task_log.say("warning", f"The XCom could not be written from the triggerer, so a worker does it: {error}")
            return False
        return True

    def push_result(self) -> bool:
        """Whether the result is to be written as XCom ``return_value``."""
        raise NotImplementedError

    def xcom_of(self, result: str) -> Any:
        """The value that a result stands for: itself."""
        return result

    def ends_here(self, completion: CompletionEvent, settings: Settings) -> None:
        """The task succeeds without a worker: what is left to do about the run, begun right before the event."""

    def deferred_at(self) -> float:
        """When the task was deferred, seconds since the epoch."""
        raise NotImplementedError

    def run_identity(self) -> str:
        """
        Which run it is: as ``RunRecord.identity`` of what the worker noted by XCom.

        :raises MalformedAnswer: the stored watch cannot be read.
        """
        raise NotImplementedError

    async def on_kill(self) -> None:
        """
        Stop the run if a user killed the task; leave it alone if the trigger only moved to another triggerer.

        Airflow cancels this after about a second; the work goes on in a task of its own.
        """
        if self.task_instance is None:  # dag.test(): there is no Airflow to ask, and nowhere to move to
            return
        task = TaskId.of(self.task_instance)
        work: Coroutine[Any, Any, None] = self._stop_if_killed(task)
        await asyncio.shield(spawn(work, f"asyncrun kill {task.dag_id} {task.run_id} {task.task_id} {task.map_index}"))

    async def _stop_if_killed(self, task: TaskId) -> None:
        settings, _ = running_settings()
        async with TaskLog(self.trigger_number, settings) as task_log:
            try:
                run, identity = self.open_run(settings, task_log), self.run_identity()
            except MalformedAnswer as error:
                text = (f"Nothing is stopped, because it cannot be read which container run was watched here. It may "
                        f"still be running: {error}")  # fmt: skip
                task_log.say("error", text)
                log.error("%s (%s)", text, task)
                return
            await Killing(task, run, identity, settings, task_log).carry_out()


async def run_inline(trigger: StoredTrigger) -> TriggerEvent:
    """
    Drive a trigger to its event inside a worker (``deferrable=False``), and leave nothing behind in the event loop.

    :return: the trigger's event.
    """
    from asyncrun.triggers.shutdown import close_loop

    trigger.inline = True
    try:
        async for event in trigger.run():
            return event
        raise AssertionError("a trigger of asyncrun ends with an event")
    finally:
        await close_loop()
