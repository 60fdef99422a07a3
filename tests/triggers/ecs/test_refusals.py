"""Calls that AWS refuses, for a moment or for good."""

from __future__ import annotations

import asyncio
import time
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.local.aws.options import Fault
from asyncrun.model.diagnosis import Cause
from asyncrun.model.errors import CredentialsExpired, RequestRefused
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.watch.questions import Tuning
from tests.support.lab import Lab, container, logging_to
from tests.support.memory_aws import MemoryAws, arn_of, at
from tests.support.triggers import TARGET, call, completion, event_of, said, trigger, tuned_poller
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

LINES = "for i in 1 2 3; do echo line $i; done"


# D1, D3: a refused call never fails a run.
@pytest.mark.parametrize("kind", ["throttle", "http_500", "reset", "malformed"])
async def test_refused_calls_never_fail_a_run_nor_lose_a_line(lab: Lab, task_log: TaskLogReader, kind: Any) -> None:
    faults = [Fault(name, kind, probability=0.5) for name in ("DescribeTasks", "FilterLogEvents")]
    # Not by chance: a definition that cannot be read four times in a row is given up, and the log with it.
    faults.append(Fault("DescribeTaskDefinition", kind, count=2))
    await call(lab.aws.control.add_faults, *faults)
    arn = await call(lab.run, container("for i in 1 2 3 4 5 6; do echo line $i; sleep 0.2; done", **logging_to()))
    async with tuned_poller(TARGET, arn, Tuning(backoff=0.3)):
        assert isinstance(await event_of(trigger(TRIGGER_ID, arn)), TaskSuccessEvent)
    assert task_log.lines("main") == [f"line {i}" for i in range(1, 7)]


# D2
@pytest.mark.looptime
async def test_a_young_task_that_is_missing_at_first_is_waited_for(memory: MemoryAws, task_log: TaskLogReader) -> None:
    at(0.8, lambda: memory.put(1))  # missing_grace is 1 s here
    at(5, lambda: memory.finish(1))
    assert isinstance(await event_of(trigger(TRIGGER_ID, arn_of(1))), TaskSuccessEvent)


async def test_with_upstreams_least_policy_everything_works_and_the_missing_actions_are_said_once(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    allowed = ["ecs:RunTask", "ecs:StopTask", "ecs:DescribeTasks", "logs:GetLogEvents"]
    await call(lab.aws.control.set_policy, allowed)
    event = await event_of(trigger(TRIGGER_ID, arn, log_group="/lab", log_stream_prefix="p/main"))
    assert isinstance(event, TaskSuccessEvent)
    assert task_log.lines("main") == ["line 1", "line 2", "line 3"]
    said = task_log.said()
    assert said.count("ecs:DescribeTaskDefinition is missing") == 1
    assert len([line for line in said.splitlines() if "logs:FilterLogEvents" in line]) == 1


async def test_without_any_right_to_logs_the_run_still_ends_right(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container(LINES, **logging_to()))
    await call(lab.aws.control.set_policy, ["ecs:DescribeTasks"])
    assert isinstance(
        await event_of(trigger(TRIGGER_ID, arn, log_group="/lab", log_stream_prefix="p")), TaskSuccessEvent
    )
    assert "logs:GetLogEvents" in task_log.said()


async def test_denied_access_fails_after_the_grace_and_says_who_must_act(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("sleep 5", **logging_to()))
    await call(lab.aws.control.set_policy, ["ecs:RunTask"])
    end = await completion(arn)
    assert (end.outcome.verdict, end.outcome.stop_cause, end.diagnosis.cause) == (
        Verdict.LOST, StopCause.ACCESS, Cause.ACCESS,
    )  # fmt: skip
    assert "may still be running" in end.diagnosis.summary
    assert "ecs:DescribeTasks" in end.diagnosis.summary
    assert "Whoever manages permissions" in end.diagnosis.next_step
    assert "cannot be seen at the moment" in task_log.said()


@pytest.mark.looptime
async def test_access_that_comes_back_within_the_grace_fails_nothing(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    refusals = [CredentialsExpired("AWS does not accept the credentials")] * 3
    memory.fault = lambda operation: refusals.pop() if operation == "DescribeTasks" and refusals else None
    arn = memory.put(1)
    at(25, lambda: memory.finish(1))
    assert isinstance(await event_of(trigger(TRIGGER_ID, arn)), TaskSuccessEvent)
    assert "cannot be seen at the moment" in task_log.said()
    assert "can be seen again" in task_log.said()


@pytest.mark.looptime
async def test_healthy_runs_outlast_credentials_that_lead_to_another_account_for_a_while(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "300")
    settings.setenv("AIRFLOW__ASYNCRUN__POLL_INTERVAL", "1")
    wrong = RequestRefused("Identifier is for 1. Your accountId is 2", code="InvalidParameterException")
    arns = [memory.put(number) for number in range(30)]
    at(5, lambda: setattr(memory, "fault", lambda operation: wrong if operation == "DescribeTasks" else None))
    at(45, lambda: setattr(memory, "fault", lambda operation: None))
    at(60, lambda: [memory.finish(number) for number in range(30)])
    events = await asyncio.gather(*(event_of(trigger(number, arn)) for number, arn in enumerate(arns)))
    assert {type(event) for event in events} == {TaskSuccessEvent}
    for number, arn in enumerate(arns):
        told = f"ECS task {arn} cannot be seen at the moment; the watching goes on. {wrong}"
        assert told in said(task_log, number)
        assert f"ECS task {arn} can be seen again" in said(task_log, number)


async def test_lost_access_does_not_wait_for_the_end_of_a_log(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("while true; do echo more; sleep 0.2; done", **logging_to()))
    watching = asyncio.create_task(completion(arn), name="trigger")
    await task_log.shows("main", "more")
    await call(lab.aws.control.set_policy, ["logs:FilterLogEvents"])
    began = time.monotonic()
    end = await watching
    assert end.outcome.stop_cause is StopCause.ACCESS
    assert time.monotonic() - began < 30
    await call(lab.aws.control.set_policy, None)
    await call(lab.ecs.stop_task, task=arn)
