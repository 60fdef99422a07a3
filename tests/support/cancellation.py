"""A trigger that is cancelled at every point where it waits, one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Generator
from typing import Any, Protocol, TypeVar

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from tests.support.kill import KILL


class Memory(Protocol):
    """The other side, in memory."""

    users: int
    """Who has it open now."""


M = TypeVar("M", bound=Memory)


class Stepped:
    """
    A coroutine whose task is cancelled at its ``k``-th suspension.

    :param late: not while it waits there, but after what it waits for has come, and before it can go on.
    """

    def __init__(self, work: Any, k: int, *, late: bool) -> None:
        self._work, self._k, self._late = work, k, late
        self.suspensions = 0

    def __await__(self) -> Generator[Any, Any, None]:
        steps = self._work.__await__()
        task = asyncio.current_task()
        assert task is not None
        step: Callable[[], Any] = lambda: next(steps)  # noqa: E731
        while True:
            try:
                future = step()
            except StopIteration:
                return
            self.suspensions += 1
            if self.suspensions == self._k:
                if self._late and future is not None:
                    future.add_done_callback(lambda _: task.cancel(KILL))  # before the task's own wake-up
                else:
                    asyncio.get_running_loop().call_soon(task.cancel, KILL)
            try:
                yield future
            except BaseException as error:  # noqa: BLE001 - handed on to the coroutine

                def throw(error: BaseException = error) -> Any:
                    return steps.throw(error)

                step = throw
            else:
                step = lambda: next(steps)  # noqa: E731


async def _cancelled_at(memory: Memory, made: Any, k: int, *, late: bool) -> bool:
    """One life of a trigger, cancelled at its k-th suspension. Returns whether it had that many."""
    from asyncrun.triggers.shutdown import close_loop

    events: list[Any] = []

    async def drive() -> None:
        events.extend([event async for event in made.run()])

    stepped = Stepped(drive(), k, late=late)

    async def live() -> None:
        await stepped

    before = asyncio.all_tasks()
    task = asyncio.create_task(live(), name="trigger")
    await asyncio.wait([task])
    try:
        if stepped.suspensions < k:
            task.result()
            (event,) = events
            assert isinstance(event, TaskSuccessEvent | TriggerEvent)
            return False
        where = f"at suspension {k}{', late' if late else ''}"
        assert task.cancelled(), f"{where}: {task}"
        with pytest.raises(asyncio.CancelledError) as caught:
            task.result()
        assert caught.value.args == (KILL,), where
        assert events == [], where
        await asyncio.sleep(120)  # shared watchers and readings end by themselves
        assert asyncio.all_tasks() - before == set(), where
        assert memory.users == 0, where
        return True
    finally:
        await close_loop()


async def cancel_at_every_suspension(new_memory: Callable[[], M], scenario: Callable[[M], Any], *, late: bool) -> None:
    """
    Run the scenario's trigger anew, with a fresh memory, for each of its suspensions, and cancel it there as Airflow
    does. It must leave with Airflow's message, with no event, no task and nothing open.
    """
    k = 1
    while True:
        memory = new_memory()
        if not await _cancelled_at(memory, scenario(memory), k, late=late):
            break
        k += 1
        assert k < 400
    assert k > 4, "the trigger was never cancelled in mid-work"
