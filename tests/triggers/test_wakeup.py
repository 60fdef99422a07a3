"""Waiting with a time limit: a kill's message survives whatever else happens in the same step of the event loop."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import Awaitable, Callable

import pytest

from asyncrun.triggers.wakeup import Wakeup
from tests.support.kill import KILL

pytestmark = pytest.mark.looptime

Wait = Callable[[float], Awaitable[object]]


def now() -> float:
    return asyncio.get_running_loop().time()


async def by_wakeup(seconds: float) -> bool:
    return await Wakeup().wait(seconds)


async def by_timeout(seconds: float) -> bool:
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(seconds):
            await asyncio.Event().wait()
    return False


async def killed_when_the_time_is_up(wait: Wait, *, kill_first: bool) -> tuple[object, ...]:
    """
    The reason with which a task ends that is killed in the very step of the loop in which its time-out fires.

    :param kill_first: the kill runs before the timer in that step, else right after it.
    """
    loop = asyncio.get_running_loop()
    tasks: list[asyncio.Task[object]] = []

    def kill() -> None:
        tasks[0].cancel(KILL)

    async def killable() -> object:
        return await wait(10)

    at = loop.time() + 10
    if kill_first:
        loop.call_at(at, kill)
    # It sets its timer with its first step, at the same virtual time.
    tasks.append(asyncio.create_task(killable(), name="killable"))
    await asyncio.sleep(0)
    if not kill_first:
        loop.call_at(at, kill)
    with pytest.raises(asyncio.CancelledError) as caught:
        await tasks[0]
    assert now() == at
    return caught.value.args


@pytest.mark.parametrize("kill_first", [True, False], ids=["kill first", "time-out first"])
async def test_a_kill_in_the_step_in_which_the_time_is_up_keeps_its_message(*, kill_first: bool) -> None:
    assert await killed_when_the_time_is_up(by_wakeup, kill_first=kill_first) == (KILL,)


async def test_asyncios_timeout_loses_that_message() -> None:
    """Why ``Wakeup`` exists: the time-out's own cancellation, which has no message, takes the place of the kill's."""
    endings = []
    for kill_first in (True, False):
        try:
            endings.append(await killed_when_the_time_is_up(by_timeout, kill_first=kill_first))
        except pytest.fail.Exception:
            endings.append(("the kill was swallowed",))
    assert any(ending != (KILL,) for ending in endings), (sys.version_info, endings)


async def test_waits_until_set_and_then_again() -> None:
    wakeup, began = Wakeup(), now()
    asyncio.get_running_loop().call_later(3, wakeup.set)
    assert await wakeup.wait() is True
    assert now() - began == 3
    assert await wakeup.wait(2) is False
    assert now() - began == 5


async def test_set_before_the_wait_lets_it_pass_once() -> None:
    wakeup, began = Wakeup(), now()
    wakeup.set()
    wakeup.set()
    assert await wakeup.wait(5) is True
    assert now() == began
    assert await wakeup.wait(5) is False
    assert now() - began == 5


@pytest.mark.parametrize("seconds", [0, -1])
async def test_no_time_left_does_not_wait_but_tells_what_was_set(seconds: float) -> None:
    wakeup, began = Wakeup(), now()
    assert await wakeup.wait(seconds) is False
    wakeup.set()
    assert await wakeup.wait(seconds) is True
    assert now() == began


async def test_a_cancelled_wait_loses_no_wakeup_and_leaves_no_timer() -> None:
    wakeup, began = Wakeup(), now()
    waiting = asyncio.create_task(wakeup.wait(10), name="waiting")
    await asyncio.sleep(1)
    waiting.cancel(KILL)
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert caught.value.args == (KILL,)
    wakeup.set()
    assert await wakeup.wait(100) is True
    assert now() - began == 1
    assert await wakeup.wait(100) is False  # the first wait's timer, at 10 s, would have ended it
    assert now() - began == 101


async def test_set_and_killed_in_one_step_is_a_kill_and_the_signal_is_not_lost() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait(10), name="waiting")
    await asyncio.sleep(1)
    wakeup.set()
    waiting.cancel(KILL)
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert caught.value.args == (KILL,)
    assert await wakeup.wait(1) is True


async def test_two_waiters_are_refused() -> None:
    wakeup = Wakeup()
    waiting = asyncio.create_task(wakeup.wait(), name="waiting")
    await asyncio.sleep(0)
    with pytest.raises(RuntimeError, match="two tasks wait for one wake-up"):
        await wakeup.wait()
    wakeup.set()
    assert await waiting is True
