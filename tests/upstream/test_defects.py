"""
Defects of the installed amazon provider, shown on its own classes; beside each the test that shows ours doing right.

What is asserted here is wrong behaviour: a test that fails after an upgrade of the provider means that upstream has
mended it. The scenario is the same as in our test, against the same embedded AWS.

=====  ===============================================================  ==============================================
D      upstream, here                                                   ours
=====  ===============================================================  ==============================================
D1     test_d1_a_throttled_status_call_kills_the_trigger                triggers: refused_calls_never_fail_a_run
D2     test_d2_a_missing_task_is_an_index_error                         triggers: a_task_that_stays_missing_is_lost
D3     test_d3_a_throttled_log_call_kills_the_trigger                   triggers: refused_calls_never_fail_a_run
D4     test_d4_a_line_that_is_readable_late_is_never_read               triggers: the_last_line_arrives_even_if
D5     test_d5_a_missing_stream_turns_success_into_failure              triggers: a_stream_that_does_not_exist_fails
D6     test_d6_a_killed_trigger_leaves_the_task_running                 kill: a_killed_deferred_task_stops_its_ecs
D7     test_d7_quota_retry_is_ignored                                   launch: quota_retry_waits_for_room
D8     test_d8_execution_timeout_is_not_enforced                        triggers: the_deadline_stops_the_task
D9-12  not here: pods, a restarted triggerer, a moved trigger           (kill: a_trigger_that_moves_to_another, D11)
D13    test_d13_the_worker_sleeps_to_learn_a_containers_name            operators: launches_announces_and_defers
D14-17 not here: pods
D18    test_d18_a_try_that_is_executed_again_launches_again             operators: the_same_try_launches_once
D19    test_d19_logs_are_read_from_the_wrong_region                     triggers: logs_are_read_from_the_region
D20    test_d20_the_definition_sensor_waits_for_ever                    sensors: an_inactive_definition_fails_a_wait
D21    not here: ours comes later (DESIGN section 7)
D22    test_d22_a_success_needs_a_worker_to_end                         triggers: a_success_ends_in_the_triggerer
D23-24 not here: Docker connections; log volume needs a triggerer       (fate: ten_thousand_lines_a_second, D24)
=====  ===============================================================  ==============================================
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import logging
import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import airflow.providers.amazon.aws.operators.ecs as upstream  # noqa: TID253 - no DAG file
import pytest
from airflow.providers.amazon.aws.sensors.ecs import EcsTaskDefinitionStateSensor  # noqa: TID253
from airflow.providers.amazon.aws.triggers.ecs import TaskDoneTrigger  # noqa: TID253
from airflow.sdk.exceptions import TaskDeferred
from airflow.triggers.base import BaseEventTrigger, BaseTrigger, TriggerEvent

from asyncrun.local.aws.options import Fault
from tests.support.kill import KILL
from tests.support.lab import FARGATE, Lab, container, logging_to
from tests.support.triggers import call, until

pytestmark = pytest.mark.upstream

ONCE = {"retries": {"total_max_attempts": 1}}  # "after the SDK's retries", without waiting for them
MISSING = "arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32
OURS = {
    "triggers": "triggers/ecs",
    "kill": "triggers/ecs/test_kill.py",
    "fate": "triggers/ecs/test_fate_of_logs.py",
    "launch": "launch/test_ecs_launcher.py",
    "operators": "operators/test_ecs_run_task.py",
    "sensors": "sensors/test_ecs_sensors.py",
}


def trigger(arn: str, **arguments: Any) -> TaskDoneTrigger:
    given = {"waiter_delay": 1, "waiter_max_attempts": 30, "aws_conn_id": None, "region_name": "us-east-1",
             "botocore_config": ONCE, **arguments}  # fmt: skip
    return TaskDoneTrigger(cluster="default", task_arn=arn, **given)


def logs_of(arn: str, group: str = "/lab") -> dict[str, str]:
    return {"log_group": group, "log_stream": f"p/main/{arn.rsplit('/', 1)[1]}"}


async def event_of(made: BaseTrigger) -> TriggerEvent:
    async with contextlib.aclosing(made.run()) as events:  # type: ignore[type-var]
        async for event in events:
            return event
    raise AssertionError("no event")


def operator(lab: Lab, *containers: dict[str, Any], **arguments: Any) -> Any:
    given = {
        "task_id": "run", "task_definition": lab.define(*containers), "cluster": "default", "overrides": {},
        "launch_type": "FARGATE", "network_configuration": FARGATE["networkConfiguration"], "aws_conn_id": None,
        "deferrable": True, **arguments,
    }  # fmt: skip
    return upstream.EcsRunTaskOperator(**given)


def test_the_tests_of_ours_that_the_table_names_exist() -> None:
    folder = Path(__file__).parent.parent
    named = re.findall(rf"({'|'.join(OURS)}): (\w+)", __doc__ or "")
    assert len(named) == 15
    for where, name in named:
        place = folder / OURS[where]
        text = "".join(file.read_text() for file in sorted(place.glob("test_*.py") if place.is_dir() else [place]))
        assert re.search(rf"def test_\w*{name}\w*\(", text), (where, name)


async def test_d1_a_throttled_status_call_kills_the_trigger(lab: Lab) -> None:
    arn = await call(lab.run, container("sleep 60"))
    await call(lab.aws.control.add_faults, Fault("DescribeTasks", "throttle", count=1))
    with pytest.raises(KeyError, match="'tasks'"):
        await event_of(trigger(arn))
    assert (await call(lab.describe, arn))["desiredStatus"] == "RUNNING"  # and the task runs on
    await call(lab.ecs.stop_task, task=arn)


async def test_d2_a_missing_task_is_an_index_error(lab: Lab) -> None:
    with pytest.raises(IndexError, match="list index out of range"):
        await event_of(trigger(MISSING))


async def test_d3_a_throttled_log_call_kills_the_trigger(lab: Lab) -> None:
    from botocore.exceptions import ClientError

    arn = await call(lab.run, container("echo hello; sleep 60", **logging_to()))
    await call(lab.aws.control.add_faults, Fault("GetLogEvents", "throttle"))
    with pytest.raises(ClientError, match="ThrottlingException"):
        await event_of(trigger(arn, **logs_of(arn)))
    assert (await call(lab.describe, arn))["desiredStatus"] == "RUNNING"
    await call(lab.ecs.stop_task, task=arn)


async def test_d4_a_line_that_is_readable_late_is_never_read(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    arn = await call(lab.run, container("echo first", **logging_to()))
    await call(lab.wait, arn)
    logs = logs_of(arn)
    events = []
    async for event in trigger(arn, **logs).run():  # to its very end, which is more than the triggerer allows
        events.append(event)
        await call(lab.wait, arn)
    assert [event.payload["status"] for event in events] == ["success"]
    reads = len(await call(lab.aws.control.calls, "GetLogEvents"))
    await call(lab.aws.control.put_log_event, logs["log_group"], logs["log_stream"], "last")
    await asyncio.sleep(1.5)
    assert reads == len(await call(lab.aws.control.calls, "GetLogEvents")) <= 2
    assert "last" not in [one.getMessage().rsplit("] ", 1)[-1] for one in caplog.records]
    assert await call(lab.lines, logs["log_stream"]) == ["first", "last"]


def test_d5_a_missing_stream_turns_success_into_failure(lab: Lab, worker: Any) -> None:
    silent = operator(lab, container("true", **logging_to()), awslogs_group="/lab", awslogs_stream_prefix="p",
                      container_name="main")  # fmt: skip
    with pytest.raises(TaskDeferred) as deferred:
        worker.execute(silent, worker.context(silent))
    arn = deferred.value.trigger.task_arn
    task = lab.wait(arn)
    assert task["containers"][0]["exitCode"] == 0
    event = {"status": "success", "task_arn": arn, "cluster": "default"}
    with pytest.raises(Exception, match="ResourceNotFoundException"):
        worker.call(silent.execute_complete, {}, event)


async def test_d6_a_killed_trigger_leaves_the_task_running(lab: Lab) -> None:
    arn = await call(lab.run, container("sleep 60"))
    await call(lab.wait, arn, "RUNNING")
    await call(lab.aws.control.calls, clear=True)
    made = trigger(arn)
    watching = asyncio.create_task(event_of(made), name="upstream's trigger")
    await until(lambda: lab.aws.control.calls("DescribeTasks"))
    watching.cancel(KILL)
    await asyncio.wait([watching])
    await made.on_kill()
    assert TaskDoneTrigger.on_kill is BaseTrigger.on_kill
    assert await call(lab.aws.control.calls, "StopTask") == []
    assert (await call(lab.describe, arn))["lastStatus"] == "RUNNING"
    await call(lab.ecs.stop_task, task=arn)


def test_d7_quota_retry_is_ignored(lab: Lab, worker: Any) -> None:
    retrying = operator(lab, container("true"), quota_retry={"maxRetries": 3, "delay": 1, "number_of_attempts": 3})
    lab.aws.control.set_out_of_capacity("FARGATE")
    try:
        with pytest.raises(Exception, match=r"RESOURCE|Capacity"):
            worker.execute(retrying, worker.context(retrying))
    finally:
        lab.aws.control.set_out_of_capacity()
    assert len(lab.aws.control.calls("RunTask")) == 1


def test_d8_execution_timeout_is_not_enforced(lab: Lab, worker: Any) -> None:
    limited = operator(lab, container("sleep 60"), execution_timeout=timedelta(seconds=1))
    with pytest.raises(TaskDeferred) as deferred:
        worker.execute(limited, worker.context(limited))
    assert deferred.value.timeout == timedelta(seconds=6 * 1_000_000 + 60)  # Airflow enforces this one only
    made = deferred.value.trigger
    assert not [name for name in made.serialize()[1] if "deadline" in name or "execution" in name]
    lab.ecs.stop_task(task=made.task_arn)


def test_d13_the_worker_sleeps_to_learn_a_containers_name(
    lab: Lab, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    slept: list[float] = []
    monkeypatch.setattr(upstream, "sleep", slept.append)
    made = operator(lab, container("true", **logging_to()), awslogs_group="/lab", awslogs_stream_prefix="p")
    with pytest.raises(TaskDeferred):
        worker.execute(made, worker.context(made))
    assert slept[0] == 10


def test_d18_a_try_that_is_executed_again_launches_again(lab: Lab, worker: Any) -> None:
    """As after a worker that died between launch and deferral. The SDK's own retries are safe: it makes the token."""
    made = operator(lab, container("sleep 60"))
    context = worker.context(made)
    for _ in range(2):
        with pytest.raises(TaskDeferred):
            worker.execute(made, context)
        made.arn = None  # a new process
    running = [
        arn for arn in lab.ecs.list_tasks()["taskArns"]
        if f"/{made.task_definition}:" in lab.describe(arn)["taskDefinitionArn"]
    ]  # fmt: skip
    assert len(running) == 2
    for arn in running:
        lab.ecs.stop_task(task=arn)


async def test_d19_logs_are_read_from_the_wrong_region(lab: Lab) -> None:
    far = await call(lab.client, "logs", region_name="eu-west-1")
    await call(far.create_log_group, logGroupName="/far-upstream")
    options = logging_to("/far-upstream", **{"awslogs-region": "eu-west-1"})
    arn = await call(lab.run, container("echo far away", **options))
    await call(lab.wait, arn)
    await event_of(trigger(arn, **logs_of(arn, "/far-upstream")))  # as without awslogs_region
    assert {one.region for one in await call(lab.aws.control.calls, "GetLogEvents")} <= {"us-east-1"}


def test_d20_the_definition_sensor_waits_for_ever(lab: Lab, worker: Any) -> None:
    name = f"{lab.define(container('true'))}:1"
    lab.ecs.deregister_task_definition(taskDefinition=name)
    sensor = EcsTaskDefinitionStateSensor(task_id="s", task_definition=name, aws_conn_id=None)
    assert worker.call(sensor.poke, {}) is False  # INACTIVE, which is in its failure_states
    assert {str(one.value) for one in sensor.failure_states} == {"INACTIVE"}
    assert "deferrable" not in inspect.signature(EcsTaskDefinitionStateSensor.__init__).parameters


async def test_d22_a_success_needs_a_worker_to_end(lab: Lab) -> None:
    arn = await call(lab.run, container("true"))
    await call(lab.wait, arn)
    event = await event_of(trigger(arn))
    assert type(event) is TriggerEvent
    assert not isinstance(event, BaseEventTrigger)
    assert event.payload == {"status": "success", "task_arn": arn, "cluster": "default"}
