"""Launches that fail or are interrupted: what they placed does not stay behind, and what was there before does."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferred

from asyncrun.clients import aws as clients_aws
from asyncrun.clients.config import load_settings
from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.operators import ecs_launching, errors
from tests.operators.support import (
    FOREVER,
    Store,
    Ti,
    Unwritable,
    boto,
    described,
    join_stops,
    run_task,
    time_out_after_closing,
)  # fmt: skip
from tests.support.lab import until


def running(aws: EmbeddedAws, owner: str) -> list[str]:
    return list(boto(aws).list_tasks(cluster="default", startedBy=owner, desiredStatus="RUNNING")["taskArns"])


def test_what_an_unanswered_launch_placed_is_stopped_when_the_launch_fails(aws: EmbeddedAws, worker: Any) -> None:
    # The SDK makes two attempts of each call.
    aws.control.add_faults(Fault("RunTask", "drop_answer", count=2), Fault("RunTask", "access_denied", count=1))
    operator = run_task(FOREVER, owner="unanswered")
    with pytest.raises(errors.AccessDenied):
        worker.execute(operator, worker.context(operator))
    assert running(aws, "unanswered") == []
    assert len(aws.control.calls("StopTask")) == 1


def test_a_launch_that_was_refused_places_nothing_when_it_is_over(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("RunTask", "throttle", count=2), Fault("RunTask", "access_denied", count=1))
    operator = run_task(FOREVER, owner="refused")
    with pytest.raises(errors.AccessDenied):
        worker.execute(operator, worker.context(operator))
    assert len(aws.control.calls("RunTask")) == 3
    assert aws.control.calls("StopTask") == []


@pytest.mark.parametrize("setting", ["2OO", "200"])
def test_a_time_out_between_the_answer_and_the_operator_stops_the_task(
    aws: EmbeddedAws, worker: Any, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Also where the configuration cannot be read any more."""
    time_out_after_closing(monkeypatch, clients_aws, "close_all", setting)
    operator = run_task(FOREVER, owner="late")
    with pytest.raises(AirflowTaskTimeout):
        worker.execute(operator, worker.context(operator))
    assert running(aws, "late") == []
    assert len(aws.control.calls("RunTask")) == 1
    assert len(aws.control.calls("StopTask")) == 1


def test_a_run_that_cannot_be_stopped_after_all_is_named(
    aws: EmbeddedAws, worker: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any
) -> None:
    close = clients_aws.close_all

    async def close_and_fail() -> None:
        await close()
        monkeypatch.setattr(clients_aws, "close_all", close)
        raise AirflowTaskTimeout

    monkeypatch.setattr(clients_aws, "close_all", close_and_fail)
    aws.control.add_faults(Fault("StopTask", "access_denied", count=1))
    operator = run_task(FOREVER, owner="named")
    with pytest.raises(AirflowTaskTimeout):
        worker.execute(operator, worker.context(operator))
    (arn,) = running(aws, "named")
    log = "".join(capsys.readouterr()) + caplog.text
    assert f"ECS task {arn} was launched in cluster default, and could not be stopped" in log
    boto(aws).stop_task(cluster="default", task=arn)


def test_what_an_unanswered_launch_placed_is_named_where_it_cannot_be_stopped(
    aws: EmbeddedAws, worker: Any, capsys: Any, caplog: Any
) -> None:
    aws.control.add_faults(
        Fault("RunTask", "drop_answer", count=2), Fault("RunTask", "access_denied", count=1),
        Fault("StopTask", "access_denied", count=1),
    )  # fmt: skip
    operator = run_task(FOREVER, owner="named-too")
    with pytest.raises(errors.AccessDenied):
        worker.execute(operator, worker.context(operator))
    (arn,) = running(aws, "named-too")
    log = "".join(capsys.readouterr()) + caplog.text
    assert f"ECS task {arn} was launched in cluster default, and could not be stopped" in log
    boto(aws).stop_task(cluster="default", task=arn)


def test_a_failing_try_leaves_the_run_of_an_earlier_try_alone(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(FOREVER, reattach=True, stop_task_on_failure=True)
    store = Store()

    def attempt(number: int, kind: type[Ti]) -> None:
        ti = kind("run", run_id="left-alone", try_number=number)
        worker.execute(operator, worker.context(operator, ti=ti, task_state_store=store))

    with pytest.raises(TaskDeferred):
        attempt(1, Ti)
    arn = operator.arn
    with pytest.raises(RuntimeError, match="the API server is away"):
        attempt(2, Unwritable)
    assert operator.arn == arn
    assert aws.control.calls("StopTask") == []
    assert described(aws, arn)["desiredStatus"] == "RUNNING"
    operator.on_kill()


def test_a_kill_before_the_launch_launches_nothing(aws: EmbeddedAws, worker: Any) -> None:
    operator = run_task(FOREVER)
    operator.on_kill()
    with pytest.raises(errors.KilledWhileLaunching, match="killed while its ECS task was being launched"):
        worker.execute(operator, worker.context(operator))
    assert aws.control.calls("RunTask") == aws.control.calls("StopTask") == []


def test_a_kill_while_the_launch_is_throttled_launches_nothing(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("RunTask", "throttle", count=2))  # both attempts of the SDK
    operator = run_task(FOREVER, owner="throttled")
    with ThreadPoolExecutor(1) as pool:
        executing = pool.submit(worker.execute, operator, worker.context(operator))
        until(lambda: len(aws.control.calls("RunTask")), lambda calls: calls >= 2)
        operator.on_kill()
        with pytest.raises(errors.KilledWhileLaunching):
            executing.result(60)
    assert aws.control.calls("StopTask") == []
    assert running(aws, "throttled") == []


def test_a_kill_while_run_task_is_under_way_stops_the_task(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("RunTask", "delay", delay=1))
    operator = run_task(FOREVER, owner="under-way")
    with ThreadPoolExecutor(1) as pool:
        executing = pool.submit(worker.execute, operator, worker.context(operator))
        until(lambda: aws.control.calls("RunTask"), bool)
        operator.on_kill()
        with pytest.raises(errors.KilledWhileLaunching):
            executing.result(60)
    assert len(aws.control.calls("StopTask")) == 1
    assert running(aws, "under-way") == []


def test_a_stop_of_a_task_that_ecs_has_forgotten_is_confirmed_though_the_grace_is_longer_than_a_kill_may_take(
    aws: EmbeddedAws, worker: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "4")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "6")
    load_settings.cache_clear()
    operator = run_task()
    operator.arn = f"arn:aws:ecs:{aws.options.region}:123456789012:task/default/{'0' * 32}"
    began = time.monotonic()
    assert worker.call(ecs_launching.stop, operator.target, operator._ref, "test", operator.log)
    assert time.monotonic() - began >= 6


def test_a_stop_that_aws_does_not_answer_takes_as_long_as_a_kill_may(
    aws: EmbeddedAws, worker: Any, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "0")
    load_settings.cache_clear()
    aws.control.add_faults(Fault("StopTask", "delay", delay=5))
    operator = run_task()
    operator.arn = f"arn:aws:ecs:{aws.options.region}:123456789012:task/default/{'0' * 32}"
    began = time.monotonic()
    assert not worker.call(ecs_launching.stop, operator.target, operator._ref, "test", operator.log)
    assert time.monotonic() - began < 4
    join_stops()
    log = "".join(capsys.readouterr()) + caplog.text
    assert f"AWS has not confirmed in time that ECS task {operator.arn} is being stopped" in log
