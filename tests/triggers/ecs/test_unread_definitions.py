"""A task definition that cannot be read for a while, or never: the watching goes on beside it."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.model.errors import RemoteError, Throttled
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.metrics.endings import endings
from tests.support.lab import container, logging_to
from tests.support.memory_aws import MemoryAws, arn_of, at, stream_of
from tests.support.triggers import completion, event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = [pytest.mark.usefixtures("settings", "loop_closed"), pytest.mark.looptime]

DEFINITION = {
    "taskDefinitionArn": "arn:def:1",
    "containerDefinitions": [
        container(name="main", **logging_to()), container(name="envoy", essential=False, **logging_to()),
    ],
}  # fmt: skip
ENDED = [
    {"name": "main", "lastStatus": "STOPPED", "exitCode": 0},
    {"name": "envoy", "lastStatus": "STOPPED", "exitCode": 1},
]


@pytest.fixture(autouse=True)
def seldom(settings: pytest.MonkeyPatch) -> None:
    """Minutes of virtual time in rounds of 0.1 s would take long."""
    for name in ("POLL_INTERVAL", "LOGS_POLL_INTERVAL", "LOGS_POLL_IDLE"):
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name}", "2")


def now() -> float:
    return asyncio.get_running_loop().time()


def throttled_until(memory: MemoryAws, moment: float) -> None:
    def fault(operation: str) -> RemoteError | None:
        hit = operation == "DescribeTaskDefinition" and now() < moment
        return Throttled("AWS throttles ECS DescribeTaskDefinition") if hit else None

    memory.fault = fault


def finish(memory: MemoryAws) -> None:
    code = "EssentialContainerExited"
    memory.put(1, "STOPPED", containers=ENDED, stopCode=code, stoppedReason="Essential container in task exited")


@pytest.fixture
def two(memory: MemoryAws, monkeypatch: pytest.MonkeyPatch) -> MemoryAws:
    """A task of two containers, one of them not essential."""

    async def describe(name: str) -> Any:
        await memory._call("DescribeTaskDefinition")
        return DEFINITION

    monkeypatch.setattr(memory, "describe_task_definition", describe)
    memory.lines[stream_of(1)] = ["first", "last"]
    memory.written -= 5_000  # ms: lines age by the wall clock, which virtual time leaves behind
    memory.put(1, containers=[{"name": "main", "lastStatus": "RUNNING"}, {"name": "envoy", "lastStatus": "RUNNING"}])
    return memory


async def test_minutes_of_throttling_cost_neither_a_line_nor_the_verdict(
    two: MemoryAws, task_log: TaskLogReader
) -> None:
    throttled_until(two, 600)
    at(1200, lambda: finish(two))
    seen: list[list[str]] = []
    at(599, lambda: seen.append(task_log.lines("main")))
    at(700, lambda: seen.append(task_log.lines("main")))
    assert isinstance(await event_of(trigger(TRIGGER_ID, arn_of(1))), TaskSuccessEvent)
    assert seen == [[], ["[main] first", "last"]]  # live as soon as it is known where it is; one record
    assert task_log.lines("main") == ["[main] first", "last"]
    assert task_log.said().count("cannot be read yet; it is tried again. AWS throttles") == 1
    assert "ecs:DescribeTaskDefinition" not in task_log.said()  # nothing was denied


async def test_a_definition_that_comes_after_the_end_still_decides(two: MemoryAws, task_log: TaskLogReader) -> None:
    throttled_until(two, 60)
    at(30, lambda: finish(two))
    end = await completion(arn_of(1))
    assert (end.outcome.verdict, end.outcome.decided_by, end.result) == (Verdict.SUCCEEDED, "main", "last")


async def test_a_definition_that_comes_while_only_a_sidecar_still_runs_decides_at_once(
    two: MemoryAws, task_log: TaskLogReader
) -> None:
    throttled_until(two, 60)
    running = {"name": "envoy", "lastStatus": "RUNNING"}
    at(30, lambda: two.put(1, "RUNNING", desiredStatus="STOPPED", containers=[ENDED[0], running]))
    at(500, lambda: finish(two))
    decided: list[int] = []
    for moment in (59, 80):
        at(moment, lambda: decided.append(endings().verdicts[Verdict.SUCCEEDED]))
    assert (await completion(arn_of(1))).outcome.verdict is Verdict.SUCCEEDED
    assert decided == [0, 1]


async def test_a_definition_that_never_comes_is_not_waited_for_for_ever(
    two: MemoryAws, task_log: TaskLogReader
) -> None:
    throttled_until(two, 10**6)
    at(30, lambda: finish(two))
    decided: list[int] = []
    for moment in (85, 95):
        at(moment, lambda: decided.append(endings().verdicts[Verdict.FAILED]))
    end = await completion(arn_of(1), log_group="/lab", log_stream_prefix="p/main")
    assert decided == [0, 1]
    # Nothing said that envoy is not essential.
    assert end.outcome.verdict is Verdict.FAILED
    assert task_log.lines("main")[-2:] == ["[main] first", "last"]
    assert task_log.said().count("The task definition could not be read before the end") == 1


async def test_the_deadline_is_punctual_though_the_definition_cannot_be_read(
    two: MemoryAws, task_log: TaskLogReader
) -> None:
    stopped: list[float] = []
    throttled_until(two, 10**6)
    refuse = two.fault

    def fault(operation: str) -> RemoteError | None:
        if operation == "StopTask":
            stopped.append(now())
        return refuse(operation)

    two.fault = fault
    end = await completion(arn_of(1), deadline=time.time() + 20, deadline_reason="execution_timeout=0:00:20")
    assert end.outcome.stop_cause is StopCause.DEADLINE
    assert stopped == [pytest.approx(20, abs=0.5)]
