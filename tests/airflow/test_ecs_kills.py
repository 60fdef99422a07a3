"""What a user, a deadline or a dying process does to a run: the container is stopped exactly when it should be."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws, Fault
from tests.airflow.support import RunDag, Since, Tasks, container_lines, said, worker_runs

ENDLESS = "while true; do echo another line; sleep 1; done"
GONE_WITHIN = 15.0  # s: on_kill comes after 1-2 s, asking Airflow and stopping takes less

Launch = Callable[..., Tasks]


def until_told(folder: Path, last: str) -> str:
    """A program that writes a line and, once it is told, a last one."""
    return f"echo line 1; while [ ! -e {folder}/told ]; do sleep 0.2; done; {last}"


@pytest.fixture
def launch(airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag) -> Launch:
    def start(dag_id: str, program: str) -> Tasks:
        return Tasks(airflow, embedded_aws, dag_id, run_dag(dag_id, {"program": program}))

    return start


def test_killing_a_deferred_task_stops_its_container_once(
    launch: Launch, airflow: LocalAirflow, embedded_aws: EmbeddedAws, tmp_path: Path
) -> None:
    """Mark failed, mark success and clear, at the same time."""
    since = Since(embedded_aws)
    failed, success = launch("e2e_run", ENDLESS), launch("e2e_run", ENDLESS)
    cleared = launch("e2e_run", until_told(tmp_path, "echo all done"))
    for run in (failed, success, cleared):
        run.wait_for_lines("run")
    first = {run.run_id: run.arn("run") for run in (failed, success, cleared)}
    assert sorted(since.running(*first.values())) == sorted(first.values())

    airflow.set_task_state("e2e_run", failed.run_id, "run", "failed")
    airflow.set_task_state("e2e_run", success.run_id, "run", "success")
    assert airflow.clear("e2e_run", cleared.run_id, ["run"]) == 1
    airflow.wait_until(
        lambda: not since.running(*first.values()), "no container of these tasks", GONE_WITHIN, now=failed.states
    )
    stopped = failed.describe(*first.values())
    assert {task["stopCode"] for task in stopped} == {"UserInitiated"}
    assert all("marked or cleared by a user" in task["stoppedReason"] for task in stopped)
    assert failed.states() == {"run": "failed"}
    assert success.states() == {"run": "success"}
    assert "Stopping ECS task" in said(failed.logs("run"))

    # Each was stopped, by three calls: by one each.
    assert since.asked("StopTask") == 3

    # The cleared one has a new ECS task, which the end of the old one does not harm.
    (tmp_path / "told").touch()
    airflow.expect("e2e_run", cleared.run_id)
    assert cleared.arn("run") not in first.values()
    assert cleared.ti("run").try_number == 2
    assert container_lines(cleared.logs("run")) == ["line 1", "all done"]
    assert cleared.result("run") == "all done"
    assert (since.asked("RunTask"), since.asked("StopTask")) == (4, 3)


def test_worker_waits_without_deferral(launch: Launch, airflow: LocalAirflow, embedded_aws: EmbeddedAws) -> None:
    since = Since(embedded_aws)
    run = launch("e2e_in_worker", ENDLESS)
    for task_id, state in (("good", "success"), ("bad", "failed")):
        assert airflow.wait_for("e2e_in_worker", run.run_id, task_id) == state
    good = run.logs("good")
    assert worker_runs(good) == 1
    assert not any("trigger completed" in record.event for record in good)
    assert container_lines(good) == ["done"]
    assert run.result("good") == "done"
    bad = run.logs("bad")
    assert container_lines(bad) == ["broken"]
    assert "ContainerFailed: container 'main' exited with code 4" in said(bad)

    airflow.wait_for_log("e2e_in_worker", run.run_id, "long", "another line")
    assert run.ti("long").state == "running"
    arn = run.arn("long")
    assert since.running(arn) == [arn]
    airflow.set_task_state("e2e_in_worker", run.run_id, "long", "failed")
    airflow.wait_until(lambda: not since.running(arn), "the end of the container", 30, now=run.states)
    [task] = run.describe(arn)
    assert task["stopCode"] == "UserInitiated"
    assert "the Airflow task was killed" in task["stoppedReason"]


def test_lost_answer_to_the_launch_makes_no_second_ecs_task(
    launch: Launch, airflow: LocalAirflow, embedded_aws: EmbeddedAws
) -> None:
    since = Since(embedded_aws)
    embedded_aws.control.add_faults(Fault("RunTask", "drop_answer", count=2))
    run = launch("e2e_run", "echo launched once")
    airflow.expect("e2e_run", run.run_id)
    assert container_lines(run.logs("run")) == ["launched once"]
    asked = [call for call in embedded_aws.control.calls("RunTask") if call.time >= since.began]
    assert len(asked) >= 2
    assert created_since(run, since) == [run.arn("run")]


def test_worker_killed_right_after_the_launch_leaves_one_ecs_task_with_reattach(
    launch: Launch, airflow: LocalAirflow, embedded_aws: EmbeddedAws, tmp_path: Path
) -> None:
    """kill -9 while RunTask was carried out and its answer has not come."""
    since = Since(embedded_aws)
    embedded_aws.control.add_faults(Fault("RunTask", "drop_answer", count=4))
    try:
        run = launch("e2e_reattach", until_told(tmp_path, "echo survived"))
        airflow.wait_until(lambda: created_since(run, since), "the ECS task", 30, now=run.states)
        task_process(airflow, run.ti("run").id).kill()
    finally:
        embedded_aws.control.clear_faults()
    airflow.wait_for_log("e2e_reattach", run.run_id, "run", "Taking over ECS task")
    (tmp_path / "told").touch()
    airflow.expect("e2e_reattach", run.run_id)
    assert run.ti("run").try_number == 2
    assert container_lines(run.logs("run")) == ["line 1", "survived"]
    assert created_since(run, since) == [run.arn("run")]
    assert since.calls("StopTask") == 0


def created_since(run: Tasks, since: Since) -> list[str]:
    """ARNs of the ECS tasks that were created in the meantime, stopped ones included."""
    arns = [
        arn
        for status in ("RUNNING", "STOPPED")
        for arn in run.ecs.list_tasks(cluster="default", desiredStatus=status)["taskArns"]
    ]
    began = time.time() - (time.monotonic() - since.began)
    return [task["taskArn"] for task in described(run, arns) if task["createdAt"].timestamp() >= began]


def described(run: Tasks, arns: list[str]) -> list[dict[str, Any]]:
    return [task for first in range(0, len(arns), 100) for task in run.describe(*arns[first : first + 100])]


def task_process(airflow: LocalAirflow, ti_id: str) -> psutil.Process:
    """The process that executes this try; its parent, the worker, is named after the try too."""
    named = [one for one in airflow.processes() if ti_id in one.cmdline()]
    [process] = [one for one in named if "LocalExecutor:" not in one.cmdline()]
    return process
