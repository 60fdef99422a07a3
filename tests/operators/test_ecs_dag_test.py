"""A whole DAG through Airflow's own `dag.test()`: rendering, triggers, XComs, skipping and failing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncrun.local.airflow import database
from asyncrun.local.aws import EmbeddedAws

SUCCEEDING = (
    "run report ended afterwards cluster away group.parts group.mapped0 group.mapped1 group.gather "
    "several0 several1 indexes parsed rows"
)
STATES = dict.fromkeys(SUCCEEDING.split(), "success") | {
    "skips": "skipped",
    "fails": "failed",
    "within": "failed",
}


@pytest.mark.timeout(300)
def test_dag_test_runs_to_the_end(aws: EmbeddedAws, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD": "1",
        "AIRFLOW__ASYNCRUN__RESUME_HOLD": "0",
    }
    database.create(tmp_path / "airflow.db", environment)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.operators.dag_test_program"],
        env=environment,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    output = done.stdout + done.stderr
    states = json.loads(output.split("STATES ", 1)[1].splitlines()[0]) if "STATES " in output else output[-3000:]
    assert states == STATES, output
    for line in (
        'ARRIVED "templated last"',
        'GATHERED ["part 0", "part 1"]',
        'INDEXES ["as 0", "as 1"]',
        'ROWS {"rows": 5}',
    ):
        assert line in output, output
    assert "task state store could not" not in output
