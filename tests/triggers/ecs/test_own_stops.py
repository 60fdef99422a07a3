"""What is said of a run that we stop at its deadline, and what its event carries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable

import pytest

from asyncrun.model.errors import AccessDenied, RemoteError, Unavailable
from asyncrun.model.event import RESULT_LIMIT
from asyncrun.model.outcome import StopCause, Verdict
from tests.support.memory_aws import MemoryAws, arn_of, at, stream_of
from tests.support.triggers import completion, event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = [pytest.mark.usefixtures("settings", "loop_closed"), pytest.mark.looptime]

LIMIT = "execution_timeout=0:00:20"


@pytest.fixture(autouse=True)
def seldom(settings: pytest.MonkeyPatch) -> None:
    """Minutes of virtual time in rounds of 0.1 s would take long."""
    for name in ("POLL_INTERVAL", "LOGS_POLL_INTERVAL", "LOGS_POLL_IDLE"):
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name}", "2")
    settings.setenv("AIRFLOW__ASYNCRUN__LOGS_DRAIN_LIMIT", "1")  # its clock is the real one


def answering(memory: MemoryAws, work: Callable[[], None]) -> None:
    """StopTask is accepted, and that happens."""

    def fault(operation: str) -> RemoteError | None:
        if operation == "StopTask":
            work()
        return None

    memory.fault, memory.stop_ends = fault, False


async def test_a_stop_that_is_denied_all_the_time_is_not_called_a_stop(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    denied = AccessDenied("AWS denies ecs:StopTask to role/triggerer.")
    memory.fault = lambda operation: denied if operation == "StopTask" else None
    memory.lines[stream_of(1)] = ["still working"]
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert (end.outcome.our_reason, end.outcome.reason) == (LIMIT, "")
    assert end.diagnosis.summary == (
        f"the task took longer than allowed ({LIMIT}); it could not be stopped, and may still be running: {denied}"
    )
    assert end.diagnosis.evidence == ()
    assert end.diagnosis.next_step.startswith("Stop the task by hand")
    assert f"takes longer than {LIMIT} allows: stopping it" in task_log.said()
    assert end.last_lines == ("still working",)  # also without container_name


async def test_a_task_that_was_told_to_stop_and_does_not_may_still_be_running(
    memory: MemoryAws, task_log: TaskLogReader
) -> None:
    answering(memory, lambda: None)
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert "it was told to stop and has not ended within 150 s, so it may still be running" in end.diagnosis.summary
    assert 170 <= asyncio.get_running_loop().time() < 190


async def test_a_program_that_answers_our_stop_with_0_has_not_finished(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    """ECS shows the exit code first, and a moment later why the task was stopped."""
    settings.setenv("AIRFLOW__ASYNCRUN__REASON_WAIT", "15")
    done = {"name": "main", "lastStatus": "STOPPED", "exitCode": 0}

    def stop() -> None:
        memory.put(1, "RUNNING", desiredStatus="STOPPED", containers=[done])
        at(5, lambda: memory.finish(1, 0, "UserInitiated"))

    answering(memory, stop)
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert (end.outcome.verdict, end.outcome.stop_cause, end.outcome.exit_code) == (
        Verdict.STOPPED, StopCause.DEADLINE, 0,
    )  # fmt: skip
    assert "stoppedReason=Essential container exited" in end.diagnosis.evidence


async def test_a_0_after_our_stop_is_believed_when_ecs_says_no_more_for_reason_wait(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__REASON_WAIT", "15")
    done = {"name": "main", "lastStatus": "STOPPED", "exitCode": 0}
    answering(memory, lambda: memory.put(1, "RUNNING", desiredStatus="STOPPED", containers=[done]) and None)
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert end.outcome.verdict is Verdict.SUCCEEDED
    assert asyncio.get_running_loop().time() >= 35


async def test_the_event_of_a_failure_carries_no_result_and_airflow_logs_none_of_its_lines(
    memory: MemoryAws, task_log: TaskLogReader
) -> None:
    memory.lines[stream_of(1)] = ["DB_PASSWORD=hunter2 " + "x" * 10**6]
    memory.put(1)
    at(5, lambda: memory.finish(1, 3))
    event = await event_of(trigger(TRIGGER_ID, arn_of(1), end_in_triggerer=False, number_logs_exception=0))
    assert repr(event) == "TriggerEvent<failed: container 'main' exited with code 3>"
    assert event.payload["result"] is None
    assert len(str(dict(event.payload))) < 2000


@pytest.mark.parametrize(("wanted", "result"), [(True, "the last"), (False, None)])
async def test_the_event_of_a_success_carries_the_result_if_it_is_wanted(
    memory: MemoryAws, task_log: TaskLogReader, wanted: bool, result: str | None
) -> None:
    memory.lines[stream_of(1)] = ["first", "the last"]
    memory.put(1)
    at(5, lambda: memory.finish(1))
    assert (await completion(arn_of(1), wants_result=wanted)).result == result


async def test_a_result_that_is_too_long_is_cut_and_that_is_said(memory: MemoryAws, task_log: TaskLogReader) -> None:
    memory.lines[stream_of(1)] = ["x" * (RESULT_LIMIT + 5)]
    memory.put(1)
    at(5, lambda: memory.finish(1))
    end = await completion(arn_of(1))
    assert end.result == "x" * RESULT_LIMIT
    assert (
        "The last line of container 'main' is too long for a result: its first 262,144 bytes are taken, and 5 are cut"
        in task_log.said()
    )


async def test_a_stop_whose_answer_was_lost_may_be_why_the_program_ended_with_0(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    settings.setenv("AIRFLOW__ASYNCRUN__REASON_WAIT", "15")
    done = {"name": "main", "lastStatus": "STOPPED", "exitCode": 0}
    stops: list[float] = []

    def fault(operation: str) -> RemoteError | None:
        if operation != "StopTask":
            return None
        stops.append(asyncio.get_running_loop().time())
        memory.put(1, "RUNNING", desiredStatus="STOPPED", containers=[done])
        if len(stops) == 1:
            at(10, lambda: memory.finish(1, 0, "UserInitiated"))
        return Unavailable("ECS StopTask was not answered")

    memory.fault = fault
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert len(stops) == 3, "it was given up before the task was STOPPED"
    assert (end.outcome.verdict, end.outcome.stop_cause, end.outcome.exit_code) == (
        Verdict.STOPPED, StopCause.DEADLINE, 0,
    )  # fmt: skip
    assert end.outcome.our_reason == LIMIT


async def test_a_stop_that_is_denied_is_repeated_with_renewed_credentials(
    memory: MemoryAws, task_log: TaskLogReader
) -> None:
    operations: list[str] = []

    def fault(operation: str) -> RemoteError | None:
        operations.append(operation)
        if operation == "StopTask" and "renew" not in operations:
            return AccessDenied("AWS denies ecs:StopTask to role/triggerer.")
        return None

    memory.fault = fault
    end = await completion(memory.put(1), deadline=time.time() + 20, deadline_reason=LIMIT)
    assert (end.outcome.verdict, end.outcome.stop_cause) == (Verdict.STOPPED, StopCause.DEADLINE)
    assert [one for one in operations if one in ("StopTask", "renew")] == ["StopTask", "renew", "StopTask"]
    assert memory.tasks[arn_of(1)]["stopCode"] == "UserInitiated"
