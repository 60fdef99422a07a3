"""A user's kill stops the ECS task in every phase of a trigger; a move to another triggerer never does (D6, D11)."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.local.aws.options import Fault
from tests.support.deferral import TI_ID, RunningTrigger
from tests.support.lab import Lab, container, logging_to
from tests.support.supervisor import Supervisor
from tests.support.triggers import call, trigger, until
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


class Deferral(RunningTrigger):
    """A deferred task: its ECS task, and Airflow's own trigger runner with the trigger."""

    def __init__(self, lab: Lab, airflow: Supervisor, arn: str, **fields: Any) -> None:
        super().__init__(airflow, trigger(TRIGGER_ID, arn, **{"end_in_triggerer": False, **fields}))
        self.lab, self.arn = lab, arn

    def note(self, *, arn: str | None = None, ti_id: str = TI_ID, state: str | None) -> None:
        """The worker's XCom, and the state in Airflow's database."""
        ref = {"cluster": "default", "task_arn": arn or self.arn}
        self.note_record({"ti_id": ti_id, "try_number": 1, "ref": ref}, state)

    async def stopped(self) -> dict[str, Any]:
        """The ECS task, which must end now."""
        return dict(await call(self.lab.wait, self.arn))

    async def stop_calls(self) -> int:
        return len(await call(self.lab.aws.control.calls, "StopTask"))


async def running(lab: Lab) -> str:
    arn = str(await call(lab.run, container("echo here; sleep 60", **logging_to())))
    await call(lab.wait, arn, "RUNNING")
    return arn


@pytest.fixture
async def deferred(lab: Lab, airflow: Supervisor, task_log: TaskLogReader) -> AsyncIterator[Deferral]:
    """A deferred task whose container runs and has been heard of."""
    made = Deferral(lab, airflow, await running(lab))
    await task_log.shows("main", "here")
    yield made
    await call(lab.aws.control.clear_faults)
    await call(lab.ecs.stop_task, task=made.arn)


# -- it is a kill ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("state", ["failed", "success", "running", None])
async def test_a_killed_deferred_task_stops_its_ecs_task(
    deferred: Deferral, task_log: TaskLogReader, state: str | None
) -> None:
    deferred.note(state=state)
    await deferred.cancel_as_user()
    task = await deferred.stopped()
    assert task["stoppedReason"] == "Stopped by Airflow: the task was marked or cleared by a user"
    assert "Stopping ECS task" in task_log.said()
    assert await deferred.stop_calls() == 1


async def test_a_cleared_task_that_deferred_again_with_another_run_stops_the_old_one(deferred: Deferral) -> None:
    deferred.note(arn="arn:of:the:new:attempt:x", ti_id="another", state="deferred")
    await deferred.cancel_as_user()
    assert (await deferred.stopped())["stopCode"] == "UserInitiated"


@pytest.mark.parametrize("operation", ["DescribeTasks", "DescribeTaskDefinition", "FilterLogEvents"])
async def test_a_kill_while_a_call_is_under_way_stops_the_ecs_task(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader, operation: str
) -> None:
    arn = await running(lab)
    await call(lab.aws.control.add_faults, Fault(operation, "delay", delay=1.5))
    deferral = Deferral(lab, airflow, arn)
    deferral.note(state="failed")
    await until(lambda: lab.aws.control.calls(operation))
    await deferral.cancel_as_user()
    assert await deferral.stop_calls() == 1


@pytest.mark.parametrize(
    ("settings_of_phase", "command"),
    [({"logs_quiet_period": "30"}, "echo here"), ({"resume_hold": "30"}, "echo here; exit 1")],
    ids=["draining the log", "holding the event"],
)
async def test_a_kill_after_the_container_ended_still_reaches_on_kill(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader, settings: pytest.MonkeyPatch,
    settings_of_phase: dict[str, str], command: str,
) -> None:  # fmt: skip
    for name, value in settings_of_phase.items():
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name.upper()}", value)
    arn = str(await call(lab.run, container(command, **logging_to())))
    await call(lab.wait, arn)
    deferral = Deferral(lab, airflow, arn)
    deferral.note(state="failed")
    await task_log.shows("main", "here")
    await deferral.cancel_as_user()
    assert not deferral.runner.events
    assert await deferral.stop_calls() == 1


@pytest.mark.parametrize(
    "fault",
    [
        # Airflow cancels on_kill after a second.
        Fault("StopTask", "delay", delay=2.5),
        Fault("StopTask", "throttle", count=4),
        Fault("StopTask", "expired_token", count=3),
    ],
    ids=lambda fault: fault.kind,
)
async def test_a_stop_that_is_late_or_refused_for_a_moment_is_carried_through(
    lab: Lab, deferred: Deferral, fault: Fault
) -> None:
    deferred.note(state="failed")
    await call(lab.aws.control.add_faults, fault)
    await deferred.cancel_as_user()
    assert (await deferred.stopped())["stopCode"] == "UserInitiated"


async def test_a_stop_that_is_denied_says_that_the_task_may_still_be_running(
    lab: Lab, deferred: Deferral, task_log: TaskLogReader
) -> None:
    deferred.note(state="failed")
    await call(lab.aws.control.add_faults, Fault("StopTask", "access_denied"))
    await deferred.cancel_as_user()
    assert "could not be stopped and may still be running" in task_log.said()
    assert "ecs:StopTask" in task_log.said()


# -- it is not ---------------------------------------------------------------------------------------------------------


# D11: apache/airflow#73454
async def test_a_trigger_that_moves_to_another_triggerer_stops_nothing(
    lab: Lab, deferred: Deferral, task_log: TaskLogReader
) -> None:
    deferred.note(state="deferred")
    await deferred.cancel_as_user()
    assert "Nothing is stopped: the container run was moved" in task_log.said()
    assert await deferred.stop_calls() == 0
    assert (await call(lab.describe, deferred.arn))["lastStatus"] == "RUNNING"


async def test_a_deferred_task_whose_note_was_purged_was_moved(deferred: Deferral) -> None:
    deferred.airflow.states = {"r": {"t": "deferred"}}
    await deferred.cancel_as_user()
    assert await deferred.stop_calls() == 0


async def test_a_run_that_a_later_attempt_took_over_is_left_to_it(deferred: Deferral) -> None:
    deferred.note(ti_id="another", state="running")
    await deferred.cancel_as_user()
    assert await deferred.stop_calls() == 0


async def test_a_later_attempt_that_has_not_said_yet_which_run_it_has_is_waited_for(deferred: Deferral) -> None:
    airflow = deferred.airflow
    airflow.states = {"r": {"t": "running"}}  # cleared: the new attempt runs, and its XComs were deleted
    cancelled = asyncio.create_task(deferred.cancel_as_user(), name="cancel")
    await until(lambda: len([body for body in airflow.asked if body["type"] == "GetXCom"]) >= 4)
    assert await deferred.stop_calls() == 0
    deferred.note(ti_id="another", state="running")
    await cancelled
    assert await deferred.stop_calls() == 0


async def test_an_airflow_that_does_not_answer_is_asked_again(deferred: Deferral) -> None:
    deferred.airflow.failing = True
    deferred.note(state="failed")
    cancelled = asyncio.create_task(deferred.cancel_as_user(), name="cancel")
    await until(lambda: len(deferred.airflow.asked) >= 3)
    assert await deferred.stop_calls() == 0
    deferred.airflow.failing = False
    await cancelled
    assert await deferred.stop_calls() == 1


async def test_a_shutdown_of_the_triggerer_stops_nothing(deferred: Deferral) -> None:
    deferred.note(state="deferred")
    deferred.task.cancel()
    await asyncio.wait([deferred.task])
    assert await deferred.stop_calls() == 0
    assert not any(body["type"] == "GetTaskStates" for body in deferred.airflow.asked)


# -- what Airflow is told ----------------------------------------------------------------------------------------------


async def test_the_result_is_written_as_xcom_before_the_event(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo one; echo two", **logging_to()))
    deferral = Deferral(lab, airflow, arn, end_in_triggerer=True, push_result=True)
    await deferral.task
    ((entry),) = deferral.runner.events
    assert type(entry.event).__name__ == "TaskSuccessEvent"
    assert airflow.xcoms["d", "r", "t", -1, "return_value"] == "two"


async def test_an_xcom_that_airflow_refuses_is_left_to_a_worker(
    lab: Lab, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo one", **logging_to()))
    airflow.failing = True
    deferral = Deferral(lab, airflow, arn, end_in_triggerer=True, push_result=True)
    await deferral.task
    ((entry),) = deferral.runner.events
    assert entry.event.payload["result"] == "one"
    assert "so a worker does it" in task_log.said()
