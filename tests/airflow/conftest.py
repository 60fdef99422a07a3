"""One embedded AWS, one embedded Kubernetes and one real Airflow for all end-to-end tests of a session.

Tests share them, so they name their own DAG runs and log groups, and leave no component dead: a test that kills
components puts things right before it ends. What a module waits for is started at once, by a fixture of the module. DAG
files of the tests are in ``dags/``.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions

if TYPE_CHECKING:
    from asyncrun.local.aws import EmbeddedAws, Fault
    from asyncrun.local.kube import EmbeddedKube

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
    # Modules are shuffled; this one looks at what all of them have left.
    items.sort(key=lambda item: item.path == HERE / "test_pod_waste.py")


@pytest.fixture(scope="session")
def embedded_aws() -> Iterator[EmbeddedAws]:
    """ECS and CloudWatch with a cluster `default` and the example DAGs' task definition."""
    from asyncrun.local.aws import EmbeddedAws
    from asyncrun.local.demo.setup import AWS_OPTIONS, register_example_task_definition

    with EmbeddedAws(AWS_OPTIONS) as aws:
        register_example_task_definition(aws.client_options())
        yield aws


@pytest.fixture(scope="session")
def embedded_kube() -> Iterator[EmbeddedKube]:
    """A cluster whose pods are processes of this machine, reached by the connection `kubernetes_default`."""
    from asyncrun.local.kube import EmbeddedKube

    with EmbeddedKube() as kube:
        yield kube


@pytest.fixture(scope="session")
def written_dags(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of Airflow's where a test may write a DAG file, and removes it again."""
    return tmp_path_factory.mktemp("written_dags")


@pytest.fixture(scope="session")
def airflow(
    embedded_aws: EmbeddedAws, embedded_kube: EmbeddedKube, written_dags: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[LocalAirflow]:
    """A real Airflow with the example DAGs and those of ``tests/airflow/dags``."""
    from asyncrun.local.demo.run import AIRFLOW_SETTINGS
    from asyncrun.local.demo.setup import prepare_cluster

    cluster = prepare_cluster(embedded_kube, tmp_path_factory.mktemp("cluster") / "kubeconfig")
    environment = {**embedded_aws.env(), **cluster, **AIRFLOW_SETTINGS, **TEST_SETTINGS}
    options = LocalAirflowOptions((EXAMPLE_DAGS, HERE / "dags", written_dags), env=environment)
    with LocalAirflow(options) as airflow:
        yield airflow


@pytest.fixture(scope="module")
def another_aws(airflow: LocalAirflow) -> Iterator[Callable[..., EmbeddedAws]]:
    """``another_aws(conn_id, *faults)``: an AWS account behind an Airflow connection of its own, for runs that are to
    meet faults while others meet none."""
    from asyncrun.local.aws import EmbeddedAws
    from asyncrun.local.demo.setup import AWS_OPTIONS, register_example_task_definition

    with ExitStack() as stack:

        def open_account(conn_id: str, *faults: Fault) -> EmbeddedAws:
            aws = stack.enter_context(EmbeddedAws(replace(AWS_OPTIONS, faults=faults)))
            register_example_task_definition(aws.client_options())
            extra = {"endpoint_url": aws.endpoint_url, "region_name": aws.options.region}
            connection = {"conn_type": "aws", "login": "embedded", "password": "embedded", "extra": json.dumps(extra)}
            airflow.request("POST", "/connections", json={"connection_id": conn_id, **connection})
            stack.callback(airflow.request, "DELETE", f"/connections/{conn_id}")
            return aws

        yield open_account


@pytest.fixture(scope="module")
def another_kube(
    airflow: LocalAirflow, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., EmbeddedKube]]:
    """``another_kube(conn_id)``: a cluster behind an Airflow connection of its own, for runs that are to meet faults
    while others meet none."""
    from asyncrun.local.kube import EmbeddedKube
    from tests.airflow.pod_support import NAMESPACE, connect, disconnect

    with ExitStack() as stack:

        def open_cluster(conn_id: str) -> EmbeddedKube:
            kube = stack.enter_context(EmbeddedKube())
            path = tmp_path_factory.mktemp(conn_id) / "kubeconfig"
            connect(airflow, conn_id, kube.write_kubeconfig(path, namespace=NAMESPACE))
            stack.callback(disconnect, airflow, conn_id)
            return kube

        yield open_cluster


@pytest.fixture(scope="session")
def run_dag(airflow: LocalAirflow) -> Callable[..., str]:
    """``run_dag(dag_id, conf) -> run_id``: trigger the DAG as soon as Airflow knows it."""

    def run(dag_id: str, conf: dict[str, object] | None = None) -> str:
        airflow.dags_ready([dag_id])
        return airflow.trigger_dag(dag_id, conf)

    return run
