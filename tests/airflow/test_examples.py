"""Each example DAG in a real Airflow against the embedded AWS: what a new user sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from asyncrun.local.airflow import LocalAirflow
from tests.airflow.support import RunDag, container_lines, states, timestamps

EXAMPLES = ("minimal", "lifecycle", "failure", "fan_out", "sidecar", "xcom", "skip", "on_failure_callback")

Ended = Callable[..., str]


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, run_dag: RunDag) -> dict[str, str]:
    """All examples, started at once: run ids by DAG id."""
    return {f"ecs_{name}": run_dag(f"ecs_{name}") for name in EXAMPLES}


@pytest.fixture
def ended(airflow: LocalAirflow, started: dict[str, str]) -> Ended:
    """``ended(dag_id, state) -> run_id``, once it is over."""

    def wait(dag_id: str, state: str = "success") -> str:
        airflow.expect(dag_id, started[dag_id], state, timeout=150)
        return started[dag_id]

    return wait


def test_minimal(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_minimal")
    assert container_lines(airflow.logs("ecs_minimal", run_id, "hello"), "main") == ["Hello from ECS"]
    assert airflow.xcom("ecs_minimal", run_id, "hello") == "Hello from ECS"


def test_lifecycle_shows_its_log_and_puts_everything_away(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_lifecycle")
    assert set(states(airflow, "ecs_lifecycle", run_id).values()) == {"success"}

    records = airflow.logs("ecs_lifecycle", run_id, "run")
    expected = [*(f"step {step} of 10" for step in range(1, 11)), "all steps done"]
    assert container_lines(records, "main") == expected
    # The container sleeps a second between its lines, and they carry the container's time, not that of their arrival.
    steps = timestamps(records, "main")[:10]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(steps)]
    assert all(0.9 < gap < 1.6 for gap in gaps), gaps
    assert airflow.xcom("ecs_lifecycle", run_id, "run") == "all steps done"


def test_failure_is_explained(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_failure", "failed")
    records = airflow.logs("ecs_failure", run_id, "broken")
    lines = container_lines(records, "main")
    assert lines[:2] == ["reading the order book", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'orders'"
    said = "\n".join(record.event for record in records if record.logger != "main")
    assert "exited with code 3" in said


def test_fan_out_runs_twenty_containers_at_a_time(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_fan_out")
    tasks = airflow.task_instances("ecs_fan_out", run_id)
    assert len(tasks) == 20
    for ti in tasks:
        records = airflow.logs("ecs_fan_out", run_id, "part", map_index=ti.map_index)
        assert container_lines(records, "main") == [f"part {ti.map_index + 1} of 20"]


def test_sidecar_lines_are_told_apart(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_sidecar")
    records = airflow.logs("ecs_sidecar", run_id, "two_containers")
    assert container_lines(records, "main") == ["[main] main starts", "[main] main ends"]
    sidecar = container_lines(records, "proxy")
    assert sidecar[0] == "[proxy] proxy is ready"
    assert set(sidecar[1:]) == {"[proxy] proxy is alive"}
    assert len(sidecar) >= 3


def test_last_line_goes_downstream_as_xcom(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_xcom")
    assert airflow.xcom("ecs_xcom", run_id, "count") == '{"rows": 1204, "table": "orders"}'
    assert airflow.xcom("ecs_xcom", run_id, "report") == "1204 rows in orders"


def test_exit_code_skips(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_skip")
    assert states(airflow, "ecs_skip", run_id) == {"look_for_work": "skipped", "process": "skipped"}
    assert container_lines(airflow.logs("ecs_skip", run_id, "look_for_work"), "main") == ["no new files"]


def test_failure_callback_gets_the_error(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("ecs_on_failure_callback", "failed")
    record = airflow.wait_for_log("ecs_on_failure_callback", run_id, "fails", "callback: ", timeout=10)
    assert "exited with code 1" in record.event
