"""When an ECS task's outcome is known, and what it is."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.model.ecs import parse_task
from asyncrun.model.ecs_definition import TaskPlan, parse_definition
from asyncrun.model.ecs_outcome import decide, gave_up
from asyncrun.model.outcome import Decision, Outcome, StopCause, Verdict, to_blame


def task(*containers: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {
        "taskArn": "arn:aws:ecs:us-east-1:123456789012:task/c/0123",
        "version": 7,
        "lastStatus": "DEPROVISIONING",
        "desiredStatus": "STOPPED",
        "stopCode": "EssentialContainerExited",
        "stoppedReason": "Essential container in task exited",
        "startedAt": 100.0,
        "executionStoppedAt": 160.5,
        "containers": list(containers),
        **fields,
    }


def container(name: str, code: int | None, *, status: str = "STOPPED", reason: str | None = None) -> dict[str, Any]:
    made: dict[str, Any] = {"name": name, "lastStatus": status}
    if code is not None:
        made["exitCode"] = code
    if reason is not None:
        made["reason"] = reason
    return made


def plan(**essential: bool) -> TaskPlan:
    return parse_definition(
        {
            "taskDefinitionArn": "arn:aws:ecs:us-east-1:123456789012:task-definition/f:1",
            "containerDefinitions": [{"name": name, "essential": flag} for name, flag in essential.items()],
        }
    )


def decision(raw: dict[str, Any], of: TaskPlan | None, wanted: str | None = None) -> Decision:
    made = decide(parse_task(raw), of, wanted)
    assert made is not None
    return made


def outcome(raw: dict[str, Any], of: TaskPlan | None, wanted: str | None = None) -> Outcome:
    return decision(raw, of, wanted).outcome


def test_a_running_task_is_undecided() -> None:
    raw = task(container("main", None, status="RUNNING"), lastStatus="RUNNING", desiredStatus="RUNNING")
    assert decide(parse_task(raw), plan(main=True)) is None


def test_a_clean_exit_is_known_before_fargate_gives_the_network_interface_back() -> None:
    raw = task(container("main", 0), stopCode=None, stoppedReason=None)
    made = decision(raw, plan(main=True))
    assert made.complete
    assert made.outcome.verdict is Verdict.SUCCEEDED
    assert (made.outcome.started_at, made.outcome.finished_at) == (100.0, 160.5)


def test_a_stopping_task_is_undecided_while_an_essential_container_still_runs() -> None:
    raw = task(container("main", 0), container("proxy", None, status="RUNNING"))
    assert decide(parse_task(raw), plan(main=True, proxy=True)) is None


def test_a_container_that_is_not_essential_is_not_waited_for() -> None:
    raw = task(container("main", 0), container("extra", None, status="RUNNING"))
    assert outcome(raw, plan(main=True, extra=False)).verdict is Verdict.SUCCEEDED


def test_an_unclean_exit_waits_for_the_stop_code() -> None:
    early = task(container("main", 3), stopCode=None, stoppedReason=None)
    assert not decision(early, plan(main=True)).complete
    assert decision(task(container("main", 3)), plan(main=True)).complete
    assert decision({**early, "lastStatus": "STOPPED"}, plan(main=True)).complete


@pytest.mark.parametrize("code", [143, 137, 0, None])
def test_an_essential_sidecar_ended_by_the_tasks_own_stopping_is_no_failure(code: int | None) -> None:
    raw = task(container("proxy", code), container("main", 0), lastStatus="STOPPED")
    made = outcome(raw, plan(main=True, proxy=True))
    assert (made.verdict, made.decided_by, made.exit_code) == (Verdict.SUCCEEDED, "main", 0)


def test_an_essential_sidecar_that_failed_by_itself_fails_the_task() -> None:
    raw = task(container("main", 0), container("proxy", 2))
    assert outcome(raw, plan(main=True, proxy=True)).verdict is Verdict.FAILED


def test_an_essential_sidecar_out_of_memory_fails_the_task() -> None:
    reason = "OutOfMemoryError: Container killed due to memory usage"
    raw = task(container("main", 0), container("proxy", 137, reason=reason))
    assert outcome(raw, plan(main=True, proxy=True)).verdict is Verdict.FAILED


def test_a_failed_container_that_is_not_essential_is_no_failure() -> None:
    raw = task(container("main", 0), container("extra", 1))
    assert outcome(raw, plan(main=True, extra=False)).verdict is Verdict.SUCCEEDED


def test_the_first_essential_container_of_the_definition_decides() -> None:
    raw = task(container("b", 0), container("init", 0), container("a", 4))
    made = outcome(raw, plan(init=False, a=True, b=True))
    assert (made.decided_by, made.exit_code, made.verdict) == ("a", 4, Verdict.FAILED)
    assert [one.name for one in made.containers] == ["init", "a", "b"]


def test_the_container_that_the_user_named_decides() -> None:
    raw = task(container("a", 143), container("b", 0))
    assert outcome(raw, plan(a=True, b=True), "b").verdict is Verdict.SUCCEEDED


def test_without_a_definition_every_container_counts_as_essential() -> None:
    raw = task(container("a", 0), container("b", 5))
    made = outcome(raw, None)
    assert (made.verdict, made.decided_by) == (Verdict.FAILED, "b")


@pytest.mark.parametrize("names", [("main", "side"), ("side", "main")])
def test_without_a_definition_the_order_of_the_answer_decides_nothing(names: tuple[str, str]) -> None:
    codes = {"main": 0, "side": 143}
    made = outcome(task(*(container(name, codes[name]) for name in names)), None)
    assert (made.verdict, made.decided_by) == (Verdict.SUCCEEDED, "main")


def test_a_container_that_the_user_named_is_waited_for_though_it_is_not_essential() -> None:
    raw = task(container("main", 0), container("extra", None, status="RUNNING"))
    assert decide(parse_task(raw), plan(main=True, extra=False), "extra") is None


def test_an_essential_container_that_could_not_start_fails_the_task() -> None:
    raw = task(container("main", 0), container("proxy", None, reason="CannotStartContainerError: no such file"))
    assert outcome(raw, plan(main=True, proxy=True)).verdict is Verdict.FAILED


def test_the_beginning_of_a_stop_is_not_the_end() -> None:
    raw = task(container("main", 0), stoppingAt=120.0, executionStoppedAt=None)
    assert outcome(raw, plan(main=True)).finished_at is None


def test_a_task_that_failed_to_start_never_started() -> None:
    raw = task(
        container("main", None, reason="CannotPullContainerError: not found"),
        stopCode="TaskFailedToStart",
        startedAt=None,
    )
    assert outcome(raw, plan(main=True)).verdict is Verdict.NEVER_STARTED


def test_a_task_that_stops_before_it_has_containers_is_decided_when_it_is_stopped() -> None:
    raw = task(stopCode="TaskFailedToStart", startedAt=None)
    assert decide(parse_task(raw), plan(main=True)) is None
    assert outcome({**raw, "lastStatus": "STOPPED"}, plan(main=True)).verdict is Verdict.NEVER_STARTED


@pytest.mark.parametrize(
    ("code", "reason"),
    [
        ("SpotInterruption", "Your Spot Task was interrupted."),
        ("TerminationNotice", "Your Spot Task was interrupted."),
        ("", "Host EC2 (instance i-0abc) terminated."),
    ],
)
def test_a_machine_taken_away_is_an_eviction(code: str, reason: str) -> None:
    raw = task(container("main", 143), stopCode=code, stoppedReason=reason)
    assert outcome(raw, plan(main=True)).verdict is Verdict.EVICTED


def test_what_ended_well_before_its_spot_machine_went_away_has_ended_well() -> None:
    raw = task(container("main", 0), stopCode="SpotInterruption", stoppedReason="Your Spot Task was interrupted.")
    assert outcome(raw, plan(main=True)).verdict is Verdict.SUCCEEDED


def test_a_program_that_answers_a_users_stop_with_0_is_stopped_not_finished() -> None:
    raw = task(container("main", 0), stopCode="UserInitiated", stoppedReason="Task stopped by user")
    assert outcome(raw, plan(main=True)).verdict is Verdict.STOPPED


@pytest.mark.parametrize(("code", "signal"), [(137, "SIGKILL"), (143, "SIGTERM"), (1, None), (255, None), (None, None)])
def test_the_signal_that_ended_a_container_is_named(code: int | None, signal: str | None) -> None:
    made = outcome(task(container("main", code), lastStatus="STOPPED"), plan(main=True)).containers[0]
    assert made.signal == signal


def test_a_container_that_ran_and_left_no_exit_code_has_failed_and_one_that_never_ran_has_not_started() -> None:
    raw = task(container("main", None), lastStatus="STOPPED")
    assert outcome(raw, plan(main=True)).verdict is Verdict.FAILED
    assert outcome({**raw, "startedAt": None}, plan(main=True)).verdict is Verdict.NEVER_STARTED


class TestAfterOurOwnStop:
    """A program may answer our SIGTERM with any code, and ECS says later than that code that we stopped it."""

    def decide(self, code: int, **fields: Any) -> Decision:
        raw = task(container("main", code), **{"stopCode": None, "stoppedReason": None, **fields})
        made = decide(parse_task(raw), plan(main=True), stopping=True)
        assert made is not None
        return made

    def test_a_0_is_not_complete_before_ecs_says_why_the_task_ended(self) -> None:
        assert not self.decide(0).complete
        assert self.decide(0, lastStatus="STOPPED").complete

    def test_a_0_that_came_before_the_stop_is_a_success(self) -> None:
        made = self.decide(0, stopCode="EssentialContainerExited")
        assert (made.outcome.verdict, made.complete) == (Verdict.SUCCEEDED, True)

    def test_a_0_that_answered_the_stop_is_a_stop(self) -> None:
        made = self.decide(0, stopCode="UserInitiated", stoppedReason="Stopped by Airflow: x")
        assert (made.outcome.verdict, made.complete) == (Verdict.STOPPED, True)

    @pytest.mark.parametrize("code", [143, 137])
    def test_a_signal_is_a_stop_though_ecs_does_not_say_so(self, code: int) -> None:
        made = self.decide(code)
        assert (made.outcome.verdict, made.complete) == (Verdict.STOPPED, False)

    def test_a_failure_of_its_own_is_a_failure(self) -> None:
        assert self.decide(3).outcome.verdict is Verdict.FAILED
        assert self.decide(143, stopCode="EssentialContainerExited").outcome.verdict is Verdict.FAILED


def test_a_run_whose_end_was_not_seen_keeps_what_is_known_and_the_container_that_would_have_decided() -> None:
    raw = task(container("extra", 1), container("main", None, status="RUNNING"), lastStatus="RUNNING", stopCode=None)
    made = gave_up(
        Verdict.STOPPED, "ours", StopCause.DEADLINE, state=parse_task(raw), plan=plan(main=True, extra=False)
    )
    assert (made.decided_by, made.exit_code, made.our_reason) == ("main", None, "ours")
    assert made.reason == "Essential container in task exited"
    assert [(one.name, one.essential) for one in made.containers] == [("main", True), ("extra", False)]
    blamed = to_blame(made)
    assert blamed is not None
    assert blamed.name == "main"


def test_of_a_run_that_was_never_seen_nothing_is_known_but_why_we_gave_up() -> None:
    made = gave_up(Verdict.LOST, "gone")
    assert made == Outcome(verdict=Verdict.LOST, our_reason="gone")
    assert to_blame(made) is None
