"""The operators for clusters and task definitions, against an embedded AWS."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.local.aws import EmbeddedAws
from asyncrun.model.ecs_watch import EcsClusterWatch
from asyncrun.model.errors import InvalidArgument
from asyncrun.operators import errors
from asyncrun.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
)


def test_create_and_delete_return_the_cluster(aws: EmbeddedAws, worker: Any) -> None:
    create = EcsCreateClusterOperator(
        task_id="c",
        cluster_name="made-{{ n }}",
        create_cluster_kwargs={"tags": [{"key": "a", "value": "b"}]},
        aws_conn_id=None,
    )
    made = worker.execute(create, worker.context(create, n=1))
    assert (made["clusterName"], made["status"]) == ("made-1", "ACTIVE")
    delete = EcsDeleteClusterOperator(task_id="d", cluster_name="made-1", aws_conn_id=None)
    assert worker.execute(delete, worker.context(delete))["status"] == "INACTIVE"


class Waiting(EcsCreateClusterOperator):
    """As if CreateCluster had answered with a cluster that is not ready."""

    def execute(self, context: Any) -> Any:
        return self._wait_for(context, {"clusterArn": "default", "status": "PROVISIONING"})


def test_waits_in_the_triggerer_for_a_cluster_that_is_not_ready(aws: EmbeddedAws, worker: Any) -> None:
    operator = Waiting(task_id="c", cluster_name="x", aws_conn_id=None, waiter_delay=2, waiter_max_attempts=5)
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(operator, worker.context(operator))
    watch = EcsClusterWatch.from_dict(caught.value.trigger.watch)
    assert (watch.cluster, watch.desired, watch.failing) == ("default", ("ACTIVE",), ("FAILED", "INACTIVE"))
    assert watch.deadline == pytest.approx(watch.deferred_at + 10)
    assert caught.value.kwargs == {"cluster_arn": "default"}
    reached = {"status": "success", "state": "ACTIVE"}
    details = worker.call(operator.execute_complete, {}, reached, cluster_arn="default")
    assert details["clusterName"] == "default"
    with pytest.raises(errors.StateNotReached, match="it failed"):
        operator.execute_complete({}, {"status": "failed", "message": "it failed"}, cluster_arn="default")
    with pytest.raises(errors.StateNotReached, match="cluster x did not become ACTIVE: the trigger said None"):
        operator.execute_complete({}, None, cluster_arn="default")


def test_does_not_wait_when_told_so(worker: Any) -> None:
    operator = Waiting(task_id="c", cluster_name="x", wait_for_completion=False)
    assert worker.execute(operator, worker.context(operator))["status"] == "PROVISIONING"


def test_register_and_deregister_return_the_arn(aws: EmbeddedAws, worker: Any) -> None:
    register = EcsRegisterTaskDefinitionOperator(
        task_id="r",
        family="{{ family }}",
        container_definitions=[{"name": "main", "image": "i", "memory": 64}],
        register_task_kwargs={"networkMode": "bridge"},
        aws_conn_id=None,
    )
    context = worker.context(register, family="by-operator")
    arn = worker.execute(register, context)
    assert arn.endswith("task-definition/by-operator:1")
    assert context["ti"].xcoms["task_definition_arn"] == arn
    deregister = EcsDeregisterTaskDefinitionOperator(task_id="d", task_definition=arn, aws_conn_id=None)
    assert worker.execute(deregister, worker.context(deregister)) == arn


def test_secrets_in_container_definitions_are_not_logged(
    aws: EmbeddedAws, worker: Any, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    register = EcsRegisterTaskDefinitionOperator(
        task_id="r",
        family="quiet",
        container_definitions=[
            {"name": "main", "image": "i", "memory": 64, "environment": [{"name": "P", "value": "hunter2"}]}
        ],
        aws_conn_id=None,
    )
    worker.execute(register, worker.context(register))
    said = "".join(capsys.readouterr()) + caplog.text
    assert "Registering task definition quiet with containers main" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: EcsCreateClusterOperator(task_id="c", cluster_name=None),
            "cluster_name=None cannot work: expected the name of a cluster",
        ),
        (
            lambda: EcsDeleteClusterOperator(task_id="c", cluster_name="a", waiter_delay=0),
            "waiter_delay=0 cannot work: expected a number of seconds, more than 0",
        ),
        (
            lambda: EcsDeleteClusterOperator(task_id="c", cluster_name="a", waiter_max_attempts=0),
            "waiter_max_attempts=0 cannot work: expected a whole number, at least 1",
        ),
        (
            lambda: EcsRegisterTaskDefinitionOperator(task_id="c", family="f", container_definitions="x"),
            "container_definitions=<str> cannot work: expected a list of container definitions, each a dict with a "
            "'name'",
        ),
        (
            lambda: EcsDeregisterTaskDefinitionOperator(task_id="c", task_definition=None),
            "task_definition=<NoneType> cannot work: expected family:revision or an ARN",
        ),
    ],
)
def test_refused_at_parse(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert str(caught.value) == message
