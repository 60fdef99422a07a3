"""What a user does to a pod's task: the pod is deleted exactly when it should be."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import GONE_WITHIN, Cluster, PodTasks, lines_of, told
from tests.airflow.support import RunDag

ENDLESS = "while true; do echo another line; sleep 1; done"

Launch = Callable[..., PodTasks]


@pytest.fixture
def launch(airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag) -> Launch:
    cluster = Cluster(embedded_kube)

    def start(dag_id: str, program: str) -> PodTasks:
        return PodTasks(airflow, cluster, dag_id, run_dag(dag_id, {"program": program}))

    return start


def test_killing_a_task_deletes_its_pod_once_unless_it_is_to_be_kept(
    launch: Launch, airflow: LocalAirflow, tmp_path: Path
) -> None:
    """Mark failed, mark success and clear, at the same time; deferred, and one that waits in the worker."""
    until_told = f"echo another line; while [ ! -e {tmp_path}/told ]; do sleep 0.2; done; echo all done"
    failed, success = launch("e2e_pod_run", ENDLESS), launch("e2e_pod_run", ENDLESS)
    cleared, kept = launch("e2e_pod_run", until_told), launch("e2e_pod_kept_when_killed", ENDLESS)
    in_worker = launch("e2e_pod_in_worker", ENDLESS)
    cluster = failed.cluster
    for run in (failed, success, cleared, kept):
        run.wait_for_lines(text="another line")
    airflow.wait_for_log("e2e_pod_in_worker", in_worker.run_id, "run", "another line")
    assert in_worker.ti().state == "running"
    deleted = [failed, success, cleared, in_worker]
    uids = {run.uid() for run in deleted}
    kept_uid, kept_name = kept.uid(), kept.name()
    assert {*uids, kept_uid} <= cluster.pods().keys()

    for run, state in ((failed, "failed"), (success, "success"), (kept, "failed"), (in_worker, "failed")):
        airflow.set_task_state(run.dag_id, run.run_id, "run", state)
    assert airflow.clear("e2e_pod_run", cleared.run_id, ["run"]) == 1
    airflow.wait_until(
        lambda: not uids & cluster.pods().keys(), "no pod of these tasks", 2 * GONE_WITHIN, now=cluster.pods
    )
    # That of the cleared task perhaps by two: its new try comes first, and then the trigger of the old one. The worker
    # that has stopped its pod sees the end, and deletes what has ended.
    assert [len(cluster.deletes(run.name())) for run in (failed, success)] == [1, 1]
    assert failed.states() == {"run": "failed"}
    assert success.states() == {"run": "success"}
    assert f"Stopping pod airflow/{failed.name()}" in told(failed.logs())

    # The cleared one has a new pod, which the end of the old one does not harm.
    (tmp_path / "told").touch()
    cleared.expect()
    assert cleared.uid() not in uids
    assert cleared.ti().try_number == 2
    assert lines_of(cleared.logs()) == ["another line", "all done"]
    assert cluster.created() == 6

    pod = cluster.pods()[kept_uid]
    assert pod["status"]["phase"] == "Running"
    assert cluster.deletes(kept_name) == []
    cluster.delete(kept_name)
