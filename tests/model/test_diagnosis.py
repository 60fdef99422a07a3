"""What the user is told when an ECS task fails: the texts are product."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.ecs_definition import parse_definition
from asyncrun.model.ecs_diagnosis import diagnose
from asyncrun.model.ecs_outcome import gave_up
from asyncrun.model.outcome import ContainerOutcome, Outcome, StopCause, Verdict

PLAN = parse_definition(
    {
        "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/etl:3",
        "memory": "1024",
        "containerDefinitions": [{"name": "main", "image": "repo/etl:typo", "memory": 512}, {"name": "proxy"}],
    }
)


def failed(
    exit_code: int | None = None,
    reason: str = "",
    *,
    verdict: Verdict = Verdict.FAILED,
    name: str = "main",
    **facts: Any,
) -> Outcome:
    container = ContainerOutcome(name=name, exit_code=exit_code, reason=reason)
    return Outcome(verdict=verdict, containers=(container,), decided_by=name, exit_code=exit_code, **facts)


def test_a_success_has_nothing_to_explain() -> None:
    assert diagnose(failed(0, verdict=Verdict.SUCCEEDED)) == Diagnosis(
        summary="container 'main' exited with 0", cause=Cause.NONE
    )


def test_an_exit_code_is_named_with_its_container() -> None:
    made = diagnose(failed(3), PLAN)
    assert made.summary == "container 'main' exited with code 3"
    assert made.cause is Cause.EXIT_CODE
    assert made.evidence == ("container main: exitCode=3",)


def test_out_of_memory_names_the_limit() -> None:
    made = diagnose(failed(137, "OutOfMemoryError: Container killed due to memory usage"), PLAN)
    assert made.cause is Cause.OUT_OF_MEMORY
    assert made.summary.startswith("container 'main' ran out of memory (container limit 512 MiB)")
    assert "Raise `memory`" in made.next_step


def test_out_of_memory_names_the_tasks_limit_where_the_container_has_none() -> None:
    made = diagnose(failed(137, "OutOfMemoryError: killed", name="proxy"), PLAN)
    assert "(task limit 1024 MiB)" in made.summary


def test_an_image_that_cannot_be_pulled_is_named() -> None:
    reason = "CannotPullContainerError: pull image manifest has been retried 5 time(s): repo/etl:typo: not found"
    made = diagnose(failed(None, reason, verdict=Verdict.NEVER_STARTED), PLAN)
    assert made.cause is Cause.IMAGE
    assert made.summary.startswith("container 'main' could not start: its image could not be pulled (repo/etl:typo)")


@pytest.mark.parametrize(
    ("reason", "cause"),
    [
        ("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
         "unable to retrieve secret from asm: AccessDeniedException", Cause.SECRET),
        ("ECS was unable to assume the role 'arn:aws:iam::1:role/x' that was provided for this task.", Cause.ROLE),
        ("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
         "to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not exist.",
         Cause.LOG_GROUP),
        ("ResourceInitializationError: failed to initialize logging driver: failed to create Cloudwatch log stream",
         Cause.LOG_GROUP),
        ("ResourceInitializationError: unable to pull registry auth from Amazon ECR: There is a connection issue",
         Cause.IMAGE),
        ("Capacity is unavailable at this time. Please try again later or in a different availability zone",
         Cause.CAPACITY),
        ("Timeout waiting for network interface provisioning to complete.", Cause.NETWORK),
        ("CannotStartContainerError: Error response from daemon: exec format error", Cause.START),
        ("happening while opening something", Cause.START),
    ],
)  # fmt: skip
def test_a_task_that_never_started_tells_the_cause(reason: str, cause: Cause) -> None:
    outcome = Outcome(verdict=Verdict.NEVER_STARTED, code="TaskFailedToStart", reason=reason)
    made = diagnose(outcome, PLAN)
    assert made.cause is cause
    assert reason in made.summary
    assert made.next_step
    assert made.evidence == ("stopCode=TaskFailedToStart", f"stoppedReason={reason}")


def test_a_containers_own_reason_goes_before_the_tasks() -> None:
    outcome = failed(137, "OutOfMemoryError: killed", code="EssentialContainerExited")
    outcome = msgspec.structs.replace(outcome, reason="Essential container in task exited")
    assert diagnose(outcome).cause is Cause.OUT_OF_MEMORY


def test_an_essential_sidecar_that_failed_is_blamed() -> None:
    outcome = Outcome(
        verdict=Verdict.FAILED,
        containers=(ContainerOutcome(name="main", exit_code=0), ContainerOutcome(name="proxy", exit_code=2)),
        decided_by="main",
        exit_code=0,
    )
    assert diagnose(outcome, PLAN).summary == "container 'proxy' exited with code 2"


def test_a_kill_without_a_reason_says_so() -> None:
    made = diagnose(failed(137))
    assert made.summary == "container 'main' was killed by SIGKILL (exit code 137)"
    assert "memory" in made.next_step


def test_a_spot_interruption_and_a_lost_host_are_told_apart() -> None:
    spot = failed(143, verdict=Verdict.EVICTED, code="SpotInterruption")
    host = Outcome(verdict=Verdict.EVICTED, reason="Host EC2 (instance i-1) terminated.")
    assert diagnose(spot).cause is Cause.SPOT
    assert diagnose(host).cause is Cause.HOST
    assert "i-1" in diagnose(host).summary


def test_a_stop_by_a_user_tells_where_to_find_out_by_whom() -> None:
    made = diagnose(Outcome(verdict=Verdict.STOPPED, code="UserInitiated", reason="Task stopped by user"))
    assert made.cause is Cause.USER
    assert "CloudTrail" in made.next_step


def test_our_own_deadline_is_not_blamed_on_a_user() -> None:
    made = diagnose(gave_up(None, StopCause.DEADLINE, "execution_timeout=0:10:00", Verdict.STOPPED))
    assert made.cause is Cause.DEADLINE
    assert made.summary == "the task was stopped because it took longer than allowed: execution_timeout=0:10:00"


def test_lost_access_says_that_the_task_may_still_be_running() -> None:
    made = diagnose(gave_up(None, StopCause.ACCESS, "not authorized", Verdict.LOST))
    assert made.cause is Cause.ACCESS
    assert "may still be running" in made.summary


def test_a_lost_task_is_lost() -> None:
    assert diagnose(Outcome(verdict=Verdict.LOST, reason="MISSING for 60 s")).cause is Cause.LOST


def test_the_text_holds_summary_next_step_evidence_and_last_lines() -> None:
    text = diagnose(failed(3), PLAN).text(("boom", "at line 3"))
    assert text.splitlines() == [
        "container 'main' exited with code 3",
        "Next step: The program said that it failed: its last log lines hold the reason.",
        "Evidence: container main: exitCode=3",
        "Last 2 log lines:",
        "  boom",
        "  at line 3",
    ]
