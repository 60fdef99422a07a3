"""
The few messages to Airflow that are safe in a trigger, and that answer "I do not know" instead of hanging.

In the triggerer other messages (``ti.xcom_pull`` without map indexes, the task state store, the previous run) are
never answered. These three are. They go through a thread: there the synchronous SDK works from any asyncio task (in a
child task on the loop it says "isn't defined"), a custom XCom backend may block, and a wait that is given up does not
break a worker's connection, as cancelling its ``asend`` would. The supervisor answers one message after the other, so
a few threads of our own are as fast as many, and nothing else waits behind them.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from concurrent.futures import CancelledError as AbandonedError
from concurrent.futures import ThreadPoolExecutor
from functools import lru_cache, partial
from typing import Any, TypeVar

from asyncrun.model.errors import AccessDenied, Unavailable

T = TypeVar("T")

ANSWER_LIMIT = 60.0
"""Seconds. Serial look-ups of 500 starting triggers took that long; later there is nothing to wait for."""
_THREADS = 4


async def task_state(
    dag_id: str, run_id: str, task_id: str, map_index: int = -1, *, limit: float = ANSWER_LIMIT
) -> str | None:
    """
    State of a task instance as Airflow's database has it now.

    :param map_index: -1 for a task that is not mapped.
    :param limit: seconds to wait for the answer.
    :return: ``deferred``, ``running``, ``failed``, ...; None if it has no state, or does not exist.
    :raises Unavailable: Airflow gave no answer.
    """
    states = await _ask(
        partial(_get_task_states, dag_id, run_id, task_id, map_index),
        f"the state of task {task_id} in run {run_id} of DAG {dag_id}",
        limit,
    )
    # The key of a mapped task has its index appended.
    of_run = states.get(run_id) or {}
    state = of_run.get(task_id if map_index < 0 else f"{task_id}_{map_index}")
    return None if state is None else str(state)


async def read_xcom(
    key: str, dag_id: str, task_id: str, run_id: str, map_index: int = -1, *, limit: float = ANSWER_LIMIT
) -> Any:
    """
    One XCom of one task instance.

    :param map_index: -1 for a task that is not mapped.
    :param limit: seconds to wait for the answer.
    :return: the value, None if there is none.
    :raises Unavailable: Airflow gave no answer.
    """
    return await _ask(
        partial(_get_xcom, key=key, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index),
        f"XCom {key} of task {task_id}",
        limit,
    )


async def write_xcom(
    key: str, value: Any, dag_id: str, task_id: str, run_id: str, map_index: int = -1, *, limit: float = ANSWER_LIMIT
) -> None:
    """
    Write one XCom of one task instance, replacing what is there.

    :param value: what Airflow can serialize; never a secret.
    :param map_index: -1 for a task that is not mapped.
    :param limit: seconds to wait for the confirmation.
    :raises Unavailable: Airflow did not confirm it; it may have been written.
    """
    await _ask(
        partial(_set_xcom, key=key, value=value, dag_id=dag_id, task_id=task_id, run_id=run_id, map_index=map_index),
        f"the writing of XCom {key} of task {task_id}",
        limit,
    )


def _get_task_states(dag_id: str, run_id: str, task_id: str, map_index: int) -> dict[str, Any]:
    from airflow.sdk.execution_time.task_runner import RuntimeTaskInstance

    return RuntimeTaskInstance.get_task_states(dag_id=dag_id, map_index=map_index, task_ids=[task_id], run_ids=[run_id])


def _get_xcom(**which: Any) -> Any:
    from airflow.sdk.execution_time.xcom import XCom

    return XCom.get_one(**which)


def _set_xcom(*, key: str, value: Any, **which: Any) -> None:
    from airflow.sdk.execution_time.xcom import XCom

    XCom.set(key, value, **which)


@lru_cache(maxsize=1)
def _threads() -> ThreadPoolExecutor:
    return ThreadPoolExecutor(_THREADS, thread_name_prefix="asyncrun-airflow")


async def _ask(ask: Callable[[], T], what: str, limit: float) -> T:
    """Ask in a thread. A thread that is not waited for any more ends with the answer, or with the triggerer's loop."""
    answer = asyncio.get_running_loop().run_in_executor(_threads(), _asked, ask, what)
    try:
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
