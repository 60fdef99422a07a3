"""A cancellation leaves a pod's trigger as it came, at whatever point it arrives, and leaves nothing behind."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from asyncrun.model.errors import AccessDenied, Unavailable
from tests.support.kill import KILL
from tests.triggers.conftest import TaskLogReader
from tests.triggers.ecs.test_cancellation import Stepped
from tests.triggers.pod_runs.shared_memory import SharedMemory, at, ended, running, scheduled, waiting


def success(memory: SharedMemory) -> Any:
    memory.put()
    at(2, lambda: memory.put("Succeeded", ended()))
    return memory.trigger(end_in_triggerer=True, on_finish_action="keep_pod", logs=())


def failure(memory: SharedMemory) -> Any:
    memory.put()
    at(2, lambda: memory.put("Running", ended(3)))
    at(3, lambda: memory.put("Failed", ended(3)))
    return memory.trigger(events_on_failure=True)


def with_log(memory: SharedMemory) -> Any:
    memory.logs["p1", "base"] = b"2026-01-02T03:04:05.000000001Z hello\n2026-01-02T03:04:05.000000002Z world\n"
    return failure(memory)


def past_its_deadline(memory: SharedMemory) -> Any:
    memory.put()
    faults = iter([Unavailable("the delete was not answered")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "delete" else None
    return memory.trigger(deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01")


def never_started(memory: SharedMemory) -> Any:
    memory.put("Pending", waiting("ImagePullBackOff", "not found"))
    return memory.trigger(startup_timeout=12)


def unlabelled(memory: SharedMemory) -> Any:
    memory.put(labels={})
    at(2, lambda: memory.put("Succeeded", ended(), labels={}))
    return memory.trigger()


def watch_forbidden(memory: SharedMemory) -> Any:
    denied = AccessDenied("list pods is denied", service="kubernetes", code="Forbidden")
    memory.fault = lambda operation: denied if operation in ("list", "watch") else None
    memory.put()
    at(2, lambda: memory.put("Succeeded", ended()))
    return memory.trigger()


def with_xcom(memory: SharedMemory) -> Any:
    memory.put("Running", running(), running("beside"))
    at(2, lambda: memory.put("Running", ended(), running("beside")))
    at(6, lambda: memory.put("Succeeded", ended(), ended(name="beside"), conditions=scheduled()))
    return memory.trigger(wants_xcom=True)


def in_trouble(memory: SharedMemory) -> Any:
    away = Unavailable("the connection was refused")

    def begin() -> None:
        memory.fault = lambda operation: away
        memory.cut()

    at(0.5, begin)
    at(20, lambda: setattr(memory, "fault", lambda operation: None))
    return success(memory)


def not_open_yet(memory: SharedMemory) -> Any:
    faults = iter([Unavailable("Airflow gave no answer")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "open" else None
    return success(memory)


SCENARIOS = [
    success, failure, with_log, past_its_deadline, never_started, unlabelled, watch_forbidden, with_xcom, in_trouble,
    not_open_yet,
]  # fmt: skip


async def cancelled_at(make: Callable[[SharedMemory], Any], k: int, *, late: bool) -> bool:
    """One life of a trigger, cancelled at its k-th suspension. Returns whether it had that many."""
    from asyncrun.triggers.shutdown import close_loop

    memory = SharedMemory()
    made, events = make(memory), []

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
        await asyncio.sleep(120)  # shared watchers end by themselves
        assert asyncio.all_tasks() - before == set(), where
        assert memory.users == 0, where
        return True
    finally:
        await close_loop()


@pytest.mark.looptime
@pytest.mark.timeout(300)
@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when the answer is there"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda make: make.__name__)
async def test_a_cancellation_at_any_point_leaves_with_airflows_message_and_leaves_nothing_behind(
    scenario: Callable[[SharedMemory], Any], task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    no_leaked_tasks: None, *, late: bool,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    k = 1
    while await cancelled_at(scenario, k, late=late):
        k += 1
        assert k < 400
    assert k > 4, "the trigger was never cancelled in mid-work"
