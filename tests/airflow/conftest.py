"""One embedded AWS and one real Airflow for all end-to-end tests of a session.

Tests share them, so they name their own DAG runs and log groups, and leave no component dead: a test that kills
components starts
a `LocalAirflow` of its own, or puts things right before it ends. DAG files of the tests are in ``dags/``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions

if TYPE_CHECKING:
    from asyncrun.local.aws import EmbeddedAws

HERE = Path(__file__).parent
EXAMPLE_DAGS = HERE.parents[1] / "example_dags"

TEST_SETTINGS = {
    # A triggerer that says nothing for that long is believed to be dead, and another one takes its triggers.
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": "8",
    # Runs that AWS refuses to show fail after that long, not after five minutes.
    "AIRFLOW__ASYNCRUN__ACCESS_GRACE": "5",
}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.path.is_relative_to(HERE):
            item.add_marker(pytest.mark.airflow)
            item.add_marker(pytest.mark.timeout(240))


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[EmbeddedAws]:
    """ECS and CloudWatch with a cluster `default` and the example DAGs' task definition."""
    from asyncrun.local.aws import EmbeddedAws
    from asyncrun.local.demo.setup import AWS_OPTIONS, register_example_task_definition

    with EmbeddedAws(AWS_OPTIONS) as aws:
        register_example_task_definition(aws.client_options())
        yield aws


@pytest.fixture(scope="session")
def written_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Airflow's where a test may write a DAG file, and removes it again."""
    return tmp_path_factory.mktemp("written_dags")


@pytest.fixture(scope="session")
def airflow(embedded_aws: EmbeddedAws, written_dags: Path) -> Iterator[LocalAirflow]:
    """A real Airflow with the example DAGs and those of ``tests/airflow/dags``."""
    from asyncrun.local.demo.run import AIRFLOW_SETTINGS

    environment = {**embedded_aws.env(), **AIRFLOW_SETTINGS, **TEST_SETTINGS}
    options = LocalAirflowOptions((EXAMPLE_DAGS, HERE / "dags", written_dags), env=environment)
    with LocalAirflow(options) as airflow:
        yield airflow


@pytest.fixture(scope="session")
def run_dag(airflow: LocalAirflow) -> Callable[..., str]:
    """``run_dag(dag_id, conf) -> run_id``: trigger the DAG as soon as Airflow knows it."""

    def run(dag_id: str, conf: dict[str, object] | None = None) -> str:
        airflow.dags_ready([dag_id])
        return airflow.trigger_dag(dag_id, conf)

    return run
