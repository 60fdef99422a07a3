"""A cancellation leaves a pod's trigger as it came, at whatever point it arrives, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

from asyncrun.model.errors import AccessDenied, Unavailable
from tests.support.cancellation import cancel_at_every_suspension
from tests.triggers.conftest import TaskLogReader
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


@pytest.mark.looptime
@pytest.mark.timeout(300)
@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when the answer is there"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda make: make.__name__)
async def test_a_cancellation_at_any_point_leaves_with_airflows_message_and_leaves_nothing_behind(
    scenario: Callable[[SharedMemory], Any], task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    no_leaked_tasks: None, *, late: bool,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    await cancel_at_every_suspension(SharedMemory, scenario, late=late)
