"""
Whether a cancelled trigger means that its container run must be stopped.

Airflow 3.3 calls ``on_kill`` when a user marks or clears a deferred task, and also when a trigger merely moves to
another triggerer (apache/airflow#73454). The two look alike, so Airflow is asked. It gets about one second before it is
cancelled, so the asking and stopping live in a task of their own (``background.spawn``).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from enum import Enum
from typing import Any

import msgspec

from asyncrun.clients.airflow import read_xcom, task_state
from asyncrun.model.errors import CredentialsExpired, Unavailable
from asyncrun.spec.ecs import RUN_XCOM_KEY

_FIRST_WAIT, _LONGEST_WAIT = 0.5, 5.0  # s
_NOTE_PATIENCE = 60.0  # s; a launch may wait for room (quota_retry) before the attempt notes its run


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


class Fate(Enum):
    """What a cancelled trigger's run is to expect."""

    KILLED = "killed"
    """The user ended the attempt: stop the run."""
    MOVED = "moved"
    """The task is still deferred and waits for this very run: another triggerer watches it now."""
    TAKEN_OVER = "taken over"
    """A later attempt has reattached to this run: it is that attempt's now."""


async def fate_of(task: TaskId, ref: Mapping[str, str]) -> Fate:
    """
    Ask Airflow why the trigger was cancelled.

    :param ref: the run, as the worker noted it in the XCom ``RUN_XCOM_KEY`` before it deferred.
    :raises Unavailable: Airflow gave no answer.
    """
    state, noted = await _asked(task)
    give_up_at = asyncio.get_running_loop().time() + _NOTE_PATIENCE
    while noted is None and state == "running" and asyncio.get_running_loop().time() < give_up_at:
        # A later attempt has begun, and has not yet said which run is its own: it may be taking over this one.
        await asyncio.sleep(_FIRST_WAIT)
        state, noted = await _asked(task)
    if noted is None and state == "deferred":  # every attempt notes its run before it defers: the note was purged
        return Fate.MOVED
    if not isinstance(noted, dict) or noted.get("ref") != dict(ref):
        return Fate.KILLED
    if noted.get("ti_id") != task.ti_id:
        return Fate.TAKEN_OVER
    return Fate.MOVED if state == "deferred" else Fate.KILLED


async def _asked(task: TaskId) -> tuple[str | None, object]:
    state = await task_state(task.dag_id, task.run_id, task.task_id, task.map_index)
    return state, await read_xcom(RUN_XCOM_KEY, task.dag_id, task.task_id, task.run_id, task.map_index)


async def persist(work: Callable[[], Awaitable[None]], patience: float) -> None:
    """
    Repeat a call that stops something until it is answered.

    :param patience: seconds after which no further attempt is made.
    :raises RemoteError: it was refused, or nobody answered for that long.
    """
    loop = asyncio.get_running_loop()
    give_up_at, wait = loop.time() + patience, _FIRST_WAIT
    while True:
        try:
            await work()
        except (Unavailable, CredentialsExpired):  # credentials may be rotated any moment
            if loop.time() + wait > give_up_at:
                raise
        else:
            return
        await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not cryptography
        wait = min(wait * 2, _LONGEST_WAIT)
