"""Each example DAG in a real Airflow against the embedded AWS and Kubernetes: what a new user sees."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.demo.expectations import EXPECTATIONS, unmet
from tests.airflow.pod_support import error_of, lines_of
from tests.airflow.support import RunDag, container_lines, states, timestamps

EXAMPLES = ("minimal", "lifecycle", "failure", "fan_out", "sidecar", "xcom", "skip", "on_failure_callback")
POD_EXAMPLES = {expected.dag_id: expected for expected in EXPECTATIONS if expected.dag_id.startswith("pod_")}

Ended = Callable[..., str]


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, run_dag: RunDag) -> dict[str, str]:
    """All examples, started at once: run ids by DAG id."""
    return {dag_id: run_dag(dag_id) for dag_id in (*(f"ecs_{name}" for name in EXAMPLES), *POD_EXAMPLES)}


@pytest.fixture
def ended(airflow: LocalAirflow, started: dict[str, str]) -> Ended:
    """``ended(dag_id, state) -> run_id``, once it is over."""

    def wait(dag_id: str, state: str = "success") -> str:
        airflow.expect(dag_id, started[dag_id], state, timeout=200)
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


@pytest.mark.parametrize("dag_id", POD_EXAMPLES)
def test_pod_example_does_what_the_demo_expects(airflow: LocalAirflow, ended: Ended, dag_id: str) -> None:
    expected = POD_EXAMPLES[dag_id]
    run_id = ended(dag_id, expected.state)
    tasks = airflow.task_instances(dag_id, run_id)
    logs = {ti.label: airflow.logs(dag_id, run_id, ti.task_id, ti.try_number, ti.map_index) for ti in tasks}
    assert unmet(expected, expected.state, tasks, logs) == []


def test_every_example_is_expected_of_the_demo(airflow: LocalAirflow, started: dict[str, str]) -> None:
    examples = {dag_id for dag_id in airflow.dags() if dag_id.startswith(("ecs_", "pod_"))}
    assert examples == set(started) == {expected.dag_id for expected in EXPECTATIONS}


POD_FAILURES = {
    "exit_code": ("ContainerFailed", ["container 'base' exited with code 3", "KeyError: 'orders'"]),
    "out_of_memory": ("ContainerFailed", ["container 'base' ran out of memory (limit 32Mi) and was killed"]),
    "no_image": (
        "NeverStarted",
        ["image 'registry.invalid/no/such:image' of container 'base' cannot be pulled", "startup_timeout_seconds=5"],
    ),
    "no_secret": ("NeverStarted", ["Secret 'no-such-secret' does not exist in namespace 'airflow'"]),
    "no_room": ("NeverStarted", ["no node can take the pod", "Insufficient memory", "schedule_timeout_seconds=5"]),
}
"""Class and texts of the error, by task."""


@pytest.mark.parametrize("task_id", POD_FAILURES)
def test_failed_pod_is_explained_with_what_to_do_next(airflow: LocalAirflow, ended: Ended, task_id: str) -> None:
    run_id = ended("pod_failures", "failed")
    kind, message = error_of(airflow.logs("pod_failures", run_id, task_id))
    expected, texts = POD_FAILURES[task_id]
    assert kind == expected, airflow.report("pod_failures", run_id)
    assert [text for text in [*texts, "Next step: "] if text not in message] == [], message


def test_sidecar_lines_are_told_apart_from_those_of_the_base_container(airflow: LocalAirflow, ended: Ended) -> None:
    run_id = ended("pod_sidecar_xcom")
    records = airflow.logs("pod_sidecar_xcom", run_id, "count")
    assert lines_of(records, "base") == ["counting", "counted"]
    assert lines_of(records, "proxy") == ["proxy is alive", "proxy ends"]
    assert airflow.xcom("pod_sidecar_xcom", run_id, "count") == {"rows": 1204}
