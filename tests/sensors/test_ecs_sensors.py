"""The sensors, in DAG files and in a worker against an embedded AWS."""

from __future__ import annotations

from typing import Any

import airflow.providers.amazon.aws.sensors.ecs as upstream  # noqa: TID253 - no DAG file
import pytest
from airflow.sdk.exceptions import AirflowSensorTimeout, AirflowSkipException, TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import InvalidArgument
from asyncrun.operators.errors import NotFound, StateNotReached
from asyncrun.sensors.ecs import (
    EcsClusterStateSensor,
    EcsTaskDefinitionStates,
    EcsTaskDefinitionStateSensor,
    EcsTaskStates,
    EcsTaskStateSensor,
)
from tests.operators.support import FAMILY, boto


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
    assert caught.value.timeout.total_seconds() == 700
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


def test_a_cluster_in_the_worker_that_does_not_exist(aws: EmbeddedAws, worker: Any) -> None:
    sensor = cluster(cluster_name="nobody-made-this", deferrable=False)
    with pytest.raises((StateNotReached, NotFound), match="nobody-made-this"):
        worker.execute(sensor, worker.context(sensor))


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


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: cluster(target_state="RUNNING"), "target_state='RUNNING' cannot work: expected one of ACTIVE, PROV"),
        (lambda: task("t", failure_states={"GONE"}), "failure_states='GONE' cannot work: expected one of PROVISIONING"),
        (lambda: definition(target_state="STOPPED"), "target_state='STOPPED' cannot work: expected one of ACTIVE, INA"),
    ],
)
def test_unknown_states_are_refused_at_parse(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert str(caught.value).startswith(message)


def test_the_target_is_never_a_failure() -> None:
    assert task("t", target_state="STOPPED")._failing() == ()
    assert task("t", target_state=EcsTaskStates.STOPPED, failure_states={upstream.EcsTaskStates.NONE})._failing() == ()


def test_none_as_failing_state_does_not_fail_a_task_that_ecs_does_not_know_yet(aws: EmbeddedAws, worker: Any) -> None:
    sensor = task("0" * 32, target_state="STOPPED", failure_states={EcsTaskStates.NONE})
    with pytest.raises(TaskDeferred):
        worker.execute(sensor, worker.context(sensor))
