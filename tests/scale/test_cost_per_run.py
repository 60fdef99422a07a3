"""What one more run costs the triggerer, counted from inside: tasks, timers, and work for the garbage collector."""

from __future__ import annotations

from typing import Any

import pytest

from benchmarks.profile import looked

RUNS = 60
_SHARED = 15  # tasks and timers that are there however many runs there are

pytestmark = [pytest.mark.scale, pytest.mark.timeout(300)]


def _looked(backend: str, what: str, lines: float = 1.0) -> dict[str, dict[str, Any]]:
    found = looked(backend=backend, runs=RUNS, lines=lines, what=what, stagger=3.0, steady=5.0)
    print(found)  # shown where a test fails
    return found


@pytest.mark.parametrize(
    ("backend", "lines", "tasks", "timers"),
    [
        pytest.param("ecs", 1.0, 1, 0, id="ecs"),
        pytest.param("ecs", 0.0, 1, 0, id="ecs-status-only"),
        pytest.param("pods", 1.0, 2, 2, id="pods"),  # one follows the log; its connection's silence, its last record
        pytest.param("pods", 0.0, 1, 0, id="pods-status-only"),
    ],
)
def test_tasks_and_timers_per_run(backend: str, lines: float, tasks: int, timers: int) -> None:
    steady = _looked(backend, "steps", lines)["phase-2-steady"]["loop"]
    assert sum(steady["tasks"].values()) <= tasks * RUNS + _SHARED
    assert steady["tasks"]["run_trigger"] >= RUNS
    assert steady["timers"] <= timers * RUNS + _SHARED


def test_a_pod_run_that_has_ended_leaves_next_to_nothing_to_the_garbage_collector() -> None:
    reports = _looked("pods", "garbage")
    for phase in ("phase-1-started", "phase-2-steady"):
        assert reports[phase]["garbage_per_run"] <= 2, "while runs go on"
    assert not [name for name, _ in reports["phase-3-ended"]["types"] if ".pods." in name]


def test_what_is_there_when_the_first_run_opens_is_left_out_of_full_collections() -> None:
    """Of Airflow's 200,000 objects the garbage collector looks at none again."""
    assert _looked("ecs", "steps")["phase-1-started"]["heap"] < 150_000
