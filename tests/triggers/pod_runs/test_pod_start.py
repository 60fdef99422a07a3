"""Starts that fail or take their time, and what is said of them meanwhile. In virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncrun.model.diagnosis import Cause
from asyncrun.model.errors import Unavailable
from asyncrun.model.outcome import StopCause, Verdict
from tests.support.triggers import said
from tests.triggers.conftest import TaskLogReader
from tests.triggers.pod_runs.shared_memory import SharedMemory, at, denied, end_of, ended, event, scheduled, waiting
from tests.triggers.pods.memory_kube import uid_of

pytestmark = [pytest.mark.usefixtures("settings"), pytest.mark.looptime]
UNSCHEDULABLE = "0/3 nodes are available: 3 Insufficient memory."


def stopped_at(memory: SharedMemory) -> float:
    """When it was given up. After that the log is waited for, whose reader needs real time."""
    (at,) = memory.times("delete")
    return at


async def test_no_node_within_the_schedule_timeout(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put("Pending", conditions=scheduled(False, UNSCHEDULABLE), containerStatuses=[])
    began = asyncio.get_running_loop().time()
    end = await end_of(memory, schedule_timeout=40, startup_timeout=500)
    assert stopped_at(memory) - began == pytest.approx(40, abs=1)
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.NEVER_STARTED, StopCause.START)
    assert end.diagnosis.cause is Cause.CAPACITY
    assert "Insufficient memory" in end.diagnosis.text()
    assert "schedule_timeout_seconds=40" in end.diagnosis.summary
    assert "Insufficient memory" in said(task_log, 1)
    assert memory.deleted_by_calls == [("p1", None)]


@pytest.mark.parametrize(
    ("status", "events", "words", "cause"),
    [
        (waiting("ImagePullBackOff", 'Back-off pulling image "busyboxx"'),
         [event("Failed", 'Failed to pull image "busyboxx": 503 Service Unavailable')], "registry cannot be reached",
         Cause.IMAGE),
        (waiting("CreateContainerConfigError", 'secret "db" not found'), [], "Secret 'db' does not exist",
         Cause.SECRET),
        (waiting("ContainerCreating"),
         [event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "db" not found')],
         "Secret 'db' does not exist", Cause.SECRET),
    ],
    ids=["image", "missing secret", "volume"],
)  # fmt: skip
async def test_a_pod_that_does_not_start_in_time_says_why(
    memory: SharedMemory, task_log: TaskLogReader, status: Any, events: Any, words: str, cause: Any
) -> None:
    memory.told[uid_of(1)] = events
    memory.put("Pending", status)
    end = await end_of(memory, startup_timeout=30)
    assert end.outcome.verdict is Verdict.NEVER_STARTED
    assert words in end.diagnosis.summary
    assert end.diagnosis.cause is cause
    assert "startup_timeout_seconds=30" in end.diagnosis.summary
    assert memory.deleted_by_calls == [("p1", None)]


async def test_an_image_name_that_is_none_is_given_up_at_once(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put("Pending", waiting("InvalidImageName", "couldn't parse image name"))
    began = asyncio.get_running_loop().time()
    end = await end_of(memory, startup_timeout=300)
    assert stopped_at(memory) - began < 5
    assert end.outcome.verdict is Verdict.NEVER_STARTED
    assert "waiting will not help" in end.diagnosis.summary


async def test_a_pod_whose_trouble_is_over_is_not_given_up(memory: SharedMemory, task_log: TaskLogReader) -> None:
    """It cannot be looked at once more just then, and what kept it from starting has gone when it can."""
    memory.fault = lambda operation: Unavailable("away") if operation == "get" else None
    memory.put("Pending", waiting("InvalidImageName", "couldn't parse image name"))
    at(12, lambda: memory.put("Pending", waiting("ContainerCreating")))
    at(12, lambda: setattr(memory, "fault", lambda operation: None))
    at(20, lambda: memory.put("Running"))
    at(30, lambda: memory.put("Succeeded", ended()))
    end = await end_of(memory, startup_timeout=300, logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    assert said(task_log, 1).count("couldn't parse image name") == 1
    assert said(task_log, 1).count("is not given up before it can be looked at once more") == 1


@pytest.mark.parametrize(("reason", "timeout"), [("ContainerCreating", 30), ("InvalidImageName", 300)])
async def test_before_it_is_given_up_it_is_looked_at_every_few_seconds_while_nobody_answers(
    memory: SharedMemory, task_log: TaskLogReader, reason: str, timeout: float
) -> None:
    memory.fault = lambda operation: Unavailable("away") if operation == "get" else None
    memory.put("Pending", waiting(reason))
    at(60, lambda: setattr(memory, "fault", lambda operation: None))
    began = asyncio.get_running_loop().time()
    end = await end_of(memory, startup_timeout=timeout, logs=())
    assert end.outcome.verdict is Verdict.NEVER_STARTED
    assert 60 <= stopped_at(memory) - began < 66
    assert 5 <= memory.count("get") < 15
    assert said(task_log, 1).count("is not given up before it can be looked at once more") == 1


async def test_the_startup_timeout_begins_when_a_node_was_found(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.put("Pending", conditions=scheduled(False, UNSCHEDULABLE), containerStatuses=[])
    unstamped = [{**scheduled()[0], "lastTransitionTime": None}]
    at(50, lambda: memory.put("Pending", waiting("ContainerCreating"), conditions=unstamped))
    at(100, lambda: memory.put("Running"))
    at(300, lambda: memory.put("Succeeded", ended()))
    end = await end_of(memory, schedule_timeout=60, startup_timeout=60, logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED


async def test_events_that_are_forbidden_cost_words_and_no_run(memory: SharedMemory, task_log: TaskLogReader) -> None:
    memory.fault = lambda operation: denied("list", "events") if operation == "events" else None
    memory.put("Pending", waiting("ImagePullBackOff", "Back-off"))
    end = await end_of(memory, startup_timeout=30)
    assert end.outcome.verdict is Verdict.NEVER_STARTED
    assert "with the permission to list events in namespace 'jobs' they would show" in end.diagnosis.text()
    assert memory.count("events") == 1


async def test_a_start_that_takes_too_long_is_given_up_though_the_pod_may_not_be_read_by_itself(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    """Before giving up, the pod is looked at once more, where that is permitted."""
    memory.fault = lambda operation: denied("get") if operation == "get" else None
    memory.put("Pending", waiting("ContainerCreating"))
    began = asyncio.get_running_loop().time()
    end = await end_of(memory, startup_timeout=30)
    assert stopped_at(memory) - began == pytest.approx(30, abs=1)
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.NEVER_STARTED, StopCause.START)


REASONS = {
    "unschedulable": ((), {"conditions": scheduled(False, UNSCHEDULABLE), "containerStatuses": []}, [],
                      "Insufficient memory"),
    "image": ((waiting("ImagePullBackOff", 'Back-off pulling image "busyboxx"'),), {},
              [event("Failed", 'Failed to pull image "busyboxx": 503 Service Unavailable')], "503 Service Unavailable"),
    "missing secret": ((waiting("CreateContainerConfigError", 'secret "db" not found'),), {}, [],
                       "Secret 'db' does not exist"),
    "volume": ((waiting("ContainerCreating"),), {},
               [event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "db" not found')],
               "Secret 'db' does not exist"),
}  # fmt: skip


@pytest.mark.parametrize("reason", REASONS)
async def test_what_keeps_a_pod_from_starting_is_said_once_while_it_is_pending(
    memory: SharedMemory, task_log: TaskLogReader, reason: str
) -> None:
    """Long before any time-out: whoever reads it can mend it, and the pod goes on."""
    statuses, more, memory.told[uid_of(1)], words = REASONS[reason]
    memory.put("Pending", *statuses, **more)
    end = asyncio.create_task(
        end_of(memory, schedule_timeout=600, startup_timeout=600, events_on_startup=False, logs=()), name="run"
    )
    await asyncio.sleep(15)
    told = [one for one in task_log.records("asyncrun") if words in one["event"]]
    assert [one["level"] for one in told] == ["warning"], said(task_log, 1)
    await asyncio.sleep(100)
    assert said(task_log, 1).count(words) == 1
    assert memory.jobs.objects["p1"]["status"]["phase"] == "Pending"
    assert not end.done()
    assert memory.deleted_by_calls == []
    memory.put("Running")
    await asyncio.sleep(1)
    memory.put("Succeeded", ended())
    assert (await end).outcome.verdict is Verdict.SUCCEEDED


async def events_shown(memory: SharedMemory, task_log: TaskLogReader, *, starts: float, shown: bool) -> list[str]:
    """What the task log has of Kubernetes's events of a pod that runs after so many seconds, and then ends well."""
    told = memory.told[uid_of(1)] = [
        event("Scheduled", "Successfully assigned jobs/p1 to node-1", kind="Normal"),
        event("FailedMount", 'MountVolume.SetUp failed for volume "v" : secret "db" not found'),
    ]
    memory.put("Pending", waiting("ContainerCreating"))
    at(starts - 0.5, lambda: told.append(event("Started", "Started container base", kind="Normal")))
    at(starts, lambda: memory.put("Running"))
    at(starts + 60, lambda: memory.put("Running", ended()))
    at(starts + 61, lambda: memory.put("Succeeded", ended()))
    end = await end_of(memory, startup_timeout=300, events_on_startup=shown, logs=())
    assert end.outcome.verdict is Verdict.SUCCEEDED
    return [one["event"] for one in task_log.records("asyncrun") if "Kubernetes event" in one["event"]]


async def test_the_events_of_a_slow_start_are_shown_once_and_no_later_ones(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    assert await events_shown(memory, task_log, starts=50, shown=True) == [
        "Kubernetes event Scheduled: Successfully assigned jobs/p1 to node-1",
        'Kubernetes event FailedMount: MountVolume.SetUp failed for volume "v" : secret "db" not found',
    ]
    assert memory.count("events") == 3  # after 10, 25 and 40 s
    levels = {one["event"].split()[2]: one["level"] for one in task_log.records("asyncrun")
              if one["event"].startswith("Kubernetes event")}  # fmt: skip
    assert levels == {"Scheduled:": "info", "FailedMount:": "warning"}


async def test_without_log_events_on_startup_no_event_is_shown_but_what_they_tell_is_said(
    memory: SharedMemory, task_log: TaskLogReader
) -> None:
    assert await events_shown(memory, task_log, starts=50, shown=False) == []
    assert said(task_log, 1).count("Secret 'db' does not exist") == 1


@pytest.mark.parametrize("shown", [True, False])
async def test_the_events_of_a_quick_start_are_not_asked_for(
    memory: SharedMemory, task_log: TaskLogReader, shown: bool
) -> None:
    assert await events_shown(memory, task_log, starts=9, shown=shown) == []
    assert memory.count("events") == 0
