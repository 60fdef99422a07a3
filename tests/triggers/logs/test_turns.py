"""Whose call is next among the log groups of an account."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from asyncrun.triggers.logs.turns import Turns, turns_for

pytestmark = [pytest.mark.looptime]


class Group:
    """Takes turns of ten seconds each."""

    def __init__(self, turns: Turns, need: float, had: list[float]) -> None:
        self.need, self._turns, self._had = need, turns, had
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> None:
        async with self._turns.turn(lambda: self.need):
            self._had.append(self.need)
            await asyncio.sleep(10)


async def test_few_have_a_turn_at_a_time_and_the_neediest_comes_next() -> None:
    had: list[float] = []
    turns = Turns(rate=1)  # two at a time
    groups = [Group(turns, need, had) for need in (1, 2, 3, 4, 5)]
    await asyncio.sleep(1)
    assert had == [1, 2], "who comes first does not wait while there is room"
    groups[2].need = 9  # needs are looked at when a turn becomes free
    await asyncio.gather(*(group.task for group in groups))
    assert had == [1, 2, 9, 5, 4]
    assert asyncio.get_running_loop().time() == pytest.approx(30)


@pytest.mark.parametrize("waiting", [True, False], ids=["while it waits", "when its turn has just come"])
async def test_who_is_cancelled_leaves_its_turn_to_others(waiting: bool) -> None:
    had: list[float] = []
    turns = Turns(rate=0)  # one at a time
    async with turns.turn(lambda: 0.0):
        first, second = Group(turns, 2, had), Group(turns, 1, had)
        await asyncio.sleep(5)
        if waiting:
            first.task.cancel()
    first.task.cancel()
    done = await asyncio.gather(first.task, second.task, return_exceptions=True)
    assert isinstance(done[0], asyncio.CancelledError)
    assert had == [1]
    async with asyncio.timeout(1), turns.turn(lambda: 0.0):
        pass


async def test_a_turn_that_ends_with_an_error_is_free_again() -> None:
    turns = Turns(rate=0)
    for _ in range(3):
        with pytest.raises(ValueError, match="broken"):
            async with turns.turn(lambda: 1.0):
                raise ValueError("broken")


async def test_who_is_cancelled_while_it_waits_is_forgotten() -> None:
    class Waiting:
        def need(self) -> float:
            return 1.0

    turns = Turns(rate=0)
    async with turns.turn(lambda: 0.0):
        waiting = Waiting()
        gone = weakref.ref(waiting)
        task = asyncio.create_task(turns.turn(waiting.need).__aenter__(), name="waits")
        del waiting
        await asyncio.sleep(1)
        assert gone() is not None
        task.cancel()
        await asyncio.wait([task])
        del task
        gc.collect()
        assert gone() is None


async def test_groups_that_are_reached_with_the_same_credentials_share_turns() -> None:
    turns = turns_for("account", 2)
    assert turns_for("account", 2) is turns
    assert turns_for("other account", 2) is not turns


async def test_turns_that_were_left_by_all_are_forgotten() -> None:
    turns = turns_for("account", 2)
    gone = weakref.ref(turns)
    del turns
    gc.collect()
    assert gone() is None
