"""
Whether a cancelled trigger means that its container run must be stopped.

Airflow 3.3 calls ``on_kill`` when a user marks or clears a deferred task, and also when a trigger merely moves to
another triggerer (apache/airflow#73454). The two look alike, so Airflow is asked: for the states of all cancelled tasks
together, and only where a state does not decide, for the XCom by which an attempt says which run is its own.
"""

from __future__ import annotations

import asyncio
from enum import Enum
from typing import Any

import msgspec

from asyncrun.clients.airflow_states import TaskKey
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import Unavailable
from asyncrun.model.refs import RunRecord
from asyncrun.triggers.asking import asking

_AGAIN = Backoff(first=0.5, longest=5.0)
# Seconds. Airflow is away for minutes when its database or API server is upgraded; who is killed then has no other
# chance, since no triggerer ever hears of it again.
_ASK_PATIENCE = 600.0
_NOTE_PATIENCE = 60.0  # s; a launch may wait for room (quota_retry) before the attempt notes its run
_TOGETHER = 1.0  # no jitter: one call asks for all, so who failed together asks together again

# In these states nobody waits for the run. None: cleared, or deleted. Scheduled and queued: cleared too, and the next
# attempt has not begun. (A trigger that reported its end is not cancelled as killed; one that did so on another
# triggerer has a run that ended, and to stop that is harmless.)
_OVER = frozenset({None, "removed", "scheduled", "queued", "success", "failed", "skipped", "upstream_failed"})


class TaskId(msgspec.Struct, frozen=True):
    """
    One attempt of one task instance.

    :param ti_id: UUID, new for each attempt.
    """

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    ti_id: str

    @classmethod
    def of(cls, ti: Any) -> TaskId:
        """From what Airflow sets as a trigger's ``task_instance``."""
        index = getattr(ti, "map_index", None)
        return cls(ti.dag_id, ti.run_id, ti.task_id, -1 if index is None else int(index), str(ti.id))

    @property
    def key(self) -> TaskKey:
        """The task instance, whichever its attempt."""
        return TaskKey(self.dag_id, self.run_id, self.task_id, self.map_index)

    def __str__(self) -> str:
        index = "" if self.map_index < 0 else f"[{self.map_index}]"
        return f"task {self.task_id}{index} in run {self.run_id} of DAG {self.dag_id}"


class Fate(Enum):
    """What a cancelled trigger's run is to expect."""

    KILLED = "killed"
    """The user ended the attempt: stop the run."""
    MOVED = "moved"
    """The task is still deferred and waits for this very run: another triggerer watches it now."""
    TAKEN_OVER = "taken over"
    """A later attempt has reattached to this run: it is that attempt's now."""


async def fate_of(task: TaskId, identity: str) -> Fate:
    """
    Ask Airflow why the trigger was cancelled, for some minutes if it does not answer.

    :param identity: the run's: ``RunRecord.identity``.
    :raises MalformedAnswer: what the worker noted in the XCom ``RUN_XCOM_KEY`` cannot be read.
    :raises RemoteError: Airflow gave no answer.
    """
    loop = asyncio.get_running_loop()
    failing_since: float | None = None
    unnoted_since: float | None = None
    attempts = 0
    while True:
        try:
            fate = await _fate_now(task, identity)
        except Unavailable:
            failing_since = loop.time() if failing_since is None else failing_since
            if loop.time() - failing_since > _ASK_PATIENCE:
                raise
        else:
            failing_since = None
            if fate is not None:
                return fate
            # A later attempt has begun, and has not yet said which run is its own: it may be taking over this one.
            unnoted_since = loop.time() if unnoted_since is None else unnoted_since
            if loop.time() - unnoted_since > _NOTE_PATIENCE:
                return Fate.KILLED
        attempts += 1
        await asyncio.sleep(_AGAIN.wait(attempts, lambda: _TOGETHER))


async def _fate_now(task: TaskId, identity: str) -> Fate | None:
    """None: it cannot be told yet."""
    state = await asking().state(task.key)
    if state in _OVER:
        return Fate.KILLED
    noted = await asking().note(task.key)
    if noted is None:
        if state == "deferred":  # every attempt notes its run before it defers: the note was purged
            return Fate.MOVED
        return None if state == "running" else Fate.KILLED
    record = RunRecord.from_dict(noted)
    if record.identity != identity:
        return Fate.KILLED
    if record.ti_id != task.ti_id:
        return Fate.TAKEN_OVER
    return Fate.MOVED if state == "deferred" else Fate.KILLED
