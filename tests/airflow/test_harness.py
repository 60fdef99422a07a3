"""The harness itself, without any operator of ours."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime

import httpx
import pytest

from asyncrun.local.airflow import ApiError, LocalAirflow, NotReached

RunDag = Callable[..., str]

# Shorter waits run into Airflow's spurious failure of a task that is resumed within 5 s of its deferral
# (facts/airflow.md, 5).
LONG_ENOUGH = {"seconds": 8}
ENDLESS = {"seconds": 600}


@pytest.fixture(scope="module")
def before() -> datetime:
    return datetime.now(UTC)


@pytest.fixture(scope="module")
def started(before: datetime, run_dag: RunDag) -> dict[str, str]:
    """All DAG runs of this module, started at once."""
    return {
        "ends": run_dag("harness_wait", LONG_ENOUGH),
        "mapped": run_dag("harness_mapped", LONG_ENOUGH),
        "marked": run_dag("harness_wait", ENDLESS),
        "in vain": run_dag("harness_wait", ENDLESS),
    }


def test_deferrable_task_goes_through_triggerer_and_worker(
    airflow: LocalAirflow, started: dict[str, str], before: datetime
) -> None:
    run_id = started["ends"]
    airflow.wait_for_log("harness_wait", run_id, "wait", "trigger starting")
    assert airflow.wait_for("harness_wait", run_id, timeout=60) == "success"

    [ti] = airflow.task_instances("harness_wait", run_id)
    assert (ti.state, ti.try_number, ti.finished) == ("success", 1, True)
    assert airflow.xcom("harness_wait", run_id, "wait") == {"answer": 42}
    assert airflow.xcom_keys("harness_wait", run_id, "wait") == {"return_value"}

    records = airflow.logs("harness_wait", run_id, "wait")
    events = [record.event for record in records]
    assert events.index("harness: before") < events.index("trigger completed") < events.index("harness: after")
    assert all(record.timestamp and before < record.timestamp < datetime.now(UTC) for record in records)


def test_mapped_tasks_run_at_the_same_time(airflow: LocalAirflow, started: dict[str, str]) -> None:
    run_id = started["mapped"]
    assert airflow.wait_for("harness_mapped", run_id, timeout=120) == "success"
    tasks = airflow.task_instances("harness_mapped", run_id)
    assert [ti.map_index for ti in tasks] == list(range(6))
    assert airflow.xcom("harness_mapped", run_id, "wait", map_index=4) == {"answer": 4}
    start, end = max(ti.start_date for ti in tasks if ti.start_date), min(ti.end_date for ti in tasks if ti.end_date)
    assert start < end


def test_task_can_be_marked_failed_and_cleared(airflow: LocalAirflow, started: dict[str, str]) -> None:
    run_id = started["marked"]
    airflow.wait_for("harness_wait", run_id, "wait", {"deferred"}, timeout=30)
    airflow.wait_for_log("harness_wait", run_id, "wait", "trigger starting")
    assert airflow.task_instance("harness_wait", run_id, "wait").triggerer_id is not None
    airflow.set_task_state("harness_wait", run_id, "wait", "failed")
    assert airflow.wait_for("harness_wait", run_id, timeout=30) == "failed"

    assert airflow.clear("harness_wait", run_id, ["wait"]) == 1
    airflow.wait_for("harness_wait", run_id, "wait", {"deferred"}, timeout=30)
    assert airflow.task_instance("harness_wait", run_id, "wait").try_number == 2
    airflow.set_task_state("harness_wait", run_id, "wait", "success")
    assert airflow.wait_for("harness_wait", run_id, timeout=30) == "success"


def test_waiting_in_vain_says_what_is_there_instead(airflow: LocalAirflow, started: dict[str, str]) -> None:
    run_id = started["in vain"]
    airflow.wait_for("harness_wait", run_id, "wait", {"deferred"}, timeout=30)
    with pytest.raises(
        NotReached, match=r"not reached within 0.5 s: harness_wait/.* in success; now: \{'wait': 'deferred'\}"
    ):
        airflow.wait_for("harness_wait", run_id, states={"success"}, timeout=0.5)
    airflow.set_dag_run_state("harness_wait", run_id, "failed")


def test_everything_listens_on_loopback_only(airflow: LocalAirflow) -> None:
    listening = {
        connection.laddr.ip
        for process in airflow.processes()
        for connection in process.net_connections(kind="inet")
        if connection.status == "LISTEN"
    }
    assert listening
    assert all(address.startswith("127.") for address in listening), listening


def test_rest_api_needs_the_generated_password(airflow: LocalAirflow) -> None:
    assert len(airflow.password) >= 12
    with httpx.Client(base_url=airflow.base_url, trust_env=False) as stranger:
        assert stranger.get("/api/v2/dags").status_code == 401
        assert stranger.post("/auth/token", json={"username": "admin", "password": "admin"}).status_code == 401
    with pytest.raises(ApiError, match="HTTP 404") as error:
        airflow.dag_run("no_such_dag", "no_such_run")
    assert error.value.status == 404


def test_no_secret_in_component_output_or_repr(airflow: LocalAirflow) -> None:
    output = "".join(path.read_text() for path in airflow.component_logs().values())
    keys = [value for name, value in airflow.environment.items() if re.search("SECRET_KEY|JWT_SECRET|FERNET", name)]
    assert len(keys) >= 3
    for secret in [airflow.password, *keys]:
        assert secret not in output
        assert secret not in repr(airflow.options)
        assert secret not in repr(vars(airflow)["_secrets"])
