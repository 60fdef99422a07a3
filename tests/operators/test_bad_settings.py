"""A mistake in ``[asyncrun]`` refuses what begins, and never takes away what already runs."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferralTimeout, TaskDeferred

from asyncrun.clients import config
from asyncrun.clients.config import load_settings
from asyncrun.local.aws import EmbeddedAws
from asyncrun.operators import errors
from asyncrun.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
)
from asyncrun.sensors.ecs import EcsClusterStateSensor
from tests.operators.support import FOREVER, Ti, described, run_task

SAID = "[asyncrun] log_rate = '2OO' in Airflow's configuration cannot work: expected a whole number of lines/s"


@pytest.fixture
def mistake(aws: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Make it, as a worker that starts then finds it."""

    def make() -> None:
        monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOG_RATE", "2OO")
        monkeypatch.setattr(config, "_said", set())
        load_settings.cache_clear()

    return make


@pytest.mark.parametrize(
    "make",
    [
        run_task,
        lambda: EcsCreateClusterOperator(task_id="t", cluster_name="c", aws_conn_id=None),
        lambda: EcsDeleteClusterOperator(task_id="t", cluster_name="c", aws_conn_id=None),
        lambda: EcsDeregisterTaskDefinitionOperator(task_id="t", task_definition="f:1", aws_conn_id=None),
        lambda: EcsRegisterTaskDefinitionOperator(
            task_id="t", family="f", container_definitions=[{"name": "main"}], aws_conn_id=None
        ),
        lambda: EcsClusterStateSensor(task_id="t", cluster_name="default", aws_conn_id=None),
    ],
)
def test_nothing_begins(aws: EmbeddedAws, worker: Any, mistake: Any, make: Any) -> None:
    mistake()
    operator = make()
    aws.control.calls(clear=True)
    with pytest.raises(errors.InvalidSetting) as caught:
        worker.execute(operator, worker.context(operator))
    assert str(caught.value).startswith(SAID)
    assert aws.control.calls() == []


def deferred(worker: Any) -> tuple[Any, Any]:
    """An operator, and the context of the try that has deferred."""
    operator = run_task(FOREVER)
    context = worker.context(operator)
    with pytest.raises(TaskDeferred):
        worker.execute(operator, context)
    return operator, context


def test_a_failed_deferral_stops_the_run_and_says_what_is_wrong(
    aws: EmbeddedAws, worker: Any, mistake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    launched, context = deferred(worker)
    mistake()
    with pytest.raises(TaskDeferralTimeout):
        worker.call(run_task().resume_execution, "__fail__", {"error": "Trigger timeout"}, context)
    assert described(aws, launched.arn)["desiredStatus"] == "STOPPED"
    said = [(one.levelname, one.getMessage()) for one in caplog.records if one.name == "asyncrun.clients.config"]
    assert [level for level, _ in said] == ["ERROR"]
    assert said[0][1].startswith(SAID)
    assert said[0][1].endswith("What already runs goes on with the default: 200")


def test_a_kill_in_the_worker_stops_the_run(aws: EmbeddedAws, worker: Any, mistake: Any) -> None:
    launched, _ = deferred(worker)
    mistake()
    worker.call(launched.on_kill)
    assert described(aws, launched.arn)["desiredStatus"] == "STOPPED"


def test_a_worker_that_waits_goes_on(aws: EmbeddedAws, worker: Any, mistake: Any) -> None:
    class Mistaking(Ti):
        def xcom_push(self, key: str, value: Any) -> None:
            mistake()

    operator = run_task("print('one')", deferrable=False)
    assert worker.execute(operator, worker.context(operator, ti=Mistaking("run"))) == "one"


def test_a_sensor_that_pokes_goes_on(
    aws: EmbeddedAws, worker: Any, mistake: Any, caplog: pytest.LogCaptureFixture
) -> None:
    """With ``mode="reschedule"`` each poke has a process of its own, so it reads the configuration anew."""
    mistake()
    sensor = EcsClusterStateSensor(
        task_id="t", cluster_name="default", aws_conn_id=None, deferrable=False, mode="reschedule"
    )
    assert worker.call(sensor.poke, worker.context(sensor))
    assert SAID in caplog.text
