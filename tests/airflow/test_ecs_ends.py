"""How a run ends for the user: state, log, XComs, callbacks, retries; and which process ended it."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from asyncrun.local.airflow import ApiError, LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from tests.airflow.support import RunDag, Since, Tasks, container_lines, said, worker_runs

FAILS = "echo reading orders; echo 2 of 3 done; echo 'disk is full' >&2; exit 3"
PROGRAMS = {
    "e2e_run": "echo first; echo 'the last'",
    "e2e_on_worker": "echo first; echo 'the last'",
    "e2e_fails": FAILS,
    "e2e_retry": 'echo "this is try $TRY"; test "$TRY" = 2',
    "e2e_skip": "echo nothing to do; exit 7",
    "e2e_deadline": "echo begins; sleep 600",
}

Ended = Callable[[str], Tasks]


@pytest.fixture(scope="module")
def started(airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag) -> dict[str, Tasks]:
    """All DAG runs of this module, started at once."""
    airflow.dags_ready(PROGRAMS)
    return {
        dag_id: Tasks(airflow, embedded_aws, dag_id, run_dag(dag_id, {"program": program}))
        for dag_id, program in PROGRAMS.items()
    }


@pytest.fixture
def ended(started: dict[str, Tasks], airflow: LocalAirflow) -> Ended:
    """``ended(dag_id)``: its DAG run, once it is over."""

    def wait(dag_id: str) -> Tasks:
        airflow.wait_for(dag_id, started[dag_id].run_id, timeout=150)
        return started[dag_id]

    return wait


def test_success_ends_in_the_triggerer_with_its_xcoms(ended: Ended) -> None:
    run = ended("e2e_run")
    assert run.states() == {"run": "success"}
    records = run.logs("run")
    assert container_lines(records) == ["first", "the last"]
    assert "A success will end in the triggerer" in said(records)
    assert worker_runs(records) == 1, "a worker was needed for the end"
    assert run.result("run") == "the last"
    [task] = run.describe(run.arn("run"))
    assert task["containers"][0]["exitCode"] == 0


@pytest.mark.parametrize("task_id", ["callback", "outlet"])
def test_success_with_callback_or_outlet_ends_on_a_worker(ended: Ended, task_id: str) -> None:
    run = ended("e2e_on_worker")
    assert run.ti(task_id).state == "success"
    records = run.logs(task_id)
    assert worker_runs(records) == 2
    assert container_lines(records) == ["first", "the last"]
    assert run.result(task_id) == "the last"
    why = {"callback": "it has an on_success_callback", "outlet": "it has outlets"}[task_id]
    assert f"A success will end on a worker: {why}." in said(records)


def test_success_callback_runs(ended: Ended) -> None:
    run = ended("e2e_on_worker")
    assert "callback of callback: no error" in said(run.logs("callback"))


def test_outlet_gets_its_asset_event(ended: Ended, airflow: LocalAirflow) -> None:
    run = ended("e2e_on_worker")
    events = airflow.request("GET", "/assets/events", params={"source_run_id": run.run_id})["asset_events"]
    assert [(event["source_task_id"], event["uri"]) for event in events] == [("outlet", "e2e://result/")]


def test_failure_shows_diagnosis_and_last_lines_and_calls_back_with_the_typed_error(ended: Ended) -> None:
    run = ended("e2e_fails")
    assert run.states() == {"fails": "failed"}
    records = run.logs("fails")
    assert container_lines(records) == ["reading orders", "2 of 3 done", "disk is full"]
    [error] = [error for record in records for error in record.fields.get("error_detail") or []]
    assert error["exc_type"] == "ContainerFailed"
    text = error["exc_value"]
    assert "container 'main' exited with code 3" in text
    # number_logs_exception=2
    assert "2 of 3 done" in text
    assert "disk is full" in text
    assert "reading orders" not in text
    assert "callback of fails: asyncrun.operators.errors.ContainerFailed, exit code 3" in said(records)
    with pytest.raises(ApiError) as missing:
        run.result("fails")
    assert missing.value.status == 404


def test_retry_launches_a_new_ecs_task(ended: Ended) -> None:
    run = ended("e2e_retry")
    ti = run.ti("retries")
    assert (ti.state, ti.try_number) == ("success", 2)
    first, second = run.logs("retries", try_number=1), run.logs("retries", try_number=2)
    assert container_lines(first) == ["this is try 1"]
    assert container_lines(second) == ["this is try 2"]
    assert run.arn("retries") in said(second)
    assert run.arn("retries") not in said(first)
    assert run.result("retries") == "this is try 2"


def test_exit_code_that_skips_lets_trigger_rules_decide_downstream(ended: Ended) -> None:
    run = ended("e2e_skip")
    assert run.states() == {"look": "skipped", "needs_it": "skipped", "anyway": "success"}
    records = run.logs("look")
    assert container_lines(records) == ["nothing to do"]
    assert "exited with 7, which is in skip_on_exit_code" in said(records)


def test_execution_timeout_stops_the_ecs_task_and_says_why(ended: Ended, embedded_aws: EmbeddedAws) -> None:
    run = ended("e2e_deadline")
    assert run.states() == {"slow": "failed"}
    records = run.logs("slow")
    assert "DeadlineExceeded" in said(records)
    assert "execution_timeout=0:00:12" in said(records)
    assert "callback of slow: asyncrun.operators.errors.DeadlineExceeded" in said(records)
    arn = run.arn("slow")
    [task] = run.describe(arn)
    assert task["stopCode"] == "UserInitiated"
    assert "execution_timeout=0:00:12" in task["stoppedReason"]
    assert Since(embedded_aws).running(arn) == []
