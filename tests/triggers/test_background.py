"""Tasks that outlive the trigger that started them."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import logging

import pytest

from asyncrun.triggers.background import finish_all, spawn
from tests.support.kill import KILL

pytestmark = pytest.mark.looptime

LABEL = contextvars.ContextVar("LABEL", default="nobody's")


async def test_the_work_goes_on_when_the_one_who_started_it_is_cancelled_again_and_again() -> None:
    done: list[float] = []

    async def work() -> None:
        await asyncio.sleep(6)
        done.append(asyncio.get_running_loop().time())

    async def on_kill() -> None:
        await asyncio.shield(spawn(work(), "the work"))

    began = asyncio.get_running_loop().time()
    for second in range(2):
        task = asyncio.create_task(on_kill(), name=f"on_kill {second}")
        await asyncio.sleep(1)
        task.cancel(KILL)
        with pytest.raises(asyncio.CancelledError) as caught:
            await task
        assert caught.value.args == (KILL,)
    assert done == []
    await finish_all()
    assert [at - began for at in done] == [6, 7]


async def test_nobody_else_needs_to_hold_the_task() -> None:
    reached: list[str] = []

    async def work() -> None:
        # A future that only this task refers to: without a strong reference to the task both would be collected.
        future = asyncio.get_running_loop().create_future()
        asyncio.get_running_loop().call_later(1, reached.append, "in time")
        asyncio.get_running_loop().call_later(2, future.set_result, None)
        await future
        reached.append("end")

    spawn(work(), "unheld")
    await asyncio.sleep(0)
    gc.collect()
    await finish_all()
    assert reached == ["in time", "end"]


async def test_it_does_not_log_into_the_task_log_of_whoever_started_it() -> None:
    seen: list[str] = []

    async def work() -> None:
        seen.append(LABEL.get())

    LABEL.set("a trigger's task log")
    await spawn(work(), "without context")
    assert seen == ["nobody's"]


@pytest.mark.expects_defect
async def test_a_failure_is_logged_with_its_traceback_and_name(caplog: pytest.LogCaptureFixture) -> None:
    async def work() -> None:
        raise ZeroDivisionError("a defect")

    task = spawn(work(), "asyncrun kill something")
    await finish_all()
    await asyncio.sleep(0)
    (record,) = [one for one in caplog.records if one.name == "asyncrun.triggers.background"]
    assert record.getMessage() == "asyncrun kill something failed; this is a defect of asyncrun"
    assert record.levelno == logging.ERROR
    assert record.exc_info is not None
    assert isinstance(record.exc_info[1], ZeroDivisionError)
    assert task.done()


async def test_a_cancellation_of_the_work_itself_is_no_failure(caplog: pytest.LogCaptureFixture) -> None:
    task = spawn(asyncio.sleep(100), "cancelled")
    await asyncio.sleep(0)
    task.cancel()
    await finish_all()
    await asyncio.sleep(0)
    assert caplog.records == []


async def test_finishing_waits_for_work_that_was_started_meanwhile() -> None:
    ended: list[str] = []

    async def second() -> None:
        await asyncio.sleep(5)
        ended.append("second")

    async def first() -> None:
        await asyncio.sleep(5)
        spawn(second(), "second")
        ended.append("first")

    spawn(first(), "first")
    await finish_all()
    assert ended == ["first", "second"]


@pytest.mark.looptime(enabled=False)
def test_finishing_waits_for_the_running_loops_tasks_only() -> None:
    other = asyncio.new_event_loop()
    try:

        async def start() -> asyncio.Task[None]:
            return spawn(asyncio.sleep(3600), "of another loop")

        left = other.run_until_complete(start())
        asyncio.run(asyncio.wait_for(finish_all(), 5))
        assert not left.done()
        left.cancel()
        other.run_until_complete(asyncio.wait([left]))
    finally:
        other.close()
