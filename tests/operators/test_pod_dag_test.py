"""A whole DAG of pods through Airflow's own `dag.test()`: rendering, mapping, triggers, XComs, skipping and failing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from asyncrun.local.airflow import database
from tests.operators.pod_support import pods
from tests.support.kube_lab import KubeLab

SUCCEEDING = "first report afterwards here parts mapped0 mapped1 gather several0 several1 indexes"
STATES = dict.fromkeys(SUCCEEDING.split(), "success") | {"skips": "skipped", "fails": "failed"}


@pytest.mark.timeout(300)
def test_dag_test_runs_to_the_end_and_leaves_no_pod(kube: KubeLab, tmp_path: Path) -> None:
    environment = {
        **os.environ,
        "AIRFLOW_HOME": str(tmp_path),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{tmp_path}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__ASYNCRUN__RESUME_HOLD": "0",
        "ASYNCRUN_TEST_KUBECONFIG": str(kube.config),
    }
    database.create(tmp_path / "airflow.db", environment)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", "tests.operators.pod_dag_test_program"],
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
        'ARRIVED "templated"',
        'GATHERED [{"part": 0}, {"part": 1}]',
        "INDEXES [0, 7]",
        "container 'base' exited with code 6",
        "broken",
    ):
        assert line in output, output
    kube.until(lambda: not pods(kube))
