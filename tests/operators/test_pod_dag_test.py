"""A whole DAG of pods through Airflow's own `dag.test()`: rendering, mapping, triggers, XComs, skipping and failing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.operators.dag_testing import dag_test
from tests.operators.pod_support import pods
from tests.support.kube_lab import KubeLab

SUCCEEDING = "first report afterwards here parts mapped0 mapped1 gather several0 several1 indexes"
STATES = dict.fromkeys(SUCCEEDING.split(), "success") | {"skips": "skipped", "fails": "failed"}


@pytest.mark.timeout(300)
def test_dag_test_runs_to_the_end_and_leaves_no_pod(kube: KubeLab, tmp_path: Path) -> None:
    states, output = dag_test("pod_dag_test_program", tmp_path, ASYNCRUN_TEST_KUBECONFIG=str(kube.config))
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
