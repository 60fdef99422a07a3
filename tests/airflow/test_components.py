"""Components that break: said at once, and mended. The tests leave the shared Airflow whole."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from asyncrun.local.airflow import DagsBroken, LocalAirflow, LocalAirflowError


def test_unexpected_death_of_a_component_ends_waiting(airflow: LocalAirflow) -> None:
    os.kill(airflow.component("dag-processor").pid, signal.SIGKILL)
    airflow.component("dag-processor").wait()
    with pytest.raises(LocalAirflowError, match=r"dag-processor ended with exit code -9; its last lines:\n"):
        airflow.wait_until(lambda: None, "nothing", 10)
    airflow.restart("dag-processor")
    airflow.wait_ready(60)


def test_dag_file_that_does_not_import_is_reported(airflow: LocalAirflow, written_dags: Path) -> None:
    broken = written_dags / "broken_import.py"
    broken.write_text("from airflow.sdk import DAG\nimport no_such_module\n")
    try:
        with pytest.raises(DagsBroken, match=r"broken_import.py:\n(.|\n)*No module named 'no_such_module'"):
            airflow.dags_ready(["never_there"], timeout=60)
    finally:
        broken.unlink()
    airflow.wait_until(lambda: not airflow.import_errors(), "no import error any more", 30)


def test_dag_runs_can_be_triggered_while_tasks_report(airflow: LocalAirflow) -> None:
    """SQLite has one write lock. The API server must not wait for it in its event loop while a request of its own holds
    it: with Airflow's own way of logging actions, one of six of these calls was not answered within 30 s."""
    airflow.dags_ready(["harness_wait"])
    runs = []
    for _ in range(20):
        runs.append(airflow.trigger_dag("harness_wait", {"seconds": 6}))
        time.sleep(0.2)  # so that runs go on starting during the calls for later ones
    for run_id in runs:
        assert airflow.wait_for("harness_wait", run_id, timeout=120) == "success"
