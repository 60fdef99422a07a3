"""What must work on every cluster: on the embedded one in ``make test``, on a real one by ``make test-cluster``."""

from __future__ import annotations

import base64
import json
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from asyncrun.model.diagnosis import Cause
from asyncrun.model.event import PodCompletionEvent
from asyncrun.model.outcome import Verdict
from asyncrun.operators import errors
from asyncrun.operators.pod import Secret
from asyncrun.operators.remote import wait_here
from asyncrun.triggers.pod import PodTrigger
from tests.cluster.conftest import Cluster, Runs
from tests.operators.pod_support import PodTries
from tests.operators.support import Worker

pytestmark = pytest.mark.timeout(900)


def test_a_pod_runs_to_its_end_and_its_lines_are_the_tasks(cluster: Cluster, run: Runs) -> None:
    run(cluster.operator("for n in 1 2 3 4 5; do echo line $n; sleep 1; done; echo last"))
    assert run.lines("base") == [*(f"line {number}" for number in range(1, 6)), "last"]
    cluster.empty()


def test_two_thousand_lines_and_the_last_one_right_before_the_end_are_all_there(cluster: Cluster, run: Runs) -> None:
    run(cluster.operator("n=0; while [ $n -lt 2000 ]; do echo line $n; n=$((n+1)); done; echo last"))
    lines = run.lines("base")
    assert lines[0] == "line 0"
    assert lines[-1] == "last"
    # The rate limit may leave lines out in the middle, and says how many.
    if len(lines) < 2001:
        assert "skipped" in run.said
    cluster.empty()


def test_long_lines_and_odd_bytes_reach_the_log(cluster: Cluster, run: Runs) -> None:
    script = (
        "head -c 40000 /dev/zero | tr '\\0' x; echo; printf 'bad \\377\\376 bytes\\n'; printf 'nul \\000 here\\n';"
        " printf 'cr\\r\\nlf\\n'; echo é€😀; printf 'no newline at end'"
    )
    run(cluster.operator(script))
    long, *rest = run.lines("base")
    assert long.startswith("x" * 16_000)
    assert rest == ["bad �� bytes", rest[1], "cr", "lf", "é€😀", "no newline at end"]
    assert rest[1].startswith("nul ")
    assert rest[1].endswith(" here")
    cluster.empty()


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_xcom_arrives_whole(cluster: Cluster, run: Runs, size: int) -> None:
    script = f"""(printf '"'; head -c {size} /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    assert run(cluster.operator(script, do_xcom_push=True)) == "x" * size
    cluster.empty()


def test_init_containers_and_sidecars_log_too_and_a_sidecar_keeps_nobody_waiting(cluster: Cluster, run: Runs) -> None:
    run(
        cluster.operator(
            "echo base runs; sleep 1",
            init_containers=[
                cluster.container("prepare", "echo preparing"),
                cluster.container("side", "echo side runs; sleep 600 & wait", restartPolicy="Always"),
            ],
            init_container_logs=True,
        )
    )
    assert [run.lines(name) for name in ("prepare", "side", "base")] == [["preparing"], ["side runs"], ["base runs"]]
    cluster.empty()


def test_a_sidecar_that_ignores_term_fails_nothing(cluster: Cluster, run: Runs) -> None:
    side = "trap '' TERM; echo side runs; while :; do sleep 1; done"
    sidecar = cluster.container("side", side, restartPolicy="Always")
    task = cluster.operator("sleep 2; echo done", init_containers=[sidecar], termination_grace_period=3)
    run(task)
    assert run.lines("base") == ["done"]
    cluster.empty()


def test_an_exit_code_is_the_error_and_may_skip(cluster: Cluster, run: Runs) -> None:
    with pytest.raises(errors.ContainerFailed, match="exited with code 3") as caught:
        run(cluster.operator("echo 'no space left on device'; exit 3"))
    assert caught.value.last_lines == ("no space left on device",)
    with pytest.raises(AirflowSkipException):
        run(cluster.operator("exit 99", skip_on_exit_code=99))
    cluster.empty()


def test_out_of_memory_is_told_with_the_limit(cluster: Cluster, run: Runs) -> None:
    task = cluster.operator("echo before; exec tail /dev/zero", container_resources={"limits": {"memory": "64Mi"}})
    with pytest.raises(errors.ContainerFailed, match="64Mi") as caught:
        run(task)
    assert caught.value.diagnosis.cause is Cause.OUT_OF_MEMORY
    assert run.lines("base")[0] == "before"
    cluster.empty()


# -- what does not start -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("what", ["secret", "config map"])
def test_what_is_missing_is_named(cluster: Cluster, run: Runs, what: str) -> None:
    missing = (
        {"secrets": [Secret("env", "P", "no-such-thing", "key")]}
        if what == "secret"
        else {"configmaps": ["no-such-thing"]}
    )
    task = cluster.operator(startup_timeout_seconds=cluster.seconds(5), **missing)
    with pytest.raises(errors.NeverStarted, match="no-such-thing") as caught:
        run(task)
    assert caught.value.diagnosis.cause is (Cause.SECRET if what == "secret" else Cause.CONFIG)
    cluster.empty()


def test_a_secret_is_there_as_variable_and_file(cluster: Cluster, run: Runs) -> None:
    data = {"key": base64.b64encode(b"hunter2").decode()}
    cluster.api.create_namespaced_secret(cluster.namespace, {"metadata": {"name": "given"}, "data": data})
    script = """printf '["%s", "%s"]' "$P" "$(cat /given/key)" > /airflow/xcom/return.json"""
    secrets = [Secret("env", "P", "given", "key"), Secret("volume", "/given", "given")]
    assert run(cluster.operator(script, secrets=secrets, do_xcom_push=True)) == ["hunter2", "hunter2"]
    assert "hunter2" not in run.said
    cluster.empty()


def test_what_finds_no_node_says_why(cluster: Cluster, run: Runs) -> None:
    resources = {"requests": {"memory": "900Ti"}}
    task = cluster.operator(container_resources=resources, schedule_timeout_seconds=cluster.seconds(5))
    with pytest.raises(errors.NeverStarted, match=r"(?i)memory") as caught:
        run(task)
    assert caught.value.diagnosis.cause is Cause.CAPACITY
    cluster.empty()


def test_an_image_name_that_is_none_is_given_up_at_once(cluster: Cluster, run: Runs) -> None:
    with pytest.raises(errors.NeverStarted, match=r"(?i)image") as caught:
        run(cluster.operator(image="{{ 'UPPER/CASE:?' }}"))
    assert caught.value.diagnosis.cause is Cause.IMAGE
    cluster.empty()


# -- ends that somebody makes ------------------------------------------------------------------------------------------


def test_execution_timeout_deletes_the_pod(cluster: Cluster, run: Runs) -> None:
    limit = timedelta(seconds=cluster.seconds(5))
    with pytest.raises(errors.DeadlineExceeded, match=f"execution_timeout={limit}"):
        run(cluster.operator("sleep 600", execution_timeout=limit, termination_grace_period=1))
    cluster.empty()


def test_a_pod_that_somebody_deletes_is_no_success(cluster: Cluster, run: Runs) -> None:
    task = cluster.operator("trap 'exit 0' TERM; echo up; sleep 600 & wait", termination_grace_period=5)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(run, task)
        name = cluster.running().metadata.name
        cluster.until_it_says(name, "up")
        cluster.api.delete_namespaced_pod(name, cluster.namespace)
        with pytest.raises(errors.StoppedByUser) as caught:
            ending.result(cluster.seconds(60))
    assert caught.value.outcome.verdict is Verdict.STOPPED
    cluster.empty()


def test_a_worker_that_is_killed_deletes_its_pod(cluster: Cluster, run: Runs) -> None:
    task = cluster.operator("echo up; sleep 600", termination_grace_period=1)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(run, task)
        cluster.until_it_says(cluster.running().metadata.name, "up")
        task.on_kill()
        with pytest.raises(errors.RunFailed):
            ending.result(cluster.seconds(60))
    cluster.empty()


# -- from worker to trigger to worker, and from try to try -------------------------------------------------------------


def test_a_failure_comes_through_the_trigger_to_the_worker(cluster: Cluster, run: Runs, worker: Worker) -> None:
    task = cluster.operator("echo almost; exit 5", deferrable=True)
    context = worker.context(task)
    watch = run.deferred(task)
    assert watch.ref.uid in cluster.uids()
    assert "token" not in json.dumps(watch.to_dict())
    event = worker.call(wait_here, PodTrigger(watch.to_dict()))
    assert PodCompletionEvent.from_dict(event).outcome.exit_code == 5
    with pytest.raises(errors.ContainerFailed, match="exited with code 5") as caught:
        worker.call(task.execute_complete, context, event)
    assert caught.value.last_lines == ("almost",)
    cluster.empty()


def test_the_next_try_takes_over_the_very_pod_of_a_worker_that_died(
    cluster: Cluster, run: Runs, worker: Worker
) -> None:
    tries = PodTries(None, worker, "manual__reattach")  # type: ignore[arg-type] - the cluster is not its
    task = cluster.operator("for n in 1 2 3 4 5; do echo line $n; sleep 1; done", durable=True)
    ref = tries.dies(task)
    assert cluster.uids() == {ref.uid}
    tries.run(task)
    assert f"Taking over pod {ref}" in run.said
    assert run.lines("base") == [f"line {number}" for number in range(1, 6)]
    cluster.empty()
