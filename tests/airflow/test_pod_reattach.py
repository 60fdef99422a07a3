"""kill -9 of a worker that answers for a pod: the next try takes the pod over, and creates none."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import Cluster, PodTasks, error_of, lines_of, task_process, told
from tests.airflow.support import RunDag

# The hook stands for the machine on which the worker of the first try runs: it dies as the worker announces the pod,
# after its creation and before the deferral. The operator knows nothing of it.
DAGS = """
import os
import signal
from datetime import timedelta

from airflow.sdk import DAG

from asyncrun.operators.pod import KubernetesPodOperator


def die_when_announcing(context):
    ti = context["ti"]
    if ti.try_number == 1:
        vars(ti)["xcom_push"] = lambda *_, **__: os.kill(os.getpid(), signal.SIGKILL)


def run(name, program, **more):
    with DAG(f"written_pod_{name}", schedule=None):
        KubernetesPodOperator(
            task_id="run",
            image="busybox:1.36",
            cmds=["sh", "-c", program],
            retries=1,
            retry_delay=timedelta(seconds=2),
            **more,
        )


run("running", "echo line 1; while [ ! -e FOLDER/told ]; do sleep 0.2; done; echo survived; ",
    pre_execute=die_when_announcing)
run("ended", "echo line 1; echo line 2; echo survived; echo 5 > /airflow/xcom/return.json", do_xcom_push=True,
    pre_execute=die_when_announcing)
run("failed", "echo line 1; echo broken; exit 3", pre_execute=die_when_announcing)
run("waiting", "echo line 1; while [ ! -e FOLDER/told ]; do sleep 0.2; done; echo survived; exit 4", deferrable=False)
run("forgotten", "echo this is try $TRY", env_vars={"TRY": "{{ ti.try_number }}"}, durable=False,
    pre_execute=die_when_announcing)
"""


@pytest.fixture
def folder(airflow: LocalAirflow, written_dags: Path, tmp_path: Path) -> Path:
    """Where a pod looks for the word to end."""
    (written_dags / "written_pods.py").write_text(DAGS.replace("FOLDER", str(tmp_path)))
    return tmp_path


def test_the_next_try_takes_over_the_pod_of_a_worker_that_died(
    folder: Path, airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag
) -> None:
    """It runs still, or has succeeded or failed meanwhile; deferred, or waited for in the worker."""
    cluster = Cluster(embedded_kube)

    def start(name: str) -> PodTasks:
        return PodTasks(airflow, cluster, f"written_pod_{name}", run_dag(f"written_pod_{name}"))

    running, ended, failed, waiting, forgotten = map(start, ("running", "ended", "failed", "waiting", "forgotten"))
    airflow.wait_for_log(waiting.dag_id, waiting.run_id, "run", "line 1", timeout=90)
    first = waiting.uid()
    task_process(airflow, waiting.ti().id).kill()
    for run in (running, waiting):
        airflow.wait_for_log(run.dag_id, run.run_id, "run", "Taking over pod airflow/run-", timeout=120)
        airflow.wait_for_log(run.dag_id, run.run_id, "run", "which still runs", timeout=10)
    (folder / "told").touch()

    good, bad = (running, ended, forgotten), (failed, waiting)
    for run, state in (*((run, "success") for run in good), *((run, "failed") for run in bad)):
        airflow.expect(run.dag_id, run.run_id, state, timeout=120)
        assert run.ti().try_number == 2
    for run in (running, ended, failed, waiting):
        assert "Created pod" not in told(run.logs())
    assert lines_of(running.logs()) == ["line 1", "survived"]
    assert lines_of(ended.logs()) == ["line 1", "line 2", "survived"]
    assert ended.result() == 5
    assert lines_of(failed.logs()) == ["line 1", "broken"]
    assert error_of(failed.logs())[0] == "ContainerFailed"
    assert lines_of(waiting.logs()) == ["line 1", "survived"]
    assert "container 'base' exited with code 4" in error_of(waiting.logs())[1]
    assert waiting.uid() == first
    for run in (ended, failed):
        assert "whose worker died before it learnt the end" in told(run.logs())
    assert lines_of(forgotten.logs()) == ["this is try 2"]
    # One each, and a second one of the task that is not durable: its first one is nobody's.
    assert cluster.created() == 6
    [left] = [
        pod
        for pod in cluster.pods().values()
        if pod["metadata"]["labels"]["dag_id"] == forgotten.dag_id and pod["metadata"]["labels"]["try_number"] == "1"
    ]
    cluster.delete(left["metadata"]["name"])
