"""An Airflow on a PostgreSQL of its own, as the benchmark in a real Airflow has it. It is an Airflow of the test's
own."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions, postgres

HARNESS_DAGS = Path(__file__).parent / "dags"


@pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))
def test_runs_a_deferrable_task_and_leaves_nothing() -> None:
    with LocalAirflow(LocalAirflowOptions((HARNESS_DAGS,), database="postgresql", parallelism=2)) as airflow:
        home, processes = airflow.home, airflow.processes()
        servers = [process for process in processes if process.name() == "postgres"]
        assert any("airflow postgres" in " ".join(server.cmdline()) for server in servers), "nobody is connected to it"
        assert [one for server in servers for one in server.net_connections(kind="inet")] == []

        airflow.dags_ready(["harness_wait"])
        run_id = airflow.trigger_dag("harness_wait", {"seconds": 8})
        airflow.expect("harness_wait", run_id)
        assert airflow.xcom("harness_wait", run_id, "wait") == {"answer": 42}
        assert airflow.problems() == []
        assert not (home / "airflow.db").exists()

    _, alive = psutil.wait_procs(processes, timeout=5)
    assert alive == []
    assert not home.exists()
