"""Which ends ``skip_on_exit_code`` turns into a skip: what fails beside the one that skips is not hidden."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from asyncrun.model.ecs import parse_task
from asyncrun.model.ecs_definition import parse_definition
from asyncrun.model.ecs_diagnosis import diagnose
from asyncrun.model.ecs_outcome import decide
from asyncrun.model.event import CompletionEvent
from asyncrun.model.refs import EcsTaskRef
from asyncrun.operators.ecs_launching import skipping_container
from asyncrun.operators.errors import ContainerFailed, NeverStarted, StoppedByUser
from asyncrun.operators.run_control import raise_for_end

OUT_OF_MEMORY = "OutOfMemoryError: Container killed due to memory usage"


def ended(*containers: tuple[str, int | None, str], name: str | None = None, **task: Any) -> CompletionEvent:
    """
    The end of a task with these containers: name (``-`` before it: not essential), exit code and reason.

    Decided as a trigger does it.
    """
    given = [
        {"name": one.lstrip("-"), "lastStatus": "STOPPED", "reason": reason, "exitCode": code}
        for one, code, reason in containers
    ]
    raw = {
        "taskArn": "arn", "lastStatus": "STOPPED", "desiredStatus": "STOPPED", "startedAt": 1.0, "version": 3,
        "stopCode": "EssentialContainerExited", "stoppedReason": "Essential container in task exited",
        "containers": given, **task,
    }  # fmt: skip
    plan = parse_definition(
        {
            "taskDefinitionArn": "arn",
            "containerDefinitions": [{"name": one.lstrip("-"), "essential": one[0] != "-"} for one, *_ in containers],
        }
    )
    decision = decide(parse_task(raw), plan, name)
    assert decision is not None
    return CompletionEvent(
        ref=EcsTaskRef(cluster="c", task_arn="arn"),
        outcome=decision.outcome,
        diagnosis=diagnose(decision.outcome, plan, None),
    )


def end(event: CompletionEvent, *codes: int) -> None:
    raise_for_end(event, skipping=skipping_container(event.outcome, lambda code: code in codes), lines=0)


@pytest.mark.parametrize(
    ("event", "who"),
    [
        (ended(("main", 99, "")), "'main' exited with 99"),
        (ended(("main", 99, ""), ("side", 143, "")), "'main' exited with 99"),
        (ended(("main", 99, ""), ("side", 137, "")), "'main' exited with 99"),
        (ended(("main", 99, ""), ("side", 98, "")), "'main' exited with 99"),
        (ended(("main", 143, ""), ("side", 99, "")), "'side' exited with 99"),
        (ended(("main", 0, ""), ("side", 99, "")), "'side' exited with 99"),
        (ended(("main", 99, ""), ("-side", 1, "")), "'main' exited with 99"),
        (ended(("main", 0, ""), ("-side", 99, ""), name="side"), "'side' exited with 99"),
    ],
)
def test_a_listed_code_skips_where_nothing_else_failed_by_itself(event: CompletionEvent, who: str) -> None:
    with pytest.raises(AirflowSkipException) as caught:
        end(event, 98, 99)
    assert str(caught.value) == f"container {who}, which is in skip_on_exit_code"


@pytest.mark.parametrize("code", [137, 143])
def test_a_signals_code_skips_where_it_is_listed_and_nothing_else_failed(code: int) -> None:
    with pytest.raises(AirflowSkipException, match=f"'main' exited with {code}"):
        end(ended(("main", code, ""), ("side", 0, "")), code)
    with pytest.raises(ContainerFailed):
        end(ended(("main", code, ""), ("side", 5, "")), code)


@pytest.mark.parametrize(
    "event",
    [
        ended(("main", 99, ""), ("side", 1, "")),
        ended(("side", 1, ""), ("main", 99, ""), name="main"),
        ended(("main", 99, ""), ("side", 137, OUT_OF_MEMORY)),
        ended(("main", 99, ""), ("side", None, "CannotStartContainerError: no")),
        ended(("main", 1, ""), ("side", 99, "")),
        ended(("main", 1, "")),
    ],
)
def test_a_real_failure_beside_it_is_not_hidden(event: CompletionEvent) -> None:
    with pytest.raises(ContainerFailed):
        end(event, 99)


def test_what_did_not_fail_by_its_exit_code_is_no_skip() -> None:
    with pytest.raises(StoppedByUser):
        end(ended(("main", 99, ""), stopCode="UserInitiated"), 99)
    with pytest.raises(NeverStarted):
        end(ended(("main", 99, ""), stopCode="TaskFailedToStart"), 99)
    end(ended(("main", 0, ""), ("-side", 99, "")), 99)  # one that is not essential decides nothing
