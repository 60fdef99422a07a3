"""The triggerer's process, made ready when the first run opens: Airflow's supervisor, and Python's heap."""

from __future__ import annotations

import logging

from asyncrun.clients.airflow import read_xcom
from asyncrun.clients.config import running_settings
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.errors import RemoteError
from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers.background import spawn
from asyncrun.triggers.heap import Heap, is_triggerer
from asyncrun.triggers.kill import TaskId

log = logging.getLogger(__name__)


class _Warming:
    began = False


_warming = PerLoop(_Warming)
heap = Heap()
"""This process's."""


def warm_up(task: TaskId) -> None:
    """
    Ask Airflow something harmless in the background, once in this event loop, and see to the heap (``freeze_heap``).

    The triggerer's supervisor makes its API client, a whole FastAPI application, when the first message needs it:
    4.1 and 4.7 s on an idle machine (Airflow 3.3.2), whichever message it was; the next ones took 10-35 ms. Without
    this the first run that ends, or is killed, would wait for it: a kill has about one second before it is cancelled.

    The full garbage collection that comes with freezing is the last long one, at the one moment when hardly any trigger
    runs yet: the first one of a process.
    """
    warming = _warming()
    if not warming.began:
        warming.began = True
        spawn(_warm_up(task), "asyncrun first message to Airflow")


async def _warm_up(task: TaskId) -> None:
    if is_triggerer() and running_settings().settings.freeze_heap == "on":
        heap.keep()
    try:
        await read_xcom(RUN_XCOM_KEY, task.dag_id, task.task_id, task.run_id, task.map_index)
    except RemoteError as error:
        log.debug("Airflow's API client may not be ready yet: %s", error)
