"""A whole DAG through Airflow's own `dag.test()`: rendering, triggers, XComs, skipping and failing."""

from __future__ import annotations

from pathlib import Path

import pytest

from asyncrun.local.aws import EmbeddedAws
from tests.operators.dag_testing import dag_test

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
    states, output = dag_test("dag_test_program", tmp_path, AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD="1")
    assert states == STATES, output
    for line in (
        'ARRIVED "templated last"',
        'GATHERED ["part 0", "part 1"]',
        'INDEXES ["as 0", "as 1"]',
        'ROWS {"rows": 5}',
    ):
        assert line in output, output
    assert "task state store could not" not in output
