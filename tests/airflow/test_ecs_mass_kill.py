"""A DAG run with many deferred tasks is marked failed: each of its containers is stopped, by one call."""

from __future__ import annotations

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from tests.airflow.support import RunDag, Since, Tasks

PARTS = 10  # of the DAG
GONE_WITHIN = 15.0  # s


def test_marking_a_dag_run_failed_stops_every_container_once(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    since = Since(embedded_aws)
    run = Tasks(airflow, embedded_aws, "e2e_mass_kill", run_dag("e2e_mass_kill"))
    # Until each trigger has begun: Airflow tells nobody of a task that is killed between its deferral and that.
    run.wait_for_lines("part", range(PARTS))
    arns = [run.arn("part", index) for index in range(PARTS)]
    assert len(since.running(*arns)) == PARTS

    airflow.set_dag_run_state("e2e_mass_kill", run.run_id, "failed")
    airflow.wait_until(lambda: not since.running(*arns), "no container of this DAG run", GONE_WITHIN, now=run.states)
    assert all("marked or cleared by a user" in task["stoppedReason"] for task in run.describe(*arns))
    assert since.asked("StopTask") == PARTS
    assert set(run.states().values()) == {"failed"}
