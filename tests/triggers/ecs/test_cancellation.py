"""A cancellation leaves a trigger as it came, at whatever point it arrives, and leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import pytest

import asyncrun.triggers.ecs as public
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import Unavailable
from tests.support.cancellation import cancel_at_every_suspension
from tests.support.memory_aws import MemoryAws, arn_of, at, stream_of
from tests.support.triggers import TARGET, trigger
from tests.triggers.conftest import TaskLogReader


def success(memory: MemoryAws) -> Any:
    arn = memory.put(1)
    at(2, lambda: memory.finish(1))
    return trigger(1, arn)


def failure(memory: MemoryAws) -> Any:
    made = success(memory)
    at(2, lambda: memory.finish(1, code=3))
    made.watch["end_in_triggerer"] = False
    return made


def with_log(memory: MemoryAws) -> Any:
    memory.lines = {stream_of(1): ["hello", "world"]}
    return failure(memory)


def past_its_deadline(memory: MemoryAws) -> Any:
    made = success(memory)
    made.watch |= {"deadline": time.time() + 1, "deadline_reason": "execution_timeout=0:00:01"}
    faults = iter([Unavailable("StopTask was not answered")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "StopTask" else None
    return made


def in_trouble(memory: MemoryAws) -> Any:
    away = Unavailable("the connection to AWS was refused")
    at(0.5, lambda: setattr(memory, "fault", lambda operation: away))
    at(20, lambda: setattr(memory, "fault", lambda operation: None))
    return success(memory)


def not_open_yet(memory: MemoryAws) -> Any:
    faults = iter([Unavailable("Airflow gave no answer")] * 2)
    memory.fault = lambda operation: next(faults, None) if operation == "open" else None
    return success(memory)


def a_state(kind: type[Any], watch: type[Any], **fields: Any) -> Callable[[MemoryAws], Any]:
    def make(memory: MemoryAws) -> Any:
        memory.put(1)
        memory.status = "PROVISIONING"
        at(2, lambda: memory.finish(1))
        at(2, lambda: setattr(memory, "status", "STOPPED"))
        given = {"target": TARGET, "deferred_at": time.time(), "desired": ("STOPPED",), **fields}
        made = kind(watch(**given).to_dict())
        made.trigger_id = 1
        return made

    make.__name__ = kind.__name__
    return make


SCENARIOS = [
    success,
    failure,
    with_log,
    past_its_deadline,
    in_trouble,
    not_open_yet,
    a_state(public.EcsClusterTrigger, EcsClusterWatch, cluster="c"),
    a_state(public.EcsTaskDefinitionTrigger, EcsTaskDefinitionWatch, name="d"),
    a_state(public.EcsTaskStateTrigger, EcsTaskStateWatch, cluster="default", task=arn_of(1)),
]  # fmt: skip


@pytest.mark.looptime
@pytest.mark.parametrize("late", [False, True], ids=["while it waits", "when the answer is there"])
@pytest.mark.parametrize("scenario", SCENARIOS, ids=lambda make: make.__name__)
async def test_a_cancellation_at_any_point_leaves_with_airflows_message_and_leaves_nothing_behind(
    scenario: Callable[[MemoryAws], Any], task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    no_leaked_tasks: None, *, late: bool,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD", "0.05")
    await cancel_at_every_suspension(lambda: MemoryAws(TARGET), scenario, late=late)
