"""Model errors at the boundary: Airflow exceptions, upstream's classes, pickling, text."""

from __future__ import annotations

import pickle
import subprocess
import sys

import pytest
from airflow.providers.amazon.aws.exceptions import EcsOperatorError, EcsTaskFailToStart  # noqa: TID253
from airflow.sdk import ExceptionRetryPolicy, RetryAction, RetryRule
from airflow.sdk.exceptions import AirflowException

from asyncrun.model import errors as model
from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.refs import EcsTaskRef
from asyncrun.operators import errors

DIAGNOSIS = Diagnosis(
    summary="Container 'main' exited with 3.",
    cause=Cause.EXIT_CODE,
    evidence=("exitCode 3",),
    next_step="Read its log.",
)


def event(verdict: Verdict, stop_cause: StopCause | None = None, lines: tuple[str, ...] = ()) -> CompletionEvent:
    return CompletionEvent(
        ref=EcsTaskRef(cluster="c", task_arn="arn:aws:ecs:us-east-1:1:task/c/id"),
        outcome=Outcome(verdict=verdict, exit_code=3, stop_cause=stop_cause),
        diagnosis=DIAGNOSIS,
        last_lines=lines,
    )


@pytest.mark.parametrize(
    ("verdict", "stop_cause", "kind"),
    [
        (Verdict.FAILED, None, errors.ContainerFailed),
        (Verdict.NEVER_STARTED, None, errors.NeverStarted),
        (Verdict.EVICTED, None, errors.Evicted),
        (Verdict.STOPPED, None, errors.StoppedByUser),
        (Verdict.STOPPED, StopCause.DEADLINE, errors.DeadlineExceeded),
        (Verdict.LOST, None, errors.Lost),
        (Verdict.LOST, StopCause.ACCESS, errors.Unwatchable),
    ],
)
def test_each_verdict_has_its_class(verdict: Verdict, stop_cause: StopCause | None, kind: type) -> None:
    error = errors.failure_of(event(verdict, stop_cause), lines=10)
    assert isinstance(error, kind)
    assert isinstance(error, getattr(model, kind.__name__))
    assert isinstance(error, AirflowException)
    assert type(error).__name__ == kind.__name__
    assert error.outcome.verdict is verdict


def test_success_is_no_failure() -> None:
    assert errors.failure_of(event(Verdict.SUCCEEDED), lines=10) is None


def test_the_message_is_the_diagnosis_with_the_last_lines() -> None:
    error = errors.failure_of(event(Verdict.FAILED, lines=("a", "b", "c")), lines=2)
    assert str(error) == (
        "Container 'main' exited with 3.\nNext step: Read its log.\nEvidence: exitCode 3\nLast 2 log lines:\n  b\n  c"
    )
    assert "log lines" not in str(errors.failure_of(event(Verdict.FAILED, lines=("a",)), lines=0))


def test_a_task_that_never_started_is_upstreams_error_too() -> None:
    error = errors.failure_of(event(Verdict.NEVER_STARTED), lines=10)
    assert isinstance(error, EcsTaskFailToStart)
    assert error.message == str(error)
    assert isinstance(errors.failure_of(event(Verdict.FAILED), lines=10), EcsTaskFailToStart) is False


def test_a_refused_launch_is_upstreams_error_too() -> None:
    error = errors.to_airflow(model.OutOfCapacity("no room", reasons=("RESOURCE:MEMORY",)))
    assert isinstance(error, EcsOperatorError)
    assert error.failures == [{"reason": "RESOURCE:MEMORY"}]
    assert error.message == "no room"


MODEL_ERRORS = [
    model.InvalidArgument("cluster", 5, "a name"),
    model.InvalidSetting("log_slot", "x", "a number"),
    model.CredentialsExpired("expired", service="sts", operation="AssumeRole", code="ExpiredToken", request_id="r"),
    model.Throttled("slow down", service="ecs"),
    model.TokenConflict("conflict"),
    model.LaunchRefused("refused", reasons=("AGENT",)),
    model.NeverStarted(DIAGNOSIS, Outcome(verdict=Verdict.NEVER_STARTED), ("x",)),
    model.DeadlineExceeded(DIAGNOSIS, Outcome(verdict=Verdict.STOPPED)),
]


@pytest.mark.parametrize("error", MODEL_ERRORS, ids=lambda error: type(error).__name__)
def test_every_error_keeps_class_text_and_facts_through_mapping_and_pickling(error: model.AsyncrunError) -> None:
    mapped = errors.to_airflow(error)
    again = pickle.loads(pickle.dumps(mapped))
    for one in (mapped, again):
        assert isinstance(one, AirflowException)
        assert isinstance(one, type(error))
        assert str(one) == str(error)
        assert vars(error).items() <= vars(one).items()
    assert type(again) is type(mapped)
    assert errors.to_airflow(mapped) is not None


def test_every_model_error_has_a_class_of_its_own() -> None:
    named = {
        name
        for name, kind in vars(model).items()
        if isinstance(kind, type) and issubclass(kind, model.AsyncrunError) and kind is not model.AsyncrunError
    }
    for name in named:
        ours = getattr(errors, name)
        assert issubclass(ours, getattr(model, name))
        assert issubclass(ours, AirflowException)


def test_pickles_can_be_read_in_a_fresh_process() -> None:
    mapped = errors.failure_of(event(Verdict.NEVER_STARTED), lines=10)
    code = (
        "import pickle, sys; e = pickle.loads(sys.stdin.buffer.read());"
        "from asyncrun.operators.errors import NeverStarted;"
        "from airflow.providers.amazon.aws.exceptions import EcsTaskFailToStart;"
        "assert isinstance(e, NeverStarted) and isinstance(e, EcsTaskFailToStart); print(e.outcome.verdict)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", code], input=pickle.dumps(mapped), capture_output=True, check=True
    )
    assert done.stdout.decode().strip() == "never_started"


def test_a_retry_policy_matches_the_class_by_its_path() -> None:
    policy = ExceptionRetryPolicy(
        rules=[RetryRule(exception="asyncrun.operators.errors.RunFailed", action=RetryAction.FAIL)]
    )
    failure = errors.failure_of(event(Verdict.NEVER_STARTED), lines=10)
    assert failure is not None
    assert policy.evaluate(failure, 1, 3).action is RetryAction.FAIL
    assert policy.evaluate(errors.to_airflow(model.Throttled("x")), 1, 3).action is not RetryAction.FAIL


def test_inside_the_boundary_the_original_is_the_cause() -> None:
    with pytest.raises(errors.NotFound, match="no cluster") as caught, errors.airflow_errors():
        raise model.NotFound("no cluster")
    assert type(caught.value.__cause__) is model.NotFound
