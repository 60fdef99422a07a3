"""A program with a DAG and Airflow's own `dag.test()`, run in a process of its own with an empty database."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from asyncrun.local.airflow import database


def dag_test(program: str, home: Path, **environment: str) -> tuple[dict[str, str] | str, str]:
    """
    Run a module of this folder that prints ``STATES`` and the tasks' states as JSON.

    :param home: an empty folder: Airflow's home.
    :param environment: more variables.
    :return: these states, or the end of the output where there are none; and the whole output.
    """
    variables = {
        **os.environ,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home}/airflow.db",
        "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__ASYNCRUN__RESUME_HOLD": "0",
        **environment,
    }
    database.create(home / "airflow.db", variables)
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-m", f"tests.operators.{program}"],
        env=variables,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    output = done.stdout + done.stderr
    if "STATES " not in output:
        return output[-3000:], output
    states: dict[str, str] = json.loads(output.split("STATES ", 1)[1].splitlines()[0])
    return states, output
