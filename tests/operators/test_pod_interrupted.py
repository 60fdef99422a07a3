"""Launches of pods that fail or are interrupted, and kills: nothing stays behind that nobody waits for."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout, TaskDeferralError, TaskDeferred

from asyncrun.clients import kube as clients_kube
from asyncrun.clients.config import load_settings
from asyncrun.local.kube import EmbeddedKube, Fault, Rule
from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.operators import errors
from tests.operators.pod_support import FOREVER, alive, asked, deferred, only, operator, pods, said
from tests.operators.support import Ti, Unwritable, Worker, join_stops, time_out_after_closing
from tests.support.kube_lab import KubeLab

pytestmark = pytest.mark.timeout(120)


@pytest.fixture(scope="module")
def kube_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    """One of this module's own: what answers were cut off by our faults stands in its log."""
    with EmbeddedKube() as kube:
        yield KubeLab(kube, tmp_path_factory.mktemp("kube"))
        text = kube.log_text()
        assert text.count("Traceback") == text.count("ConnectionResetError: reset by a fault"), text


def test_a_lost_answer_is_asked_for_again_and_makes_one_pod(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    kube.kube.control.add_faults(Fault("create pods", "drop_answer", count=2))
    task = operator(kube, FOREVER, deferrable=True)
    watch = deferred(worker, task, worker.context(task))
    assert only(kube)["metadata"]["uid"] == watch.ref.uid
    text = said(capsys, caplog)
    assert "It is tried again in" in text
    assert "This try has already created pod" in text


def test_what_an_unanswered_launch_created_is_deleted_when_the_launch_fails(kube: KubeLab, worker: Worker) -> None:
    kube.kube.control.add_faults(
        Fault("create pods", "drop_answer", count=1), Fault("create pods", status=422, reason="Invalid", count=1),
        Fault("get pods", status=422, reason="Invalid", count=1),
    )  # fmt: skip
    task = operator(kube, FOREVER)
    with pytest.raises(errors.RequestRefused):
        worker.execute(task, worker.context(task))
    assert alive(kube) == []
    assert asked(kube, "delete pods") == 1


def test_what_cannot_be_deleted_after_an_interrupted_launch_is_named_with_its_label(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    kube.kube.control.add_faults(
        Fault("create pods", "drop_answer", count=1), Fault("create pods", status=422, reason="Invalid", count=1),
        Fault("get pods", status=422, reason="Invalid", count=1), Fault("delete pods", status=403),
    )  # fmt: skip
    task = operator(kube, FOREVER)
    with pytest.raises(errors.RequestRefused):
        worker.execute(task, worker.context(task))
    label = only(kube)["metadata"]["labels"]["asyncrun/launch"]
    text = said(capsys, caplog)
    assert "could not be deleted; look for the label" in text
    assert f"asyncrun/launch={label}" in text


@pytest.mark.parametrize("setting", ["2OO", "200"])
def test_a_time_out_between_the_answer_and_the_operator_deletes_the_pod(
    kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch, setting: str
) -> None:
    """Also where the configuration cannot be read any more."""
    time_out_after_closing(monkeypatch, clients_kube, "close_all_kube", setting)
    task = operator(kube, FOREVER)
    with pytest.raises(AirflowTaskTimeout):
        worker.execute(task, worker.context(task))
    monkeypatch.delenv("AIRFLOW__ASYNCRUN__LOG_RATE")
    load_settings.cache_clear()
    assert alive(kube) == []
    assert (asked(kube, "create pods"), asked(kube, "delete pods")) == (1, 1)


def test_a_kill_before_the_launch_creates_nothing(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube)
    task.on_kill()
    with pytest.raises(errors.KilledWhileLaunching, match="killed while its pod was being launched"):
        worker.execute(task, worker.context(task))
    assert (asked(kube, "create pods"), asked(kube, "delete pods")) == (0, 0)


def kill_while_creating(kube: KubeLab, worker: Worker) -> None:
    """Once Kubernetes has been asked for the pod."""
    task = operator(kube, FOREVER)
    with ThreadPoolExecutor(1) as pool:
        executing = pool.submit(worker.execute, task, worker.context(task))
        kube.until(lambda: asked(kube, "create pods"))
        task.on_kill()
        with pytest.raises(errors.KilledWhileLaunching):
            executing.result(60)


def test_a_kill_while_the_pod_is_being_created_deletes_it(kube: KubeLab, worker: Worker) -> None:
    kube.kube.control.add_faults(Fault("create pods", "delay", delay=1))
    kill_while_creating(kube, worker)
    assert alive(kube) == []


def test_a_kill_while_creating_is_throttled_creates_nothing(kube: KubeLab, worker: Worker) -> None:
    kube.kube.control.add_faults(Fault("create pods", status=429, count=2))
    kill_while_creating(kube, worker)
    assert pods(kube) == []


@pytest.mark.parametrize(("action", "stays"), [("delete_pod", False), ("keep_pod", True)])
def test_a_kill_in_the_worker_does_what_on_kill_action_says(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any, action: str, stays: bool
) -> None:
    task = operator(kube, FOREVER, on_kill_action=action, termination_grace_period=1)
    with ThreadPoolExecutor(1) as pool:
        executing = pool.submit(worker.execute, task, worker.context(task))
        kube.until(lambda: any(one["status"]["phase"] == "Running" for one in pods(kube)))
        task.on_kill()
        assert bool(alive(kube)) is stays
        if stays:
            assert "goes on: the Airflow task was killed, and on_kill_action=keep_pod" in said(capsys, caplog)
            kube.call("DELETE", f"/namespaces/airflow/pods/{only(kube)['metadata']['name']}")
        with pytest.raises(errors.RunFailed):
            executing.result(60)


def test_a_failure_between_create_and_defer_deletes_the_pod(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, FOREVER, deferrable=True)
    with pytest.raises(RuntimeError, match="the API server is away"):
        worker.execute(task, worker.context(task, ti=Unwritable(task.task_id)))
    assert alive(kube) == []


def test_a_failed_deferral_deletes_the_pod_that_was_announced(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    """In another process: nothing but the XCom tells which pod it was."""
    task = operator(kube, FOREVER, deferrable=True)
    context = worker.context(task)
    deferred(worker, task, context)
    resumed = operator(kube, FOREVER, deferrable=True, task_id=task.task_id)
    with pytest.raises(TaskDeferralError):
        worker.call(resumed.resume_execution, "__fail__", {"error": "Trigger failure"}, context)
    assert alive(kube) == []
    assert "the deferral of the Airflow task failed" in said(capsys, caplog)


def test_a_failed_deferral_of_another_try_deletes_nothing(kube: KubeLab, worker: Worker) -> None:
    task = operator(kube, FOREVER, deferrable=True)
    context = worker.context(task)
    deferred(worker, task, context)
    later = Ti(task.task_id, try_number=2)
    later.xcoms[RUN_XCOM_KEY] = context["ti"].xcoms[RUN_XCOM_KEY]
    resumed = operator(kube, FOREVER, deferrable=True, task_id=task.task_id)
    with pytest.raises(TaskDeferralError):
        worker.call(
            resumed.resume_execution, "__fail__", {"error": "Trigger failure"}, worker.context(resumed, ti=later)
        )
    assert len(alive(kube)) == 1


def test_a_stop_that_kubernetes_does_not_answer_takes_as_long_as_a_kill_may(
    kube: KubeLab, worker: Worker, monkeypatch: pytest.MonkeyPatch, capsys: Any, caplog: Any
) -> None:
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__KILL_GRACE", "1")
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "0")
    load_settings.cache_clear()
    task = operator(kube, FOREVER, deferrable=True)
    watch = deferred(worker, task, worker.context(task))
    kube.kube.control.add_faults(Fault("delete pods", "delay", delay=4))
    began = time.monotonic()
    worker.call(task.on_kill)
    assert time.monotonic() - began < 3.5
    join_stops()
    assert f"Kubernetes has not confirmed in time that pod {watch.ref} is being stopped" in said(capsys, caplog)


def test_a_denied_delete_says_who_must_allow_what_and_that_the_pod_may_run(
    kube: KubeLab, worker: Worker, capsys: Any, caplog: Any
) -> None:
    rules = [Rule(verbs=("create",), resources=("pods",))]
    config = kube.kubeconfig("no-delete", kube.kube.control.add_token(rules))
    task = operator(kube, FOREVER, deferrable=True, config_file=str(config))
    with pytest.raises(TaskDeferred):
        worker.execute(task, worker.context(task))
    worker.call(task.on_kill)
    text = said(capsys, caplog)
    assert "could not be stopped and may still be running" in text
    assert "must allow the verb 'delete' on 'pods'" in text


PROGRAM = """
import contextvars, signal, sys
from tests.operators.support import Worker
from tests.operators.pod_support import operator
from types import SimpleNamespace

class Here(Worker):
    def call(self, function, *arguments, **named):
        return function(*arguments, **named)  # in the main thread, as the task runner does

lab = SimpleNamespace(config=sys.argv[1])
task = operator(lab, "echo up; sleep 60", task_id="signalled")
def handler(number, frame):
    task.on_kill()
    raise SystemExit(99)
signal.signal(signal.SIGTERM, handler)
worker = Here()
worker.execute(task, worker.context(task))
"""


def test_a_signal_to_the_worker_deletes_the_pod(kube: KubeLab, tmp_path: Path) -> None:
    """The SDK calls on_kill in its handler of SIGTERM: in the middle of our own event loop."""
    environment = {**os.environ, "AIRFLOW_HOME": str(tmp_path)}
    with subprocess.Popen(
        [sys.executable, "-W", "ignore", "-c", PROGRAM, str(kube.config)], env=environment, stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT, text=True,
    ) as process:  # fmt: skip
        try:
            kube.until(lambda: any(one["status"]["phase"] == "Running" for one in pods(kube)), 60)
            os.kill(process.pid, signal.SIGTERM)
            output = process.communicate(timeout=60)[0]
        finally:
            process.kill()
    assert process.returncode == 99, output
    assert alive(kube) == [], output
    assert "the Airflow task was killed" in output


def test_an_execution_timeout_in_the_triggerers_way_stops_the_pod(kube: KubeLab, worker: Worker) -> None:
    from datetime import timedelta

    task = operator(kube, FOREVER, deferrable=True, execution_timeout=timedelta(seconds=1), termination_grace_period=0)
    context = worker.context(task)
    watch = deferred(worker, task, context)
    assert watch.deadline is not None
    assert 0 < watch.deadline - watch.launched_at <= 1
    event = worker.call(kube.inline_event, watch)
    with pytest.raises(errors.DeadlineExceeded, match="execution_timeout=0:00:01"):
        worker.call(task.execute_complete, context, json.loads(json.dumps(event)))
    kube.until(lambda: not pods(kube))
