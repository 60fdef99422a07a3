"""What the user is told when an ECS task fails: the texts are product."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.ecs import parse_task
from asyncrun.model.ecs_definition import parse_definition
from asyncrun.model.ecs_diagnosis import diagnose
from asyncrun.model.ecs_outcome import decide, gave_up
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Unavailable,
)
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
        ("ResourceInitializationError: unable to pull secrets or registry auth: pull command failed: unable to pull "
         "registry auth from Amazon ECR: There is a connection issue between the task and Amazon ECR. Check your task "
         "network configuration.", Cause.NETWORK),
        ("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
         "unable to retrieve ecr registry auth: service call has been retried 3 time(s): RequestError: send request "
         "failed caused by: Post https://api.ecr.us-east-1.amazonaws.com/: dial tcp 10.0.0.1:443: i/o timeout",
         Cause.NETWORK),
        ("ResourceInitializationError: unable to pull secrets or registry auth: unable to retrieve secret from asm: "
         "RequestCanceled: request context canceled caused by: context deadline exceeded", Cause.NETWORK),
        ("ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: failed "
         "to create Cloudwatch log stream: RequestError: send request failed caused by: dial tcp: i/o timeout",
         Cause.NETWORK),
        ("ResourceInitializationError: unable to pull secrets or registry auth: execution resource retrieval failed: "
         "unable to retrieve ecr registry auth: AccessDeniedException: User: u is not authorized to perform: "
         "ecr:GetAuthorizationToken", Cause.IMAGE),
        ("ResourceInitializationError: unable to pull secrets or registry auth: something new", Cause.SECRET),
        ("ECS was not able to start: User is not authorized to perform: sts:AssumeRole on resource: r", Cause.ROLE),
        ("RESOURCE:MEMORY", Cause.CAPACITY),
        ("InsufficientInstanceCapacity", Cause.CAPACITY),
        ("No Container Instances were found in your cluster.", Cause.CAPACITY),
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


LIMIT = "execution_timeout=0:10:00"


def test_our_own_deadline_is_not_blamed_on_a_user_and_our_words_are_not_quoted_as_ecss() -> None:
    made = diagnose(
        Outcome(
            verdict=Verdict.STOPPED, code="UserInitiated", reason=f"Stopped by Airflow: {LIMIT}",
            stop_cause=StopCause.DEADLINE, our_reason=LIMIT,
        )
    )  # fmt: skip
    assert made.cause is Cause.DEADLINE
    assert made.summary == f"the task was stopped because it took longer than allowed: {LIMIT}"
    assert made.evidence == ("stopCode=UserInitiated", f"stoppedReason=Stopped by Airflow: {LIMIT}")


def test_a_task_that_could_not_be_stopped_at_its_deadline_was_not_stopped() -> None:
    refused = "it could not be stopped, and may still be running: AWS denies ecs:StopTask"
    made = diagnose(gave_up(Verdict.STOPPED, LIMIT, StopCause.DEADLINE, not_ended=refused))
    assert made.cause is Cause.DEADLINE
    assert made.summary == f"the task took longer than allowed ({LIMIT}); {refused}"
    assert made.next_step.startswith("Stop the task by hand if it still runs")
    assert made.evidence == ()


@pytest.mark.parametrize(
    ("error", "who"),
    [
        (CredentialsExpired("e"), "Whoever manages the connection must give it usable credentials"),
        (AccessDenied("e"), "Whoever manages permissions must restore access"),
        (NotFound("e"), "Find out whether the cluster was deleted, or the connection now leads to another"),
        (MalformedAnswer("e"), "Find out what changes AWS's answers on their way"),
        (RequestRefused("No AWS region is known"), "Mend what this call was refused for"),
        (Unavailable("e"), "Find out why AWS cannot be reached from the triggerer"),
    ],
)
def test_a_task_out_of_sight_may_still_be_running_and_the_error_tells_who_must_act(
    error: RemoteError, who: str
) -> None:
    made = diagnose(gave_up(Verdict.LOST, str(error), StopCause.ACCESS), error=error)
    assert made.cause is Cause.ACCESS
    assert made.summary == f"the task can no longer be watched, and may still be running: {error}"
    assert made.next_step.startswith(who)
    assert made.next_step.endswith("; then stop the task by hand, or clear the Airflow task.")


def test_a_lost_task_is_lost() -> None:
    made = diagnose(gave_up(Verdict.LOST, "it has been reported MISSING for 60 s"))
    assert made.cause is Cause.LOST
    assert made.summary.endswith("so how it ended cannot be known: it has been reported MISSING for 60 s")


def several(**ends: tuple[int | None, str]) -> Outcome:
    """What is decided of a task with these containers, all essential but ``extra``; the first one decides."""
    definitions = [{"name": name, "essential": name != "extra"} for name in ends]
    containers = [
        {"name": name, "lastStatus": "STOPPED", "exitCode": code, "reason": reason}
        for name, (code, reason) in ends.items()
    ]
    plan = parse_definition({"taskDefinitionArn": "d:1", "containerDefinitions": definitions})
    raw = {
        "taskArn": "a", "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited", "startedAt": 1.0, "containers": containers,
    }  # fmt: skip
    made = decide(parse_task(raw), plan)
    assert made is not None
    return made.outcome


@pytest.mark.parametrize("app", [143, 137, 0])
def test_a_container_that_was_only_ended_by_another_ones_failure_is_not_blamed(app: int) -> None:
    outcome = several(app=(app, ""), proxy=(143, ""), side=(1, ""))
    made = diagnose(outcome)
    assert outcome.decided_by == "app"
    assert made.summary == "container 'side' exited with code 1"
    assert made.cause is Cause.EXIT_CODE
    assert "container app: exitCode=" in made.evidence[2]


def test_a_container_that_failed_by_itself_is_blamed_before_others_that_did() -> None:
    assert diagnose(several(app=(3, ""), side=(1, ""))).summary == "container 'app' exited with code 3"


def test_a_signal_without_any_other_failure_is_the_deciding_containers_own() -> None:
    made = diagnose(several(app=(143, ""), proxy=(143, "")))
    assert made.summary == "container 'app' was killed by SIGTERM (exit code 143)"


def test_a_container_that_could_not_start_is_blamed_and_not_the_one_that_never_ran_because_of_it() -> None:
    made = diagnose(several(app=(None, ""), side=(None, "CannotStartContainerError: no such file")))
    assert made.summary.startswith("container 'side' could not start its container")


def test_the_deciding_containers_reason_goes_before_another_ones() -> None:
    oom, start = "OutOfMemoryError: killed", "CannotStartContainerError: no such file"
    assert diagnose(several(side=(None, start), app=(137, oom))).cause is Cause.START
    assert diagnose(several(app=(137, oom), side=(None, start))).cause is Cause.OUT_OF_MEMORY


def test_what_befell_a_container_that_is_not_essential_explains_no_failure() -> None:
    made = diagnose(several(app=(3, ""), extra=(137, "OutOfMemoryError: killed")))
    assert made.summary == "container 'app' exited with code 3"


def test_a_task_that_never_started_is_explained_also_by_a_container_that_is_not_essential() -> None:
    outcome = Outcome(
        verdict=Verdict.NEVER_STARTED,
        containers=(
            ContainerOutcome(name="extra", reason="CannotPullContainerError: not found", essential=False),
            ContainerOutcome(name="app"),
        ),
        decided_by="app",
        code="TaskFailedToStart",
    )
    assert diagnose(outcome).cause is Cause.IMAGE
    essential = ContainerOutcome(name="proxy", reason="OutOfMemoryError: killed")
    both = msgspec.structs.replace(outcome, containers=(*outcome.containers, essential))
    assert diagnose(both).cause is Cause.OUT_OF_MEMORY


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
