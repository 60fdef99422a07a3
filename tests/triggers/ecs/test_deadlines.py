"""Time that is over: the trigger stops the ECS task itself."""

from __future__ import annotations

import time

import pytest

from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.outcome import StopCause, Verdict
from tests.support.lab import Lab, container, logging_to
from tests.support.memory_aws import MemoryAws, arn_of
from tests.support.triggers import call, completion
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


# D8
async def test_the_deadline_stops_the_task_and_says_which_argument_set_it(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await call(lab.run, container("echo working; sleep 60", **logging_to()))
    end = await completion(arn, deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert (
        end.diagnosis.summary == "the task was stopped because it took longer than allowed: execution_timeout=0:00:01"
    )
    task = await call(lab.wait, arn)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "UserInitiated", "Stopped by Airflow: execution_timeout=0:00:01",
    )  # fmt: skip
    assert end.last_lines == ("working",)


async def test_a_task_that_ended_while_nobody_watched_keeps_its_own_outcome_though_the_deadline_is_over(
    lab: Lab, task_log: TaskLogReader
) -> None:
    arn = await call(lab.run, container("echo mine; exit 3", **logging_to()))
    await call(lab.wait, arn)
    end = await completion(arn, deadline=time.time() - 5, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.exit_code, end.outcome.stop_cause) == (Verdict.FAILED, 3, None)
    assert not await call(lab.aws.control.calls, "StopTask")


@pytest.mark.looptime
async def test_a_deadline_whose_stop_is_refused_is_tried_again_and_says_what_became_of_it(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    refusals = [CredentialsExpired("AWS does not accept the credentials")] * 4
    memory.fault = lambda operation: refusals.pop() if operation == "StopTask" and refusals else None
    end = await completion(memory.put(1), deadline=time.time() + 1, deadline_reason="execution_timeout=0:00:01")
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert end.diagnosis.summary.endswith("longer than allowed: execution_timeout=0:00:01")
    assert refusals == []
    assert memory.tasks[arn_of(1)]["stopCode"] == "UserInitiated"
