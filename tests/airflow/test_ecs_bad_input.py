"""What cannot work, in a real run: the task fails with a typed error that says who must act."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws, Fault
from asyncrun.local.demo.setup import example_task_definition
from tests.airflow.support import RunDag, Tasks, boto, said

BAD_INPUT = {
    "unknown_cluster": ("NotFound", ["ECS RunTask", "ClusterNotFoundException", "Cluster not found"]),
    "unknown_definition": ("RequestRefused", ["AWS refuses ECS RunTask", "TaskDefinition not found"]),
    "inactive_definition": ("RequestRefused", ["AWS refuses ECS RunTask", "TaskDefinition is inactive"]),
    "unknown_container": ("RequestRefused", ["container named nobody is not a container in the TaskDefinition"]),
    "no_log_group": ("NeverStarted", ["the log group is missing", "Next step: Create the log group"]),
    "no_network": (
        "InvalidArgument",
        ["network_configuration=None cannot work", "launch_type='FARGATE' needs subnets"],
    ),
    "empty_cluster": ("InvalidArgument", ["cluster='' cannot work: expected the name or ARN of a cluster"]),
}
"""Class and texts of the error, by task."""
ENDLESS = "echo the only line; sleep 600"
BROKEN_DAG = """
from airflow.sdk import DAG
from asyncrun.operators.ecs import EcsRunTaskOperator

with DAG("e2e_broken"):
    EcsRunTaskOperator(task_id="run", cluster="default", task_definition="any", overrides={}, launch_type="FARGATE")
"""


@pytest.fixture(scope="module")
def bad_input(airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag) -> Tasks:
    ecs = boto(embedded_aws, "ecs")
    definition = example_task_definition(embedded_aws.options.region)
    ecs.register_task_definition(**{**definition, "family": "e2e-inactive"})
    ecs.deregister_task_definition(taskDefinition="e2e-inactive:1")
    [container] = definition["containerDefinitions"]
    options = {**container["logConfiguration"]["options"], "awslogs-group": "/no/such/group"}
    logging = {"logDriver": "awslogs", "options": options}
    ecs.register_task_definition(
        **{
            **definition,
            "family": "e2e-no-log-group",
            "containerDefinitions": [{**container, "logConfiguration": logging}],
        }
    )
    run = Tasks(airflow, embedded_aws, "e2e_bad_input", run_dag("e2e_bad_input"))
    airflow.wait_for("e2e_bad_input", run.run_id)
    return run


def error_of(run: Tasks, task_id: str) -> tuple[str, str]:
    """Class and message of the exception in the task's log."""
    errors = [error for record in run.logs(task_id) for error in record.fields.get("error_detail") or []]
    assert errors, run.airflow.report(run.dag_id, run.run_id)
    return errors[0]["exc_type"], errors[0]["exc_value"]


@pytest.mark.parametrize("task_id", BAD_INPUT)
def test_bad_input_is_a_typed_error_that_names_it(bad_input: Tasks, task_id: str) -> None:
    assert bad_input.ti(task_id).state == "failed"
    kind, message = error_of(bad_input, task_id)
    expected, texts = BAD_INPUT[task_id]
    assert kind == expected
    assert [text for text in texts if text not in message] == [], message


def test_unknown_connection_falls_back_as_upstream_does_and_says_so(bad_input: Tasks) -> None:
    assert bad_input.ti("no_connection").state == "success"
    assert "Unable to find AWS Connection ID 'no_such_connection', switching to empty" in said(
        bad_input.logs("no_connection")
    )


def test_missing_network_is_seen_where_the_dag_is_parsed(airflow: LocalAirflow, written_dags: Path) -> None:
    file = written_dags / "broken.py"
    file.write_text(BROKEN_DAG)
    try:
        errors = airflow.wait_until(airflow.import_errors, "an import error", 30)
    finally:
        file.unlink()
    [trace] = errors.values()
    assert "InvalidArgument: network_configuration=None cannot work" in trace
    airflow.wait_until(lambda: not airflow.import_errors(), "no import error any more", 30)


@dataclass
class Troubled:
    """A DAG run in an AWS account of its own."""

    aws: EmbeddedAws
    run: Tasks

    @classmethod
    def start(cls, aws: EmbeddedAws, account: str, airflow: LocalAirflow, run_dag: RunDag) -> Self:
        dag_id = f"e2e_{account}"
        return cls(aws, Tasks(airflow, aws, dag_id, run_dag(dag_id, {"program": ENDLESS})))


@pytest.fixture(scope="module")
def troubled(
    airflow: LocalAirflow, bad_input: Tasks, another_aws: Callable[..., EmbeddedAws], run_dag: RunDag
) -> dict[str, Troubled]:
    """Runs whose launch is refused, and one that will meet faults later; started at once."""
    accounts = {
        "launch_denied": another_aws("launch_denied", Fault("RunTask", "access_denied")),
        "launch_expired": another_aws("launch_expired", Fault("RunTask", "expired_token")),
        "watching_refused": another_aws("watching_refused"),
    }
    return {account: Troubled.start(aws, account, airflow, run_dag) for account, aws in accounts.items()}


@pytest.mark.parametrize(
    ("account", "kind", "texts"),
    [
        ("launch_denied", "AccessDenied", ["Whoever manages IAM permissions must allow ecs:RunTask"]),
        ("launch_expired", "CredentialsExpired", ["ExpiredTokenException", "must renew them"]),
    ],
)
def test_refused_launch_says_who_must_act(
    airflow: LocalAirflow, troubled: dict[str, Troubled], account: str, kind: str, texts: list[str]
) -> None:
    run = troubled[account].run
    airflow.expect(run.dag_id, run.run_id, "failed")
    found, message = error_of(run, "run")
    assert found == kind
    assert [text for text in texts if text not in message] == [], message


def test_refused_watching_is_waited_for_and_then_fails_without_stopping_anything(
    airflow: LocalAirflow, troubled: dict[str, Troubled]
) -> None:
    """One run while DescribeTasks is denied for longer than access_grace; its credentials expire before that, too."""
    aws, run = troubled["watching_refused"].aws, troubled["watching_refused"].run
    run.wait_for_lines("run")
    arn = run.arn("run")
    aws.control.add_faults(Fault("DescribeTasks", "expired_token"))
    airflow.wait_for_log(run.dag_id, run.run_id, "run", "the watching goes on")
    aws.control.clear_faults()
    airflow.wait_for_log(run.dag_id, run.run_id, "run", "can be seen again")
    aws.control.add_faults(Fault("DescribeTasks", "access_denied"))
    airflow.expect(run.dag_id, run.run_id, "failed")
    kind, message = error_of(run, "run")
    assert kind == "Unwatchable"
    assert "must allow ecs:DescribeTasks" in message
    assert "may still be running" in message
    assert [process.task for process in aws.control.processes()] == [arn]
    assert aws.control.calls("StopTask") == []
