"""``KubernetesPodOperator`` against an embedded Kubernetes whose containers are local processes."""

from __future__ import annotations

from base64 import b64encode
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException, AirflowSkipException

from asyncrun.model.event import PodCompletionEvent
from asyncrun.model.pod_xcom import SIDECAR_NAME
from asyncrun.operators import errors
from asyncrun.operators.pod import Secret
from tests.operators.pod_support import deferred, operator, pods, said
from tests.operators.support import Ti, Worker
from tests.support.kube_lab import NAMESPACE, KubeLab


def test_creates_announces_and_defers_without_any_credential(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, "sleep 60", deferrable=True)
    context = worker.context(task)
    watch = deferred(worker, task, context)
    (pod,) = pods(kube)
    xcoms = context["ti"].xcoms
    assert (xcoms["pod_name"], xcoms["pod_namespace"]) == (pod["metadata"]["name"], NAMESPACE)
    assert watch.ref.uid == pod["metadata"]["uid"] == xcoms["asyncrun_run"]["ref"]["uid"]
    assert watch.ref.selector == "asyncrun/deployment=airflow"
    assert pod["metadata"]["labels"]["dag_id"] == "a.dag"
    assert kube.kube.token not in repr(watch.to_dict())
    assert "certificate" not in repr(watch.to_dict())


def test_a_success_returns_its_xcom_and_the_pod_is_deleted(kube: KubeLab, worker: Worker) -> None:
    """D16: without pods/exec."""
    task = operator(
        kube, """mkdir -p /airflow/xcom && echo '{"rows": [1, 2, "ä"]}' > /airflow/xcom/return.json""",
        do_xcom_push=True,
    )  # fmt: skip
    assert worker.execute(task, worker.context(task)) == {"rows": [1, 2, "ä"]}
    kube.until(lambda: not pods(kube))


def test_a_long_xcom_comes_through_the_sidecars_log(kube: KubeLab, worker: Worker) -> None:
    script = """(printf '"'; head -c 200000 /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    task = operator(kube, script, do_xcom_push=True)
    assert worker.execute(task, worker.context(task)) == "x" * 200_000


def test_the_sidecars_log_is_never_shown_though_every_containers_is_wanted(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    """A value that is too long for its termination message goes by its log."""
    script = (
        """echo from base; (printf '"'; head -c 5000 /dev/zero | tr '\\0' x; printf '"') > /airflow/xcom/return.json"""
    )
    early = {"name": "early", "image": "busybox", "command": ["sh", "-c", "echo from early"]}
    task = operator(
        kube, script, do_xcom_push=True, container_logs=True, init_container_logs=True, init_containers=[early]
    )
    assert worker.execute(task, worker.context(task)) == "x" * 5000
    text = said(capsys, caplog)
    assert "from base" in text
    assert "from early" in text
    assert SIDECAR_NAME not in text
    assert b64encode(b"xxxxxx").decode() not in text
    assert "asyncrun-xcom" not in text


def test_an_xcom_that_is_no_json_fails_a_container_that_succeeded_and_says_where(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, "echo '{\"rows\": oops}' > /airflow/xcom/return.json", do_xcom_push=True)
    with pytest.raises(errors.ResultUnusable, match=r"is not JSON: Expecting value at line 1, column 10"):
        worker.execute(task, worker.context(task))


def test_what_a_failed_container_left_is_pushed_all_the_same(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, "echo 7 > /airflow/xcom/return.json; exit 4", do_xcom_push=True)
    context = worker.context(task)
    with pytest.raises(errors.ContainerFailed, match="exited with code 4"):
        worker.execute(task, context)
    assert context["ti"].xcoms["return_value"] == 7


def test_the_error_of_a_failure_has_exit_code_reason_and_last_lines(kube: KubeLab, worker: Worker) -> None:
    """D15."""
    task = operator(kube, "echo before; echo 'the disk is full'; exit 3")
    with pytest.raises(AirflowException) as caught:
        worker.execute(task, worker.context(task))
    assert type(caught.value).__name__ == "ContainerFailed"
    assert isinstance(caught.value, errors.ContainerFailed)
    assert caught.value.outcome.exit_code == 3
    text = str(caught.value)
    assert "container 'base' exited with code 3" in text
    assert "the disk is full" in text


@pytest.mark.parametrize("skips", [5, [4, 5], {5}])
def test_an_exit_code_skips(kube: KubeLab, worker: Worker, skips: Any) -> None:
    task = operator(kube, "exit 5", skip_on_exit_code=skips)
    with pytest.raises(AirflowSkipException, match="exited with 5"):
        worker.execute(task, worker.context(task))


def test_secrets_and_config_maps_are_there_as_variables_and_files(kube: KubeLab, worker: Worker) -> None:
    kube.kube.control.put("secrets", kube.secret("db", password="hunter2"))
    kube.kube.control.put("configmaps", kube.config_map("conf", MODE="fast"))
    task = operator(
        kube,
        'printf \'{"env": "%s", "file": "%s", "mode": "%s"}\' "$PASS" "$(cat /etc/db/password)" "$MODE" '
        "> /airflow/xcom/return.json",
        secrets=[Secret("env", "PASS", "db", "password"), Secret("volume", "/etc/db", "db")],
        configmaps=["conf"],
        do_xcom_push=True,
    )
    assert worker.execute(task, worker.context(task)) == {"env": "hunter2", "file": "hunter2", "mode": "fast"}


def test_templates_are_rendered_in_models_at_any_depth(kube: KubeLab, worker: Worker) -> None:
    from kubernetes.client import models as k8s

    task = operator(
        kube,
        'printf \'"%s %s"\' "$RUN" "$N_manual__1" > /airflow/xcom/return.json',
        env_vars={"RUN": "{{ ti.task_id }}", "N_{{ run_id }}": "x"},
        volumes=[k8s.V1Volume(name="v-{{ 1 + 1 }}", empty_dir=k8s.V1EmptyDirVolumeSource(size_limit="{{ 3 }}Mi"))],
        volume_mounts=[k8s.V1VolumeMount(name="v-2", mount_path="/data", sub_path="{{ run_id }}")],
        labels={"team": "{{ run_id }}"},
        do_xcom_push=True,
        deferrable=True,
    )
    context = worker.context(task, run_id="manual__1")
    deferred(worker, task, context)
    (pod,) = pods(kube)
    container = pod["spec"]["containers"][0]
    assert {one["name"]: one.get("value") for one in container["env"]} == {"RUN": task.task_id, "N_manual__1": "x"}
    volume = next(one for one in pod["spec"]["volumes"] if one["name"] == "v-2")
    assert volume["emptyDir"] == {"sizeLimit": "3Mi"}
    mount = next(one for one in container["volumeMounts"] if one["name"] == "v-2")
    assert mount["subPath"] == "manual__1"
    assert pod["metadata"]["labels"]["team"] == "manual__1"


def test_a_try_that_is_executed_again_gets_the_pod_that_it_has_created(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, "sleep 60", deferrable=True)
    ti = Ti(task.task_id)
    first, second = (deferred(worker, task, worker.context(task, ti=ti)) for _ in range(2))
    assert first.ref == second.ref
    assert len(pods(kube)) == 1


@pytest.mark.parametrize(("given", "shown"), [({}, True), ({"log_events_on_startup": True}, True),
                                              ({"log_events_on_startup": False}, False)])  # fmt: skip
def test_the_trigger_is_told_whether_events_of_a_slow_start_are_shown(
    kube: KubeLab, worker: Worker, given: dict[str, bool], shown: bool
) -> None:
    task = operator(kube, "sleep 60", deferrable=True, **given)
    assert deferred(worker, task, worker.context(task)).events_on_startup is shown


def test_a_quota_is_a_clear_error_and_leaves_nothing(kube: KubeLab, worker: Worker) -> None:
    kube.kube.control.set_quota(NAMESPACE, 0)
    try:
        task = operator(kube)
        with pytest.raises(errors.OutOfCapacity, match="quota"):
            worker.execute(task, worker.context(task))
    finally:
        kube.kube.control.set_quota(NAMESPACE, None)
    assert pods(kube) == []


def test_the_payload_of_the_event_makes_the_same_error_after_a_resume(kube: KubeLab, worker: Worker) -> None:
    """What the triggerer reports goes through the database."""
    import json

    task = operator(kube, "echo no; exit 2", deferrable=True)
    context = worker.context(task)
    watch = deferred(worker, task, context)
    event = worker.call(kube.inline_event, watch)
    payload = json.loads(json.dumps(event))
    assert PodCompletionEvent.from_dict(payload).ref == watch.ref
    with pytest.raises(errors.ContainerFailed, match="exited with code 2"):
        worker.call(task.execute_complete, context, payload)
    kube.until(lambda: not pods(kube))
