"""The two halves of a triggerer as far as ends go, in virtual time: made after Airflow 3.3.2's, and held against it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any

from asyncrun.triggers.background import finish_all

_PAUSE = 1.0  # s; between two rounds of the runner
_TURN = 0.03  # s; of the supervisor's loop, with nothing to do


class ModelTriggerer:
    """
    An async context manager: inside of it the runner's loop goes round.

    :param upload: seconds that one upload takes, now.
    :ivar turns: of the supervisor's loop: when it began, how many ends it dealt with, how long it took.
    :ivar keeps_tasks: the runner does not drop the tasks that it found ended.
    :ivar silent: questions are never answered.
    """

    def __init__(self, upload: Callable[[], float]) -> None:
        self._upload = upload
        self._loop = asyncio.get_running_loop()
        self._free_at = 0.0
        self._triggers: dict[int, asyncio.Task[Any]] = {}
        self._kept: list[asyncio.Task[Any]] = []
        self._number = 0
        self._runner: asyncio.Task[None] | None = None
        self.turns: list[tuple[float, int, float]] = []
        self.questions = 0
        self.keeps_tasks = self.silent = False

    def add(self, work: Coroutine[Any, Any, Any]) -> int:
        """Run that as a trigger."""
        self._number += 1
        self._triggers[self._number] = asyncio.create_task(work, name=f"trigger {self._number}")
        return self._number

    def kill(self, number: int) -> None:
        """As when a user has killed its Airflow task."""
        if number in self._triggers:
            self._triggers[number].cancel("__airflow_user_action__")

    @property
    def longest(self) -> float:
        """Turn of the supervisor: so long it did not beat."""
        return max((took for _, _, took in self.turns), default=0.0)

    @property
    def told(self) -> int:
        """Ends that the supervisor has dealt with."""
        return sum(count for _, count, _ in self.turns)

    async def all_told(self) -> None:
        """Wait until no trigger is left."""
        while self._triggers:  # noqa: ASYNC110 - virtual time
            await asyncio.sleep(0.5)

    async def supervisor_turn(self) -> bool:
        """For ``Ends``: as ``asyncrun.clients.airflow_supervisor.supervisor_turn``."""
        self.questions += 1
        if self.silent:
            await asyncio.sleep(180)
            return False
        await self._served(0)
        return True

    async def away(self, seconds: float) -> None:
        """It has something else to do for so long."""
        await self._served(0, seconds)

    async def __aenter__(self) -> ModelTriggerer:
        self._runner = asyncio.create_task(self._run(), name="runner")
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await finish_all()  # who waits for an answer gets it
        left = [self._runner, *self._triggers.values()]
        for task in left:
            task.cancel()
        await asyncio.wait(left)
        await finish_all()

    async def _run(self) -> None:
        while True:
            await self._served(len(await self._finished()))
            await asyncio.sleep(_PAUSE)

    async def _finished(self) -> list[int]:
        finished = []
        for number, task in list(self._triggers.items()):
            if task.done():
                finished.append(number)
                if self.keeps_tasks:
                    self._kept.append(task)
                del self._triggers[number]
            await asyncio.sleep(0)
        return finished

    async def _served(self, ends: int, more: float = 0.0) -> None:
        """One message, dealt with in a turn of its own, after all that came before."""
        began = max(self._free_at, self._loop.time())
        took = _TURN + more + sum(self._upload() for _ in range(ends))
        self._free_at = began + took
        self.turns.append((began, ends, took))
        await asyncio.sleep(self._free_at - self._loop.time())
