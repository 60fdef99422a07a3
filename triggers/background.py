"""Tasks that must outlive the trigger that started them: strongly referenced, named, and without its log context."""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Coroutine
from typing import Any

log = logging.getLogger(__name__)

# asyncio itself keeps only weak references to tasks.
_running: set[asyncio.Task[Any]] = set()


def spawn(work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
    """
    Start ``work`` as a task of the running loop that lives on when the caller is cancelled.

    It runs in an empty context, so its log lines reach the triggerer's own log and not the task log of whoever started
    it. Its failure is logged there. Await it only through ``asyncio.shield``.
    """
    task = asyncio.get_running_loop().create_task(work, name=name, context=contextvars.Context())
    _running.add(task)
    task.add_done_callback(_finished)
    return task


def _finished(task: asyncio.Task[Any]) -> None:
    _running.discard(task)
    if not task.cancelled() and (error := task.exception()) is not None:
        log.error("%s failed; this is a defect of asyncrun", task.get_name(), exc_info=error)


async def finish_all() -> None:
    """Wait until every such task of the running loop is done: for workers, which end their loop."""
    loop = asyncio.get_running_loop()
    while mine := [task for task in _running if task.get_loop() is loop]:
        await asyncio.wait(mine)
