"""A launch that is repeated says so in the task log: it may take minutes."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.operators import errors
from tests.operators.support import FOREVER, run_task


def test_a_throttled_launch_says_that_it_is_tried_again(
    aws: EmbeddedAws, worker: Any, capsys: Any, caplog: Any
) -> None:
    aws.control.add_faults(Fault("RunTask", "throttle", count=2))  # both attempts of the SDK
    operator = run_task(FOREVER)
    with pytest.raises(TaskDeferred):
        worker.execute(operator, worker.context(operator))
    operator.on_kill()
    log = "".join(capsys.readouterr()) + caplog.text
    assert "AWS throttles ECS RunTask in us-east-1 (ThrottlingException)" in log
    assert log.count(" It is tried again in ") == 1
    assert len(aws.control.calls("RunTask")) == 3


def test_a_launch_that_waits_for_room_says_so(aws: EmbeddedAws, worker: Any, capsys: Any, caplog: Any) -> None:
    aws.control.set_out_of_capacity("FARGATE")
    operator = run_task(FOREVER, quota_retry={"min": 0.2, "max": 0.2, "stop_after_delay": 0.5})
    with pytest.raises(errors.OutOfCapacity):
        worker.execute(operator, worker.context(operator))
    log = "".join(capsys.readouterr()) + caplog.text
    assert "ECS has no room for the task now: Capacity is unavailable at this time. Please try again" in log
    assert log.count(". It is tried again in 0.2 s") == len(aws.control.calls("RunTask")) - 1 > 0
