"""
The few messages to Airflow that are safe in a trigger, and that answer "I do not know" instead of hanging.

In the triggerer other messages (``ti.xcom_pull`` without map indexes, the task state store, the previous run) are
never answered. These three are. They go through a thread: there the synchronous SDK works from any asyncio task (in a
child task on the loop it says "isn't defined"), a custom XCom backend may block, and a wait that is given up does not
break a worker's connection, as cancelling its ``asend`` would. The supervisor answers one message after the other
(0.07-0.2 s each on a busy machine), so only a few are under way at a time, and the limit of each counts from its
sending: however many wait before it, it gets its time.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError as AbandonedError
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

from asyncrun.clients.airflow_states import StatesQuestion, TaskKey
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.errors import AccessDenied, Unavailable

T = TypeVar("T")

ANSWER_LIMIT = 60.0
"""Seconds from the sending. The supervisor is slow when it serves 500 starting triggers; later it is in trouble."""
_UNDER_WAY = 4
_THREADS = 32  # more than are under way: one whose answer is not waited for any more stays until it comes

_permits = PerLoop(lambda: asyncio.Semaphore(_UNDER_WAY))


async def task_states(question: StatesQuestion, *, limit: float = ANSWER_LIMIT) -> dict[TaskKey, str | None]:
    """
    States of task instances as Airflow's database has them now: one message.

    :param limit: seconds to wait for the answer, from the sending.
    :return: for each task of the question ``deferred``, ``running``, ``failed``, ...; None if it has no state, or does
        not exist.
    :raises Unavailable: Airflow gave no answer.
    """
    return question.read(await _ask(partial(_get_task_states, question), str(question), limit))


async def read_xcom(key: str, dag_id: str, task_id: str, run_id: str, map_index: int = -1) -> Any:
    """
    One XCom of one task instance.

    :param map_index: -1 for a task that is not mapped.
    :return: the value, None if there is none.
    :raises Unavailable: Airflow gave no answer.
    """
    return await _ask(
        partial(_get_xcom, key=key, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index),
        f"XCom {key} of task {task_id}",
    )


async def write_xcom(key: str, value: Any, dag_id: str, task_id: str, run_id: str, map_index: int = -1) -> None:
    """
    Write one XCom of one task instance, replacing what is there.

    :param value: what Airflow can serialize; never a secret.
    :param map_index: -1 for a task that is not mapped.
    :raises Unavailable: Airflow did not confirm it; it may have been written.
    """
    await _ask(
        partial(_set_xcom, key=key, value=value, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index),
        f"the writing of XCom {key} of task {task_id}",
    )


def _get_task_states(question: StatesQuestion) -> dict[str, Any]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_task_states(
        dag_id=question.dag_id,
        map_index=question.map_index,
        task_ids=list(question.task_ids),
        run_ids=list(question.run_ids),
    )


def _get_xcom(**which: Any) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(**which)


def _set_xcom(*, key: str, value: Any, **which: Any) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(key, value, **which)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="asyncrun-airflow")


async def _ask(ask: Callable[[], T], what: str, limit: float = ANSWER_LIMIT) -> T:
    """Ask in a thread. A thread that is not waited for any more ends with the answer, or with the triggerer's loop."""
    async with _permits():
        answer = asyncio.wrap_future(_threads().submit(_asked, ask, what))
        try:
            # Not asyncio.timeout: a trigger's own task must keep the message of its cancellation.
            done, _ = await asyncio.wait({answer}, timeout=limit)
        finally:
            answer.add_done_callback(_seen)
    if not done:
        raise Unavailable(f"Airflow did not answer within {limit:g} s when it was asked for {what}.", service="airflow")
    return answer.result()


def _asked(ask: Callable[[], T], what: str) -> T:
    from airflow.sdk.exceptions import AirflowRuntimeError

    try:
        return ask()
    except PermissionError as error:
        raise AccessDenied(f"Airflow denies access to {what}.", service="airflow") from error
    except (AirflowRuntimeError, OSError, EOFError, RuntimeError, ImportError, AbandonedError, TypeError) as error:
        # ImportError: outside of a task or triggerer there is no supervisor to ask. TypeError: an answer to something
        # else. AbandonedError: the triggerer's loop stopped reading answers; as it is it would look like a
        # cancellation of the caller.
        raise Unavailable(
            f"Airflow gave no useful answer when it was asked for {what} ({type(error).__name__}).", service="airflow"
        ) from error


def _seen(answer: asyncio.Future[Any]) -> None:
    if not answer.cancelled():
        answer.exception()
