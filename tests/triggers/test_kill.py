"""A user's kill stops the ECS task in every phase of a trigger; a move to another triggerer never does (D6, D11)."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from types import SimpleNamespace
from typing import Any

import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner

from asyncrun.local.aws.options import Fault
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.spec.ecs import RUN_XCOM_KEY
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.ecs import EcsTaskTrigger
from tests.support.lab import Lab, container, logging_to
from tests.support.supervisor import Supervisor, supervised
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

TI_ID = "0199b3f2-0000-7000-8000-000000000001"
PLACE = ("d", "r", "t", -1, RUN_XCOM_KEY)


@pytest.fixture
async def airflow(loop_closed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Airflow, which knows nothing of the task: it was deleted, or cleared."""
    async with supervised(monkeypatch) as supervisor:
        yield supervisor


class Runner:
    """Airflow's own trigger runner with one trigger of ours."""

    def __init__(self, arn: str, **fields: Any) -> None:
        watch = EcsTaskWatch(
            ref=EcsTaskRef(cluster="default", task_arn=arn), target=AwsTarget(conn_id=None), deferred_at=time.time(),
            **fields,
        )  # fmt: skip
        trigger = EcsTaskTrigger(watch.to_dict())
        trigger.trigger_id = TRIGGER_ID
        trigger.task_instance = SimpleNamespace(  # type: ignore[assignment]
            id=TI_ID, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, context_carrier=None
        )
        self.airflows = TriggerRunner()
        self.task = asyncio.create_task(self.airflows.run_trigger(TRIGGER_ID, trigger), name="trigger")
        self.airflows.triggers[TRIGGER_ID] = {"task": self.task, "is_watcher": False, "name": "t", "events": 0}

    async def cancel_as_user(self) -> None:
        """What the runner does with triggers that are no longer in the database; again at each sync, after a second."""
        for _ in range(2):
            self.airflows.to_cancel.append(TRIGGER_ID)
            await self.airflows.cancel_triggers()
            await asyncio.wait([self.task], timeout=1.0)
        await asyncio.wait([self.task], timeout=10)
        assert self.task.done()
        await finish_all()


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(work, *arguments, **named)


async def running(lab: Lab, command: str = "echo here; sleep 60") -> str:
    arn = str(await call(lab.run, container(command, **logging_to())))
    await call(lab.wait, arn, "RUNNING")
    return arn


def note(airflow: Supervisor, arn: str, *, ti_id: str = TI_ID, state: str | None) -> None:
    """The worker's XCom, and the state in Airflow's database."""
    airflow.xcoms[PLACE] = {"ti_id": ti_id, "try_number": 1, "ref": {"cluster": "default", "task_arn": arn}}
    airflow.states = {"r": {"t": state}} if state else {}


async def stop_calls(lab: Lab) -> int:
    return len(await call(lab.aws.control.calls, "StopTask"))


async def calls_of(lab: Lab, operation: str) -> None:
    async with asyncio.timeout(20):
        while not await call(lab.aws.control.calls, operation):  # noqa: ASYNC110 - another process counts
            await asyncio.sleep(0.02)


@pytest.mark.parametrize("state", ["failed", "success", "running", None])
async def test_a_killed_deferred_task_stops_its_ecs_task(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader, state: str | None
) -> None:
    arn = await running(lab)
    note(airflow, arn, state=state)
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    task = await call(lab.wait, arn)
    assert task["stoppedReason"] == "Stopped by Airflow: the task was marked or cleared by a user"
    assert "Stopping ECS task" in task_log.said()


@pytest.mark.parametrize("operation", ["DescribeTasks", "DescribeTaskDefinition", "FilterLogEvents"])
async def test_a_kill_while_a_call_is_under_way_stops_the_ecs_task(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader, operation: str
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="failed")
    await call(lab.aws.control.add_faults, Fault(operation, "delay", delay=1.5))
    runner = Runner(arn)
    await calls_of(lab, operation)
    await runner.cancel_as_user()
    assert await stop_calls(lab) == 1


@pytest.mark.parametrize(
    ("phase", "settings_of_phase", "command"),
    [
        ("draining the log", {"logs_quiet_period": "30"}, "echo here"),
        ("holding the event", {"resume_hold": "30"}, "echo here; exit 1"),
    ],
)
async def test_a_kill_after_the_container_ended_still_reaches_on_kill(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    phase: str, settings_of_phase: dict[str, str], command: str,
) -> None:  # fmt: skip
    for name, value in settings_of_phase.items():
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name.upper()}", value)
    arn = str(await call(lab.run, container(command, **logging_to())))
    await call(lab.wait, arn)
    note(airflow, arn, state="failed")
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert not runner.airflows.events
    assert await stop_calls(lab) == 1


async def test_a_kill_goes_on_after_airflow_has_cancelled_on_kill(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="failed")
    await call(lab.aws.control.add_faults, Fault("StopTask", "delay", delay=3.5))
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert (await call(lab.wait, arn))["stopCode"] == "UserInitiated"


async def test_a_stop_that_is_throttled_is_repeated(lab: Lab, airflow: Supervisor, task_log: TaskLogReader) -> None:
    arn = await running(lab)
    note(airflow, arn, state="failed")
    await call(lab.aws.control.add_faults, Fault("StopTask", "throttle", count=4))
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert (await call(lab.wait, arn))["stopCode"] == "UserInitiated"


async def test_a_kill_while_credentials_are_expired_is_repeated_until_they_are_renewed(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="failed")
    await call(lab.aws.control.add_faults, Fault("StopTask", "expired_token", count=3))
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert (await call(lab.wait, arn))["stopCode"] == "UserInitiated"


async def test_a_later_attempt_that_has_not_said_yet_which_run_it_has_is_waited_for(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    airflow.states = {"r": {"t": "running"}}  # cleared: the new attempt runs, and its XComs were deleted
    runner = Runner(arn)
    await task_log.shows("main", "here")
    cancelled = asyncio.create_task(runner.cancel_as_user(), name="cancel")
    await asyncio.sleep(2.5)
    assert await stop_calls(lab) == 0
    note(airflow, arn, ti_id="another", state="running")
    await cancelled
    assert await stop_calls(lab) == 0
    await call(lab.ecs.stop_task, task=arn)


async def test_a_deferred_task_whose_note_was_purged_was_moved(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    airflow.states = {"r": {"t": "deferred"}}
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert await stop_calls(lab) == 0
    await call(lab.ecs.stop_task, task=arn)


async def test_a_stop_that_is_denied_says_that_the_task_may_still_be_running(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="failed")
    await call(lab.aws.control.add_faults, Fault("StopTask", "access_denied"))
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert "could not be stopped and may still be running" in task_log.said()
    assert "ecs:StopTask" in task_log.said()
    await call(lab.aws.control.clear_faults)
    await call(lab.ecs.stop_task, task=arn)


# D11: apache/airflow#73454
async def test_a_trigger_that_moves_to_another_triggerer_stops_nothing(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="deferred")
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert "Nothing is stopped: the container run was moved" in task_log.said()
    assert await stop_calls(lab) == 0
    assert (await call(lab.describe, arn))["lastStatus"] == "RUNNING"
    await call(lab.ecs.stop_task, task=arn)


async def test_a_cleared_task_that_deferred_again_with_another_run_stops_the_old_one(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, "arn:of:the:new:attempt:x", ti_id="another", state="deferred")
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert (await call(lab.wait, arn))["stopCode"] == "UserInitiated"


async def test_a_run_that_a_later_attempt_took_over_is_left_to_it(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, ti_id="another", state="running")
    runner = Runner(arn)
    await task_log.shows("main", "here")
    await runner.cancel_as_user()
    assert await stop_calls(lab) == 0
    await call(lab.ecs.stop_task, task=arn)


async def test_an_airflow_that_does_not_answer_stops_nothing_and_says_so(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    runner = Runner(arn)
    await task_log.shows("main", "here")
    airflow.failing = True
    await runner.cancel_as_user()
    assert "Airflow does not say whether the task was killed, so nothing is stopped" in task_log.said()
    assert await stop_calls(lab) == 0
    await call(lab.ecs.stop_task, task=arn)


async def test_a_shutdown_of_the_triggerer_stops_nothing(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await running(lab)
    note(airflow, arn, state="deferred")
    runner = Runner(arn)
    await task_log.shows("main", "here")
    runner.task.cancel()
    await asyncio.wait([runner.task])
    assert await stop_calls(lab) == 0
    assert not any(body["type"] == "GetTaskStates" for body in airflow.asked)
    await call(lab.ecs.stop_task, task=arn)


async def test_the_result_is_written_as_xcom_before_the_event(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo one; echo two", **logging_to()))
    runner = Runner(arn, end_in_triggerer=True, push_result=True)
    await runner.task
    ((entry),) = runner.airflows.events
    assert type(entry.event).__name__ == "TaskSuccessEvent"
    assert airflow.xcoms["d", "r", "t", -1, "return_value"] == "two"


async def test_an_xcom_that_airflow_refuses_is_left_to_a_worker(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo one", **logging_to()))
    airflow.failing = True
    runner = Runner(arn, end_in_triggerer=True, push_result=True)
    await runner.task
    ((entry),) = runner.airflows.events
    assert entry.event.payload["result"] == "one"
    assert "so a worker does it" in task_log.said()
