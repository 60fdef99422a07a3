"""kill -9 of a worker that answers for a run: with ``reattach`` the next try learns the end, and launches nothing."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from tests.airflow.support import RunDag, Since, Tasks, container_lines, said

# The hook stands for the machine on which the worker of the first try runs: it dies as the worker announces the run,
# after the launch and before the deferral. The operator knows nothing of it. The next try comes when the container has
# long ended.
DAGS = """
import os
import signal
from datetime import timedelta

from airflow.sdk import DAG

from asyncrun.operators.ecs import EcsRunTaskOperator


def die_when_announcing(context):
    ti = context["ti"]
    if ti.try_number == 1:
        vars(ti)["xcom_push"] = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)


def run(dag_id, program, **more):
    with DAG(dag_id, schedule=None):
        EcsRunTaskOperator(
            task_id="run",
            cluster="default",
            task_definition="asyncrun-example",
            launch_type="FARGATE",
            network_configuration={"awsvpcConfiguration": {"subnets": ["subnet-12345678"]}},
            overrides={"containerOverrides": [{"name": "main", "command": ["sh", "-c", program]}]},
            reattach=True,
            retries=1,
            retry_delay=timedelta(seconds=10),
            **more,
        )


run("written_reattach_ended", "echo line 1; echo line 2; echo survived", pre_execute=die_when_announcing)
run("written_reattach_failed", "echo line 1; sleep 8; echo broken; exit 3", deferrable=False)
"""


@pytest.fixture
def dags(airflow: LocalAirflow, written_dags: Path) -> None:
    (written_dags / "written_reattach.py").write_text(DAGS)


def test_the_next_try_takes_over_a_run_that_ended_while_nobody_waited(
    dags: None, airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    since = Since(embedded_aws)
    start: Callable[[str], Tasks] = lambda dag_id: Tasks(airflow, embedded_aws, dag_id, run_dag(dag_id))  # noqa: E731
    ended, failed = start("written_reattach_ended"), start("written_reattach_failed")

    # The second one's worker waits for the run: nobody else would ever learn its end.
    airflow.wait_for_log(failed.dag_id, failed.run_id, "run", "line 1", timeout=90)
    task_process(airflow, failed.ti("run").id).kill()

    for run, state in ((ended, "success"), (failed, "failed")):
        airflow.expect(run.dag_id, run.run_id, state, timeout=120)
        assert run.ti("run").try_number == 2
        assert "whose worker died before it learnt the end" in said(run.logs("run"))
    assert container_lines(ended.logs("run")) == ["line 1", "line 2", "survived"]
    assert ended.result("run") == "survived"
    assert container_lines(failed.logs("run")) == ["line 1", "broken"]
    assert "ContainerFailed: container 'main' exited with code 3" in said(failed.logs("run"))
    assert (since.calls("RunTask"), since.calls("StopTask")) == (2, 0)


def task_process(airflow: LocalAirflow, ti_id: str) -> psutil.Process:
    """The process that executes this try; its parent, the worker, is named after the try too."""
    named = [one for one in airflow.processes() if ti_id in one.cmdline()]
    [process] = [one for one in named if "LocalExecutor:" not in one.cmdline()]
    return process
