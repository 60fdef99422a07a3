"""The log of a watched ECS task: live, whole, from wherever it is."""

from __future__ import annotations

import asyncio
import time

import pytest
from airflow.triggers.base import TaskSuccessEvent

from tests.support.lab import Lab, container, logging_to
from tests.support.triggers import call, event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


async def test_records_carry_the_sources_time_and_level(lab: Lab, task_log: TaskLogReader) -> None:
    before = time.time()
    arn = await call(lab.run, container("echo 'ERROR: boom'; sleep 0.3; echo fine", **logging_to()))
    await event_of(trigger(TRIGGER_ID, arn))
    first, second = task_log.records("main")
    assert (first["level"], second["level"]) == ("error", "info")
    from datetime import datetime

    stamps = [datetime.fromisoformat(one["timestamp"]).timestamp() for one in (first, second)]
    assert before - 0.1 <= stamps[0] <= stamps[1] - 0.2 <= time.time()


async def test_the_log_is_live_while_the_task_runs(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo early; sleep 30", **logging_to()))
    made = trigger(TRIGGER_ID, arn)
    watching = asyncio.create_task(event_of(made), name="trigger")
    await task_log.shows("main", "early")
    assert not watching.done()
    await call(lab.ecs.stop_task, task=arn)
    await watching


# D4
async def test_the_last_line_arrives_even_if_cloudwatch_shows_it_late(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD", "2")
    arn = await call(lab.run, container("echo first", **logging_to()))
    await call(lab.wait, arn)
    made = trigger(TRIGGER_ID, arn, push_result=False)
    watching = asyncio.create_task(event_of(made), name="trigger")
    await task_log.shows("main", "first")
    stream = f"p/main/{arn.rsplit('/', 1)[1]}"
    await call(lab.aws.control.put_log_event, "/lab", stream, "last", timestamp=int(time.time() * 1000) - 200)
    await watching
    assert task_log.lines("main") == ["first", "last"]


# D5
async def test_a_stream_that_does_not_exist_fails_nothing_and_is_said(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("true", **logging_to()))
    assert isinstance(await event_of(trigger(TRIGGER_ID, arn)), TaskSuccessEvent)
    assert "No log of container main: its stream never appeared" in task_log.said()


# D19
async def test_logs_are_read_from_the_region_of_the_task_definition(lab: Lab, task_log: TaskLogReader) -> None:
    await call(lab.client("logs", region_name="eu-west-1").create_log_group, logGroupName="/far")
    arn = await call(lab.run, container("echo far away", **logging_to("/far", **{"awslogs-region": "eu-west-1"})))
    await event_of(trigger(TRIGGER_ID, arn))
    assert task_log.lines("main") == ["far away"]


async def test_ec2_without_a_prefix_is_read_from_the_runtime_ids_stream(lab: Lab, task_log: TaskLogReader) -> None:
    family = await call(lab.define, container("echo by id", memory=64, **logging_to(prefix=None)), fargate=False)
    answer = await call(lab.ecs.run_task, taskDefinition=family, launchType="EC2")
    await event_of(trigger(TRIGGER_ID, answer["tasks"][0]["taskArn"]))
    assert task_log.lines("main") == ["by id"]


async def test_a_trigger_that_starts_again_writes_the_same_records(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("for i in 1 2 3 4; do echo line $i; sleep 0.15; done", **logging_to()))
    await event_of(trigger(TRIGGER_ID, arn))
    first = task_log.records("main")
    await event_of(trigger(TRIGGER_ID, arn))
    assert task_log.records("main") == first + first
