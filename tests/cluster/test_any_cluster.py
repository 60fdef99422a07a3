"""What must work on every cluster: on the embedded one in ``make test``, on a real one by ``make test-cluster``."""

from __future__ import annotations

import base64
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowSkipException

from asyncrun.model.diagnosis import Cause
from asyncrun.model.outcome import Verdict
from asyncrun.operators import errors
from asyncrun.operators.pod import Secret
from tests.cluster.conftest import Cluster

Run = Callable[..., Any]
pytestmark = pytest.mark.timeout(400)


def lines_of(text: str, container: str) -> list[str]:
    """What that container wrote, as plain structlog shows it."""
    return [line.split("] ", 1)[1].rpartition(" [")[0].rstrip() for line in text.splitlines() if f" [{container}] " in line]


def test_a_pod_runs_to_its_end_and_its_lines_are_the_tasks(cluster: Cluster, run: Run, capfd: Any) -> None:
    run(cluster.operator("for n in 1 2 3 4 5; do echo line $n; sleep 0.3; done; echo last"))
    out = capfd.readouterr()
    assert lines_of(out.out + out.err, "base") == [*(f"line {number}" for number in range(1, 6)), "last"]
    cluster.empty()


def test_two_thousand_lines_and_the_last_one_right_before_the_end_are_all_there(
    cluster: Cluster, run: Run, capfd: Any
) -> None:
    run(cluster.operator("n=0; while [ $n -lt 2000 ]; do echo line $n; n=$((n+1)); done; echo last"))
    out = capfd.readouterr()
    text = out.out + out.err
    assert all(f"line {number}" in text for number in (0, 999, 1999))
    assert "last" in text
    cluster.empty()


@pytest.mark.parametrize("size", [10, 100_000])
def test_an_xcom_arrives_whole(cluster: Cluster, run: Run, size: int) -> None:
    script = f"""(printf '"'; head -c {size} /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    assert run(cluster.operator(script, do_xcom_push=True)) == "x" * size
    cluster.empty()


def test_init_containers_and_sidecars_log_too_and_a_sidecar_keeps_nobody_waiting(
    cluster: Cluster, run: Run, capfd: Any
) -> None:
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
    out = capfd.readouterr()
    text = out.out + out.err
    for line in ("[prepare] preparing", "[side] side runs", "[base] base runs"):
        assert line in text
    cluster.empty()


def test_an_exit_code_is_the_error_and_may_skip(cluster: Cluster, run: Run) -> None:
    with pytest.raises(errors.ContainerFailed, match="exited with code 3") as caught:
        run(cluster.operator("echo 'no space left on device'; exit 3"))
    assert caught.value.last_lines == ("no space left on device",)
    with pytest.raises(AirflowSkipException):
        run(cluster.operator("exit 99", skip_on_exit_code=99))
    cluster.empty()


def test_a_secret_that_is_missing_is_named(cluster: Cluster, run: Run) -> None:
    task = cluster.operator(secrets=[Secret("env", "P", "no-such-secret", "key")], startup_timeout_seconds=15)
    with pytest.raises(errors.NeverStarted, match="no-such-secret") as caught:
        run(task)
    assert caught.value.diagnosis.cause is Cause.SECRET
    cluster.empty()


def test_a_secret_is_there_as_variable_and_file(cluster: Cluster, run: Run) -> None:
    data = {"key": base64.b64encode(b"hunter2").decode()}
    cluster.api.create_namespaced_secret(cluster.namespace, {"metadata": {"name": "given"}, "data": data})
    script = """printf '["%s", "%s"]' "$P" "$(cat /given/key)" > /airflow/xcom/return.json"""
    secrets = [Secret("env", "P", "given", "key"), Secret("volume", "/given", "given")]
    assert run(cluster.operator(script, secrets=secrets, do_xcom_push=True)) == ["hunter2", "hunter2"]
    cluster.empty()


def test_what_finds_no_node_says_why(cluster: Cluster, run: Run) -> None:
    task = cluster.operator(container_resources={"requests": {"memory": "900Ti"}}, schedule_timeout_seconds=10)
    with pytest.raises(errors.NeverStarted, match="(?i)memory") as caught:
        run(task)
    assert caught.value.diagnosis.cause is Cause.CAPACITY
    cluster.empty()


def test_an_image_name_that_is_none_is_given_up_at_once(cluster: Cluster, run: Run) -> None:
    with pytest.raises(errors.NeverStarted, match="(?i)image") as caught:
        run(cluster.operator(image="{{ 'UPPER/CASE:?' }}"))
    assert caught.value.diagnosis.cause is Cause.IMAGE
    cluster.empty()


def test_execution_timeout_deletes_the_pod(cluster: Cluster, run: Run) -> None:
    with pytest.raises(errors.DeadlineExceeded, match="execution_timeout=0:00:08"):
        run(cluster.operator("sleep 600", execution_timeout=timedelta(seconds=8), termination_grace_period=1))
    cluster.empty()


def test_a_pod_that_somebody_deletes_is_no_success(cluster: Cluster, run: Run) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tests.support.lab import until

    task = cluster.operator("trap 'exit 0' TERM; sleep 600 & wait", termination_grace_period=2)
    with ThreadPoolExecutor(1) as pool:
        ending = pool.submit(run, task)
        running = until(cluster.pods, lambda pods: any(pod.status.phase == "Running" for pod in pods), seconds=60)
        cluster.api.delete_namespaced_pod(running[0].metadata.name, cluster.namespace)
        with pytest.raises(errors.StoppedByUser) as caught:
            ending.result(120)
    assert caught.value.outcome.verdict is Verdict.STOPPED
    cluster.empty()
