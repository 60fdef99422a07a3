"""The sensors, in DAG files and in a worker against an embedded AWS."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import airflow.providers.amazon.aws.sensors.ecs as upstream  # noqa: TID253 - no DAG file
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, AirflowTaskTimeout, TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import InvalidArgument
from asyncrun.operators.errors import StateNotReached
from asyncrun.sensors.ecs import (
    EcsClusterStateSensor,
    EcsTaskDefinitionStates,
    EcsTaskDefinitionStateSensor,
    EcsTaskStates,
    EcsTaskStateSensor,
)
from tests.operators.support import FAMILY, boto
from tests.support.lab import until


def cluster(**arguments: Any) -> EcsClusterStateSensor:
    return EcsClusterStateSensor(**{"task_id": "s", "cluster_name": "default", "aws_conn_id": None, **arguments})


def definition(**arguments: Any) -> EcsTaskDefinitionStateSensor:
    given = {"task_id": "s", "task_definition": FAMILY, "aws_conn_id": None, **arguments}
    return EcsTaskDefinitionStateSensor(**given)


def task(arn: str, **arguments: Any) -> EcsTaskStateSensor:
    return EcsTaskStateSensor(**{"task_id": "s", "cluster": "default", "task": arn, "aws_conn_id": None, **arguments})


def launch(aws: EmbeddedAws, seconds: float) -> str:
    command = ["python", "-c", f"import time; time.sleep({seconds})"]
    arn: str = boto(aws).run_task(
        cluster="default",
        taskDefinition=FAMILY,
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        overrides={"containerOverrides": [{"name": "main", "command": command}]},
    )["tasks"][0]["taskArn"]
    return arn


def test_a_state_that_is_already_there_is_not_waited_for(aws: EmbeddedAws, worker: Any) -> None:
    for sensor in (cluster(), definition()):
        assert worker.execute(sensor, worker.context(sensor)) is None


def test_defers_for_what_is_not_there_yet(aws: EmbeddedAws, worker: Any) -> None:
    arn = launch(aws, 60)
    sensor = task(arn, target_state=upstream.EcsTaskStates.STOPPED, failure_states={EcsTaskStates.NONE}, timeout=100)
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(sensor, worker.context(sensor))
    path, arguments = caught.value.trigger.serialize()
    assert path.endswith(".EcsTaskStateTrigger")
    watch = EcsTaskStateWatch.from_dict(arguments["watch"])
    assert (watch.cluster, watch.task, watch.desired, watch.failing) == ("default", arn, ("STOPPED",), ())
    assert watch.deadline == pytest.approx(watch.deferred_at + 100, abs=15)
    assert caught.value.timeout.total_seconds() == pytest.approx(700, abs=15)
    boto(aws).stop_task(cluster="default", task=arn)


def test_defers_for_a_definition_that_is_still_active(aws: EmbeddedAws, worker: Any) -> None:
    """D20, and that ACTIVE does not fail a wait for INACTIVE."""
    sensor = definition(target_state="{{ state }}")
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(sensor, worker.context(sensor, state="INACTIVE"))
    watch = EcsTaskDefinitionWatch.from_dict(caught.value.trigger.watch)
    assert (watch.name, watch.desired, watch.failing) == (FAMILY, ("INACTIVE",), ("DELETE_IN_PROGRESS",))


def test_an_inactive_definition_fails_a_wait_for_active(aws: EmbeddedAws, worker: Any) -> None:
    """D20: upstream compares with a set inside a list, and waits for ever."""
    client = boto(aws)
    made = client.register_task_definition(
        family="gone", containerDefinitions=[{"name": "a", "image": "b", "memory": 64}]
    )
    arn = made["taskDefinition"]["taskDefinitionArn"]
    client.deregister_task_definition(taskDefinition=arn)
    sensor = definition(task_definition=arn)
    assert sensor.failure_states == {EcsTaskDefinitionStates.INACTIVE, EcsTaskDefinitionStates.DELETE_IN_PROGRESS}
    with pytest.raises(StateNotReached) as caught:
        worker.execute(sensor, worker.context(sensor))
    assert str(caught.value) == (
        f"task definition {arn} is INACTIVE: waited for ACTIVE, failing states are DELETE_IN_PROGRESS, INACTIVE"
    )
    skipping = definition(task_definition=arn, soft_fail=True)
    with pytest.raises(AirflowSkipException, match="is INACTIVE: waited for ACTIVE"):
        worker.execute(skipping, worker.context(skipping))


def test_an_error_of_aws_before_the_deferral_does_not_fail_the_sensor(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("DescribeClusters", "access_denied"))
    sensor = cluster()
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(sensor, worker.context(sensor))
    watch = EcsClusterWatch.from_dict(caught.value.trigger.watch)
    assert (watch.cluster, watch.failing) == ("default", ("FAILED", "INACTIVE"))


def test_pokes_in_the_worker_when_not_deferrable(aws: EmbeddedAws, worker: Any) -> None:
    arn = launch(aws, 60)
    sensor = task(arn, deferrable="False", poke_interval=0.2, timeout=30)
    assert worker.execute(sensor, worker.context(sensor)) is None
    assert len(aws.control.calls("DescribeTasks")) >= 1
    boto(aws).stop_task(cluster="default", task=arn)
    impatient = cluster(target_state="PROVISIONING", deferrable=False, timeout=0.1, poke_interval=0.1)
    with pytest.raises(AirflowSensorTimeout, match="Sensor has timed out"):
        worker.execute(impatient, worker.context(impatient))


@pytest.mark.parametrize(
    ("make", "state"),
    [(lambda **given: cluster(cluster_name="nobody-made-this", **given), "cluster nobody-made-this is INACTIVE"),
     (lambda **given: definition(task_definition="nobody", **given), "task definition nobody is MISSING"),
     (lambda **given: task("0" * 32, **given), f"ECS task {'0' * 32} in cluster default is MISSING")],
    ids=["cluster", "definition", "task"],
)  # fmt: skip
def test_what_does_not_exist_fails_in_the_worker_after_the_grace(
    aws: EmbeddedAws, worker: Any, monkeypatch: pytest.MonkeyPatch, make: Any, state: str
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "0.7")
    sensor = make(deferrable=False, poke_interval=0.3, timeout=30)
    began = time.time()
    with pytest.raises(StateNotReached, match=state) as caught:
        worker.execute(sensor, worker.context(sensor))
    assert "AWS does not know it: check the name, the region and the account" in str(caught.value)
    assert time.time() - began >= 0.7


def test_a_cluster_that_is_not_shown_yet_is_waited_for_in_the_worker_and_in_the_triggerer(
    aws: EmbeddedAws, worker: Any
) -> None:
    poking = cluster(cluster_name="young-one", deferrable=False, poke_interval=0.3, timeout=30)
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(worker.execute, poking, worker.context(poking))
        until(lambda: aws.control.calls("DescribeClusters"), bool)
        boto(aws).create_cluster(clusterName="young-one")
        assert waiting.result(20) is None
    boto(aws).delete_cluster(cluster="young-one")
    deferring = cluster(cluster_name="nobody-made-this")
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(deferring, worker.context(deferring))
    assert EcsClusterWatch.from_dict(caught.value.trigger.watch).failing == ("FAILED", "INACTIVE")


def test_what_is_unknown_is_inactive_at_once_for_whoever_waits_for_that(aws: EmbeddedAws, worker: Any) -> None:
    for deferrable in (True, False):
        sensor = cluster(cluster_name="nobody-made-this", target_state="INACTIVE", deferrable=deferrable)
        assert worker.execute(sensor, worker.context(sensor)) is None


def test_between_pokes_that_are_rescheduled_the_grace_counts_from_the_first(aws: EmbeddedAws, worker: Any) -> None:
    long_ago = datetime.now(UTC) - timedelta(minutes=5)
    for first, ends in ((None, False), (long_ago, True)):
        sensor = cluster(cluster_name="nobody-made-this", deferrable=False, mode="reschedule")
        context = {"ti": SimpleNamespace(get_first_reschedule_date=lambda _, first=first: first)}
        if ends:
            with pytest.raises(StateNotReached, match="is INACTIVE"):
                worker.call(sensor.poke, context)
        else:
            assert worker.call(sensor.poke, context) is False


@pytest.mark.parametrize("kind", ["throttle", "http_503", "reset"])
def test_a_poke_in_the_worker_survives_what_passes(aws: EmbeddedAws, worker: Any, kind: Any) -> None:
    aws.control.add_faults(Fault("DescribeClusters", kind, count=5))
    sensor = cluster(deferrable=False)
    assert worker.execute(sensor, worker.context(sensor)) is None


def test_a_first_look_does_not_hold_a_worker_while_aws_is_away(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("DescribeClusters", "throttle", count=50))
    sensor = cluster()
    began = time.time()
    with pytest.raises(TaskDeferred):
        worker.execute(sensor, worker.context(sensor))
    assert time.time() - began < 6


def test_a_subclass_with_its_own_poke_is_asked_in_the_worker(aws: EmbeddedAws, worker: Any) -> None:
    class Mine(EcsClusterStateSensor):
        def poke(self, context: Any) -> bool:
            context["asked"] = True
            return True

    sensor = Mine(task_id="s", cluster_name="c")
    context = worker.context(sensor)
    worker.execute(sensor, context)
    assert context["asked"]


EVENT = {"version": 1, "status": "success", "state": "ACTIVE", "message": ""}


def test_events(worker: Any) -> None:
    sensor = cluster(timeout=60)
    assert sensor.execute_complete({}, EVENT) is None
    failed = {**EVENT, "status": "failed", "state": "INACTIVE", "message": "it was deleted"}
    with pytest.raises(StateNotReached) as caught:
        sensor.execute_complete({}, failed)
    assert str(caught.value) == (
        "cluster default is INACTIVE: waited for ACTIVE, failing states are FAILED, INACTIVE\nit was deleted"
    )
    late = {**EVENT, "status": "timeout", "state": "PROVISIONING"}
    with pytest.raises(AirflowSensorTimeout) as timed_out:
        sensor.execute_complete({}, late)
    assert str(timed_out.value) == (
        "Timed out after 60 s. cluster default is PROVISIONING: waited for ACTIVE, failing states are FAILED, INACTIVE"
    )
    with pytest.raises(AirflowSkipException):
        cluster(soft_fail=True).resume_execution("execute_complete", {"event": late}, {})
    with pytest.raises(StateNotReached, match="cluster default is unknown"):
        sensor.execute_complete({}, None)


def test_execution_timeout_is_a_limit_too(worker: Any, aws: EmbeddedAws) -> None:
    """Airflow does not enforce it after a deferral. As in a worker it may be retried, a sensor's time-out may not."""
    sensor = cluster(target_state="PROVISIONING", timeout=60, execution_timeout=timedelta(seconds=30))
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(sensor, worker.context(sensor))
    watch = EcsClusterWatch.from_dict(caught.value.trigger.watch)
    assert watch.deadline == pytest.approx(watch.deferred_at + 30, abs=15)
    with pytest.raises(AirflowTaskTimeout, match=r"Timed out: execution_timeout=0:00:30\. cluster default is ACTIVE"):
        sensor.execute_complete({}, {**EVENT, "status": "timeout"})
    soft = cluster(timeout=60, execution_timeout=timedelta(seconds=30), soft_fail=True)
    with pytest.raises(AirflowSkipException, match="Timed out: execution_timeout=0:00:30"):
        soft.execute_complete({}, {**EVENT, "status": "timeout"})
    longer = cluster(timeout=60, execution_timeout=timedelta(seconds=90))
    with pytest.raises(AirflowSensorTimeout, match="Timed out after 60 s"):
        longer.execute_complete({}, {**EVENT, "status": "timeout"})


def test_a_time_out_that_means_none_is_none(worker: Any, aws: EmbeddedAws) -> None:
    sensor = cluster(target_state="PROVISIONING", timeout=timedelta(days=36500))
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(sensor, worker.context(sensor))
    assert EcsClusterWatch.from_dict(caught.value.trigger.watch).deadline is None
    assert caught.value.timeout is None


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cluster(target_state="RUNNING"), "target_state='RUNNING' cannot work: expected one of ACTIVE, PROV"),
        (lambda: task("t", failure_states={"GONE"}), "failure_states='GONE' cannot work: expected one of PROVISIONING"),
        (lambda: cluster(cluster_name=None), "cluster_name=None cannot work: expected the name or ARN of a cluster"),
        (lambda: task(""), "task='' cannot work: expected the id or ARN of an ECS task"),
        (lambda: task("t", deferrable="maybe"), "deferrable='maybe' cannot work: expected True or False"),
        (lambda: definition(target_state="STOPPED"), "target_state='STOPPED' cannot work: expected one of ACTIVE, INA"),
    ],
)
def test_what_cannot_work_is_refused_at_parse(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_the_target_is_never_a_failure() -> None:
    assert task("t", target_state="STOPPED")._failing() == ()
    assert task("t", target_state=EcsTaskStates.STOPPED, failure_states={upstream.EcsTaskStates.NONE})._failing() == ()


def test_who_waits_for_none_waits_until_ecs_does_not_know_the_task(aws: EmbeddedAws, worker: Any) -> None:
    for deferrable in (True, False):
        sensor = task("0" * 32, target_state=EcsTaskStates.NONE, deferrable=deferrable)
        assert worker.execute(sensor, worker.context(sensor)) is None


def test_none_as_failing_state_does_not_fail_a_task_that_ecs_does_not_know_yet(aws: EmbeddedAws, worker: Any) -> None:
    sensor = task("0" * 32, target_state="STOPPED", failure_states={EcsTaskStates.NONE})
    with pytest.raises(TaskDeferred):
        worker.execute(sensor, worker.context(sensor))
