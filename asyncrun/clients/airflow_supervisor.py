"""
When Airflow's supervisor is done with an end: all that asyncrun knows of that part of the triggerer stands here.

In airflow 3.3.2 (``jobs/triggerer_job_runner.py``, ``sdk/execution_time/supervisor.py``) an end goes this way:

1. A trigger's task ends. About once a second the runner looks for such tasks, drops them, and in the same step of the
   event loop writes one message with all their ids. Nothing else refers to a trigger's task, so that is the moment at
   which it ceases to exist.
2. The supervisor reads one message in each turn of its loop. For this one it uploads every log, one after the other;
   behind it, in the same turn, it stores the events and beats. Whatever is asked later is answered in a later turn.

So an end is over when a question is answered that was asked after its task ceased to exist. Where the first sign does
not come (something refers to the task, or another Airflow keeps it) time limits take its place; where there is no
supervisor (a worker, ``dag.test()``) or it does not answer, there is no second sign and ``None`` or False says so.
"""

from __future__ import annotations

import asyncio
import logging
import sys
import weakref
from collections.abc import Callable
from functools import cache
from typing import Any

_logger = logging.getLogger(__name__)

_ANSWER_LIMIT = 180.0  # s; longer than the uploads of one message take in any triggerer that can be saved
_OVERDUE = 10.0  # s; the runner looks every second, but not while it waits for an answer


def can_tell() -> bool:
    """Whether this process is a triggerer's runner, whose supervisor can be asked."""
    return _comms() is not None


async def supervisor_turn() -> bool:
    """
    Wait until the supervisor has ended the turn of its loop in which it stands, its heartbeat included.

    :return: False if it cannot be told.
    """
    try:
        answer = _asked()
    except Exception as error:  # noqa: BLE001 - another Airflow may have no such message, or refuse it empty
        _say_once(f"{type(error).__name__}: {error}")
        return False
    if answer is None:
        return False
    try:
        done, _ = await asyncio.wait({answer}, timeout=_ANSWER_LIMIT)
    finally:
        answer.add_done_callback(_seen)
        answer.cancel()
    return bool(done) and not answer.cancelled()  # an error is an answer, too


def _asked() -> asyncio.Task[Any] | None:
    from airflow.sdk.execution_time.comms import MaskSecret

    comms = _comms()
    if comms is None:
        return None
    # The one message that costs the supervisor nothing: without a value nothing is masked. No database is asked.
    answer: asyncio.Task[Any] = asyncio.ensure_future(comms.asend(MaskSecret(value="")))
    answer.set_name("asyncrun asks the supervisor for a turn")
    return answer


class Noticing:
    """
    Calls back, in the running event loop, when the runner has told the supervisor that a task has ended.

    :param task: a trigger's own.
    :param tell: called with this object, once.
    :param overdue: called with this object where that should long have happened; ``notice`` then ends the waiting.
    """

    def __init__(
        self,
        task: asyncio.Task[Any],
        tell: Callable[[Noticing], object],
        overdue: Callable[[Noticing], object],
    ) -> None:
        self._loop = task.get_loop()
        self._tell: Callable[[Noticing], object] | None = tell
        self._overdue = overdue
        self._timer: asyncio.TimerHandle | None = None
        self._task = weakref.ref(task, self._dropped)
        task.add_done_callback(self._done)

    def _dropped(self, _: object) -> None:
        # Maybe in another thread: garbage is collected anywhere. The message is written in the step in which we are.
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.notice)

    def _done(self, _: object) -> None:
        if self._tell is not None:
            self._timer = self._loop.call_later(_OVERDUE, self._overdue, self)

    def notice(self) -> None:
        """Call back now; nothing happens if that was done."""
        if self._timer is not None:
            self._timer.cancel()
        tell, self._tell = self._tell, None
        if tell is not None:
            tell(self)


def _comms() -> Any:
    module = sys.modules.get("airflow.jobs.triggerer_job_runner")  # heavy, and where it is not loaded we are elsewhere
    sdk = sys.modules.get("airflow.sdk.execution_time.task_runner")
    comms = getattr(sdk, "SUPERVISOR_COMMS", None)
    kind = getattr(module, "TriggerCommsDecoder", None)
    return comms if kind is not None and isinstance(comms, kind) else None


@cache
def _say_once(why: str) -> None:
    _logger.warning(
        "Airflow's supervisor cannot be asked when it has uploaded the logs of ended tasks, so ends_per_second is all "
        "that holds them back: %s",
        why,
    )


def _seen(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
