"""The operators for clusters and task definitions, against an embedded AWS."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.model.ecs_watch import EcsClusterWatch
from asyncrun.model.errors import InvalidArgument
from asyncrun.operators import errors
from asyncrun.operators.ecs import (
    EcsCreateClusterOperator,
    EcsDeleteClusterOperator,
    EcsDeregisterTaskDefinitionOperator,
    EcsRegisterTaskDefinitionOperator,
)
from tests.operators.support import boto


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


def test_a_limit_that_means_none_is_none(worker: Any) -> None:
    operator = Waiting(task_id="c", cluster_name="x", waiter_max_attempts=sys.maxsize)
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(operator, worker.context(operator))
    assert EcsClusterWatch.from_dict(caught.value.trigger.watch).deadline is None
    assert caught.value.timeout is None


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


@pytest.mark.parametrize("kind", ["throttle", "reset"])
def test_calls_that_are_not_answered_at_once_are_repeated(
    aws: EmbeddedAws, worker: Any, kind: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """The SDK tries twice by itself."""
    operations = ("CreateCluster", "DeleteCluster", "RegisterTaskDefinition", "DeregisterTaskDefinition")
    aws.control.add_faults(*(Fault(one, kind, count=3) for one in operations))
    create = EcsCreateClusterOperator(task_id="c", cluster_name="patient", aws_conn_id=None)
    assert worker.execute(create, worker.context(create))["status"] == "ACTIVE"
    delete = EcsDeleteClusterOperator(task_id="d", cluster_name="patient", aws_conn_id=None)
    assert worker.execute(delete, worker.context(delete))["status"] == "INACTIVE"
    given = {"container_definitions": [{"name": "main", "image": "i", "memory": 64}], "aws_conn_id": None}
    register = EcsRegisterTaskDefinitionOperator(task_id="r", family="patient", **given)
    arn = worker.execute(register, worker.context(register))
    deregister = EcsDeregisterTaskDefinitionOperator(task_id="e", task_definition=arn, aws_conn_id=None)
    assert worker.execute(deregister, worker.context(deregister)) == arn
    assert "".join(capsys.readouterr()).count("It is tried again in ") >= 4


def test_a_deletion_whose_answer_was_lost_is_no_failure(aws: EmbeddedAws, worker: Any) -> None:
    """AWS refuses to delete what is deleted."""
    boto(aws).create_cluster(clusterName="answerless")
    gone = Fault("DeleteCluster", "error", code="ClusterNotFoundException", message="Cluster not found.")
    aws.control.add_faults(Fault("DeleteCluster", "drop_answer", count=2), gone)
    delete = EcsDeleteClusterOperator(task_id="d", cluster_name="answerless", aws_conn_id=None)
    assert worker.execute(delete, worker.context(delete))["status"] == "INACTIVE"


def test_the_last_look_after_a_wait_is_repeated_too(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("DescribeClusters", "throttle", count=5))
    operator = EcsCreateClusterOperator(task_id="c", cluster_name="default", aws_conn_id=None)
    details = worker.call(operator.execute_complete, {}, {"status": "success"}, cluster_arn="default")
    assert details["clusterName"] == "default"


def test_what_lasts_fails_within_seconds_and_does_not_promise_another_attempt(aws: EmbeddedAws, worker: Any) -> None:
    aws.control.add_faults(Fault("CreateCluster", "throttle", count=1000))
    create = EcsCreateClusterOperator(task_id="c", cluster_name="never", aws_conn_id=None)
    began = time.time()
    with pytest.raises(errors.Throttled) as caught:
        worker.execute(create, worker.context(create))
    assert 10 < time.time() - began < 40
    assert str(caught.value) == (
        "AWS throttles ECS CreateCluster in us-east-1 (ThrottlingException): too many calls in this account."
    )


@pytest.mark.parametrize("proxies", [{"https": "http://user:S3CR3T@proxy:3128"}, "http://user:S3CR3T@proxy:3128"])
def test_a_proxys_password_in_botocore_config_is_refused_and_not_shown(proxies: Any) -> None:
    with pytest.raises(InvalidArgument) as caught:
        EcsDeleteClusterOperator(task_id="c", cluster_name="a", botocore_config={"proxies": proxies})
    assert str(caught.value).startswith("botocore_config['proxies']")
    assert "S3CR3T" not in str(caught.value)
    if isinstance(proxies, dict):
        assert str(caught.value) == (
            "botocore_config['proxies']['https']=<str> cannot work: expected an address without user and password, "
            "since these would be stored with the deferred task: put them into the Airflow connection (extra, "
            "config_kwargs), or into HTTPS_PROXY in the environment of workers and triggerers"
        )
    EcsDeleteClusterOperator(
        task_id="c", cluster_name="a", botocore_config={"proxies": {"https": "http://proxy:3128"}, "user_agent": "x"}
    )
    with pytest.raises(InvalidArgument, match="botocore_config=<str> cannot work: expected a dict"):
        EcsDeleteClusterOperator(task_id="c", cluster_name="a", botocore_config="http://user:S3CR3T@proxy")  # type: ignore[arg-type]


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
            lambda: EcsRegisterTaskDefinitionOperator(task_id="c", family="", container_definitions=[]),
            "family='' cannot work: expected a name",
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
            "task_definition=None cannot work: expected family:revision or an ARN",
        ),
    ],
)
def test_refused_at_parse(make: Any, message: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        make()
    assert str(caught.value) == message
