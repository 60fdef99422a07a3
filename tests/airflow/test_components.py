"""Components that break: said at once, and mended. The tests leave the shared Airflow whole."""

from __future__ import annotations

import os
import signal
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
