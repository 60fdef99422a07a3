"""After all other tests of this Airflow (see ``conftest.py``): no pod was left behind."""

from __future__ import annotations

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import GONE_WITHIN, Cluster, PodTasks, lines_of
from tests.airflow.support import RunDag


def test_no_pod_is_left_behind_but_what_was_to_be_kept(
    airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag
) -> None:
    cluster = Cluster(embedded_kube)
    last = PodTasks(airflow, cluster, "e2e_pod_run", run_dag("e2e_pod_run", {"program": "echo the last one"}))
    last.expect()
    assert lines_of(last.logs()) == ["the last one"]

    def left() -> list[str]:
        # e2e_pod_ends has a task with on_finish_action=keep_pod.
        labels = [(pod["metadata"]["labels"], pod["status"].get("phase")) for pod in cluster.pods().values()]
        kept = ("e2e_pod_ends", "kept")
        return [f"{one} {phase}" for one, phase in labels if (one.get("dag_id"), one.get("task_id")) != kept]

    airflow.wait_until(lambda: not left(), "no pod", GONE_WITHIN, now=left)
