"""How a pod's task ends for the user: state, log, XComs, callbacks, retries; and which process ended it."""

from __future__ import annotations

import pytest

from asyncrun.local.airflow import ApiError, LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import GONE_WITHIN, Cluster, PodTasks, error_of, lines_of, told
from tests.airflow.support import RunDag, worker_runs

VALUE = {"rows": 1204, "table": "orders"}
ANNOUNCED = {"pod_name", "pod_namespace"}


@pytest.fixture(scope="module")
def ended(airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag) -> PodTasks:
    """The DAG run with all of them, once it is over."""
    run = PodTasks(airflow, Cluster(embedded_kube), "e2e_pod_ends", run_dag("e2e_pod_ends"))
    run.expect("failed", timeout=200)
    return run


@pytest.mark.parametrize(("task_id", "keys"), [("plain", ANNOUNCED), ("value", {"return_value", *ANNOUNCED})])
def test_success_ends_in_the_triggerer_with_the_xcom_that_was_wanted(
    ended: PodTasks, task_id: str, keys: set[str]
) -> None:
    assert ended.ti(task_id).state == "success"
    records = ended.logs(task_id)
    assert lines_of(records) == ["first", "the last"]
    assert "A success will end in the triggerer: nothing needs a worker." in told(records)
    assert worker_runs(records) == 1
    assert ended.keys(task_id) == keys
    if "return_value" in keys:
        assert ended.result(task_id) == VALUE


@pytest.mark.parametrize(
    ("task_id", "why"),
    [
        ("callback", "it has an on_success_callback"),
        ("outlet", "it has outlets"),
        ("outputs", "it has multiple_outputs"),
    ],
)
def test_success_that_needs_a_worker_ends_on_one(ended: PodTasks, task_id: str, why: str) -> None:
    assert ended.ti(task_id).state == "success"
    records = ended.logs(task_id)
    assert f"A success will end on a worker: {why}" in told(records)
    assert worker_runs(records) == 2
    assert lines_of(records) == ["first", "the last"]
    assert ended.result(task_id) == VALUE


def test_success_callback_runs(ended: PodTasks) -> None:
    assert "callback of callback: no error" in told(ended.logs("callback"))


def test_outlet_gets_its_asset_event(ended: PodTasks, airflow: LocalAirflow) -> None:
    events = airflow.request("GET", "/assets/events", params={"source_run_id": ended.run_id})["asset_events"]
    assert [(event["source_task_id"], event["uri"]) for event in events] == [("outlet", "e2e://pod/")]


def test_multiple_outputs_are_xcoms_of_their_own(ended: PodTasks) -> None:
    assert ended.keys("outputs") == {*VALUE, "return_value", *ANNOUNCED}
    assert {key: ended.xcom(key, "outputs") for key in VALUE} == VALUE


def test_failure_is_retried_with_a_new_pod_and_raises_the_typed_error(ended: PodTasks) -> None:
    assert (ended.ti("fails").state, ended.ti("fails").try_number) == ("failed", 2)
    names = set()
    for number in (1, 2):
        records = ended.logs("fails", try_number=number)
        assert lines_of(records) == [f"reading orders of try {number}", "2 of 3 done", "disk is full"]
        kind, text = error_of(records)
        assert kind == "ContainerFailed"
        assert "container 'base' exited with code 3" in text
        assert "disk is full" in text
        assert "callback of fails: asyncrun.operators.errors.ContainerFailed, exit code 3" in told(records)
        [created] = [record.event for record in records if record.event.startswith("Created pod ")]
        names.add(created)
    assert len(names) == 2
    with pytest.raises(ApiError) as missing:
        ended.result("fails")
    assert missing.value.status == 404


def test_failure_shows_the_definition_of_the_pod_without_the_values_of_variables(ended: PodTasks) -> None:
    said = told(ended.logs("fails"))
    assert f"The definition of pod airflow/{ended.name('fails')}:" in said
    assert '"value": "(not shown)"' in said


def test_retry_launches_a_new_pod(ended: PodTasks) -> None:
    ti = ended.ti("recovers")
    assert (ti.state, ti.try_number) == ("success", 2)
    first, second = ended.logs("recovers", try_number=1), ended.logs("recovers", try_number=2)
    assert lines_of(first) == ["this is try 1"]
    assert lines_of(second) == ["this is try 2"]
    assert ended.uid("recovers") in told(second)
    assert ended.uid("recovers") not in told(first)


def test_exit_code_that_skips_lets_trigger_rules_decide_downstream(ended: PodTasks) -> None:
    states = ended.states()
    assert [states[task_id] for task_id in ("look", "needs_it", "anyway")] == ["skipped", "skipped", "success"]
    records = ended.logs("look")
    assert lines_of(records) == ["nothing to do"]
    assert "exited with 7, which is in skip_on_exit_code" in told(records)


def test_execution_timeout_deletes_the_pod_and_says_why(ended: PodTasks) -> None:
    assert ended.ti("slow").state == "failed"
    records = ended.logs("slow")
    assert lines_of(records) == ["begins"]
    kind, text = error_of(records)
    assert kind == "DeadlineExceeded"
    assert "execution_timeout=0:00:15" in text
    assert "callback of slow: asyncrun.operators.errors.DeadlineExceeded" in told(records)


def test_pods_are_gone_after_their_end_but_for_the_one_to_keep(ended: PodTasks, airflow: LocalAirflow) -> None:
    kept = ended.uid("kept")
    uids = {ended.uid(task_id) for task_id in ("plain", "value", "callback", "fails", "recovers", "look", "slow")}
    airflow.wait_until(
        lambda: not uids & ended.cluster.pods().keys(), "no pod of these tasks", GONE_WITHIN, now=ended.cluster.pods
    )
    pod = ended.cluster.pods()[kept]
    assert pod["status"]["phase"] == "Succeeded"
    # No later try takes it over.
    assert pod["metadata"]["labels"]["already_checked"] == "True"
