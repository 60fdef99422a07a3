"""Each example DAG in a real Airflow against the embedded AWS: what a new user sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from datetime import datetime

from asyncrun.local.airflow import LocalAirflow, LogRecord

RunDag = Callable[..., str]


def container_lines(records: list[LogRecord], container: str) -> list[str]:
    """What the container wrote: its records carry its name as logger, and may hold several lines."""
    return [line for record in records if record.logger == container for line in record.event.split("\n")]


def timestamps(records: list[LogRecord], container: str) -> list[datetime]:
    return [record.timestamp for record in records if record.logger == container and record.timestamp]


def states(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    return {ti.label: ti.state for ti in airflow.task_instances(dag_id, run_id)}


def test_minimal(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_minimal")
    airflow.expect("ecs_minimal", run_id)
    assert container_lines(airflow.logs("ecs_minimal", run_id, "hello"), "main") == ["Hello from ECS"]
    assert airflow.xcom("ecs_minimal", run_id, "hello") == "Hello from ECS"


def test_lifecycle_streams_its_log_and_puts_everything_away(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_lifecycle")
    airflow.wait_for_log("ecs_lifecycle", run_id, "run", "step 3 of 10")
    assert airflow.task_instance("ecs_lifecycle", run_id, "run").state == "deferred", "the log was not live"
    airflow.expect("ecs_lifecycle", run_id, timeout=120)
    assert set(states(airflow, "ecs_lifecycle", run_id).values()) == {"success"}

    records = airflow.logs("ecs_lifecycle", run_id, "run")
    expected = [*(f"step {step} of 10" for step in range(1, 11)), "all steps done"]
    assert container_lines(records, "main") == expected
    # The container sleeps a second between its lines, and they carry the container's time, not that of their arrival.
    steps = timestamps(records, "main")[:10]
    gaps = [(after - before).total_seconds() for before, after in itertools.pairwise(steps)]
    assert all(0.9 < gap < 1.6 for gap in gaps), gaps
    assert airflow.xcom("ecs_lifecycle", run_id, "run") == "all steps done"


def test_failure_is_explained(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_failure")
    airflow.expect("ecs_failure", run_id, "failed")
    records = airflow.logs("ecs_failure", run_id, "broken")
    lines = container_lines(records, "main")
    assert lines[:2] == ["reading the order book", "Traceback (most recent call last):"]
    assert lines[-1] == "KeyError: 'orders'"
    said = "\n".join(record.event for record in records if record.logger != "main")
    assert "exited with code 3" in said


def test_fan_out_runs_twenty_containers_at_a_time(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_fan_out")
    airflow.expect("ecs_fan_out", run_id, timeout=120)
    tasks = airflow.task_instances("ecs_fan_out", run_id)
    assert len(tasks) == 20
    for ti in tasks:
        records = airflow.logs("ecs_fan_out", run_id, "part", map_index=ti.map_index)
        assert container_lines(records, "main") == [f"part {ti.map_index + 1} of 20"]


def test_sidecar_lines_are_told_apart(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_sidecar")
    airflow.expect("ecs_sidecar", run_id)
    records = airflow.logs("ecs_sidecar", run_id, "two_containers")
    assert container_lines(records, "main") == ["[main] main starts", "[main] main ends"]
    sidecar = container_lines(records, "proxy")
    assert sidecar[0] == "[proxy] proxy is ready"
    assert set(sidecar[1:]) == {"[proxy] proxy is alive"}
    assert len(sidecar) >= 3


def test_last_line_goes_downstream_as_xcom(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_xcom")
    airflow.expect("ecs_xcom", run_id)
    assert airflow.xcom("ecs_xcom", run_id, "count") == '{"rows": 1204, "table": "orders"}'
    assert airflow.xcom("ecs_xcom", run_id, "report") == "1204 rows in orders"


def test_exit_code_skips(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_skip")
    airflow.wait_for("ecs_skip", run_id)
    assert states(airflow, "ecs_skip", run_id) == {"look_for_work": "skipped", "process": "skipped"}
    assert container_lines(airflow.logs("ecs_skip", run_id, "look_for_work"), "main") == ["no new files"]


def test_failure_callback_gets_the_error(airflow: LocalAirflow, run_dag: RunDag) -> None:
    run_id = run_dag("ecs_on_failure_callback")
    airflow.expect("ecs_on_failure_callback", run_id, "failed")
    record = airflow.wait_for_log("ecs_on_failure_callback", run_id, "fails", "callback: ", timeout=10)
    assert "exited with code 1" in record.event
