"""The sensors, waiting in the triggerer."""

from __future__ import annotations

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from asyncrun.local.demo.setup import example_task_definition
from tests.airflow.support import RunDag, Tasks, boto, said, worker_runs
from tests.support.lab import until

CLUSTER, FAMILY = "e2e-sensed", "e2e-sensed"
WAITING = ("cluster_is_gone", "definition_is_inactive", "task_is_stopped", "task_never_provisions_again")


def test_sensors_wait_deferred_until_the_state_comes(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    ecs = boto(embedded_aws, "ecs")
    ecs.create_cluster(clusterName=CLUSTER)
    definition = {**example_task_definition(embedded_aws.options.region), "family": FAMILY}
    revision = ecs.register_task_definition(**definition)["taskDefinition"]["taskDefinitionArn"]
    tasks = [run_endless(ecs) for _ in range(2)]
    conf = {"cluster": CLUSTER, "definition": revision, "task": tasks[0], "other_task": tasks[1]}
    run = Tasks(airflow, embedded_aws, "e2e_sensors", run_dag("e2e_sensors", conf))
    for task_id in WAITING:
        airflow.wait_for_log("e2e_sensors", run.run_id, task_id, ") starting")
    assert run.states() == dict.fromkeys(WAITING, "deferred")

    ecs.delete_cluster(cluster=CLUSTER)
    ecs.deregister_task_definition(taskDefinition=revision)
    for task in tasks:
        ecs.stop_task(cluster="default", task=task)
    airflow.wait_for("e2e_sensors", run.run_id, timeout=120)
    assert run.states() == {**dict.fromkeys(WAITING, "success"), "task_never_provisions_again": "failed"}
    text = said(run.logs("task_never_provisions_again"))
    assert "StateNotReached" in text
    assert "waited for PENDING" in text
    assert worker_runs(run.logs("task_is_stopped")) <= 2


def run_endless(ecs: object) -> str:
    """An ECS task that runs until it is stopped, seen to run."""
    answer = ecs.run_task(  # type: ignore[attr-defined]
        cluster="default",
        taskDefinition="asyncrun-example",
        launchType="FARGATE",
        networkConfiguration={"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}},
        overrides={"containerOverrides": [{"name": "main", "command": ["sleep", "600"]}]},
    )
    arn = str(answer["tasks"][0]["taskArn"])
    until(
        lambda: ecs.describe_tasks(cluster="default", tasks=[arn])["tasks"][0]["lastStatus"],  # type: ignore[attr-defined]
        lambda status: status == "RUNNING",
    )
    return arn
