"""Background tasks that belong to one object, which awaits them when it ends; whether the running one is to end."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from contextvars import Context
from typing import Any

from asyncrun.model.errors import RemoteError

log = logging.getLogger(__name__)


def being_cancelled() -> bool:
    """Whether somebody asked the running task to end: an SDK also raises ``CancelledError`` for reasons of its own."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


class OwnedTasks:
    """
    Tasks with a name and an empty context: they serve many, so their log lines belong to no task.

    :param owner: the end of each task's name.
    """

    def __init__(self, owner: str) -> None:
        self._owner = owner
        self._tasks: set[asyncio.Task[None]] = set()

    def start(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        """Run it in the background, until it ends or ``end`` cancels it."""
        task = asyncio.create_task(work, name=f"asyncrun-{what}-{self._owner}", context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    async def end(self) -> None:
        """Cancel all of them but the one that calls this, and wait for their ends."""
        mine = self._tasks - {asyncio.current_task()}
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """A ``RemoteError`` is raised by those who wait for the task; here it is only marked as seen."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, RemoteError):
            log.error("Task %s failed; this is a defect of asyncrun", task.get_name(), exc_info=error)
