"""Breaking and mending components, and what is left after the end. These tests start Airflows of their own."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from asyncrun.local.airflow import DagsBroken, LocalAirflow, LocalAirflowError, LocalAirflowOptions

HARNESS_DAGS = Path(__file__).parent / "dags"


@pytest.fixture(scope="module")
def more_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of DAG files for tests to fill."""
    return tmp_path_factory.mktemp("dags")


@pytest.fixture(scope="module")
def own_airflow(more_dags: Path) -> Iterator[LocalAirflow]:
    options = LocalAirflowOptions(
        (HARNESS_DAGS, more_dags),
        env={
            "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
            "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "3",
        },
    )
    with LocalAirflow(options) as airflow:
        yield airflow


def test_second_triggerer_takes_over_from_a_killed_one(own_airflow: LocalAirflow) -> None:
    own_airflow.dags_ready(["harness_wait"])
    run_id = own_airflow.trigger_dag("harness_wait", {"seconds": 20})
    own_airflow.wait_for_log("harness_wait", run_id, "wait", "trigger starting")
    first = own_airflow.task_instance("harness_wait", run_id, "wait").triggerer_id
    second = own_airflow.start_triggerer()
    own_airflow.kill("triggerer")
    assert own_airflow.component("triggerer").wait() == -signal.SIGKILL

    def moved() -> bool:
        return own_airflow.task_instance("harness_wait", run_id, "wait").triggerer_id not in {first, None}

    own_airflow.wait_until(moved, "the trigger on the second triggerer", 60)
    assert own_airflow.wait_for("harness_wait", run_id, timeout=60) == "success"
    assert second.name == "triggerer-2"
    assert own_airflow.triggerer_runner("triggerer-2").ppid() == second.pid


def test_unexpected_death_of_a_component_ends_waiting(own_airflow: LocalAirflow) -> None:
    os.kill(own_airflow.component("dag-processor").pid, signal.SIGKILL)
    own_airflow.component("dag-processor").wait()
    with pytest.raises(LocalAirflowError, match=r"dag-processor ended with exit code -9; its last lines:\n"):
        own_airflow.wait_until(lambda: None, "nothing", 10)
    own_airflow.restart("dag-processor")
    own_airflow.wait_ready(60)


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions\n"
        "with LocalAirflow(LocalAirflowOptions((Path(sys.argv[1]),))) as airflow:\n"
        "    print(airflow.home, *[process.pid for process in airflow.processes()], flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(HARNESS_DAGS)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        home, *pids = parent.stdout.readline().split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        assert len(processes) > 5
        parent.kill()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    _wait_until_gone(Path(home))


def _wait_until_gone(folder: Path) -> None:
    # Removing the folder is the watchdog's last act; it is not our child any more, so its end cannot be waited for.
    deadline = time.monotonic() + 10
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()


def test_dag_file_that_does_not_import_is_reported(own_airflow: LocalAirflow, more_dags: Path) -> None:
    broken = more_dags / "broken.py"
    broken.write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    with pytest.raises(DagsBroken, match=r"broken.py:\n(.|\n)*No module named 'no_such_module'"):
        own_airflow.dags_ready(["never_there"], timeout=60)
    broken.unlink()
