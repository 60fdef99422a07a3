"""Pods as operators launch them, and tries of one task instance, each in a worker of its own."""

from __future__ import annotations

import uuid
from typing import Any

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import LaunchPhase, PodLaunchRecord, PodRef
from asyncrun.operators.launch_notes import STORE_KEY
from asyncrun.operators.pod import KubernetesPodOperator
from tests.operators.support import DyingTi, Store, Ti, Worker, WorkerDied
from tests.support.kube_lab import NAMESPACE, KubeLab

FOREVER = "sleep 60"
"""Outlasts its test, and ends at TERM."""


def operator(kube: KubeLab, script: str = "true", **arguments: Any) -> KubernetesPodOperator:
    """One that waits in the worker."""
    given: dict[str, Any] = {
        "task_id": f"t{uuid.uuid4().hex[:6]}",
        "image": "busybox",
        "cmds": ["sh", "-c", script],
        "config_file": str(kube.config),
        "kubernetes_conn_id": None,
        "namespace": NAMESPACE,
        "deferrable": False,
        **arguments,
    }
    kind: type[KubernetesPodOperator] = given.pop("kind", KubernetesPodOperator)
    return kind(**given)


def pods(kube: KubeLab) -> list[dict[str, Any]]:
    return list(kube.call("GET", f"/namespaces/{NAMESPACE}/pods")["items"])


def only(kube: KubeLab) -> dict[str, Any]:
    (pod,) = pods(kube)
    return pod


def alive(kube: KubeLab) -> list[dict[str, Any]]:
    """Those that are not being deleted."""
    return [one for one in pods(kube) if "deletionTimestamp" not in one["metadata"]]


def ended(kube: KubeLab, name: str = "") -> None:
    """Wait until that pod, or every one, has its final phase."""
    kube.until(
        lambda: all(one["status"]["phase"] in ("Succeeded", "Failed") for one in pods(kube)
                    if not name or one["metadata"]["name"] == name)
    )  # fmt: skip


def deferred(worker: Worker, task: KubernetesPodOperator, context: dict[str, Any]) -> PodWatch:
    with pytest.raises(TaskDeferred) as caught:
        worker.execute(task, context)
    assert caught.value.method_name == "execute_complete"
    return PodWatch.from_dict(caught.value.trigger.serialize()[1]["watch"])


def asked(kube: KubeLab, operation: str) -> int:
    return kube.kube.control.counts().counts.get(operation, 0)


def said(capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> str:
    return "".join(capsys.readouterr()) + caplog.text


class PodTries:
    """Tries of one task instance, each in a worker of its own."""

    def __init__(self, kube: KubeLab, worker: Worker, run_id: str) -> None:
        self.kube, self.worker, self.run_id, self.store, self.number = kube, worker, run_id, Store(), 0

    def context(self, task: Any, kind: type[Ti] = Ti) -> dict[str, Any]:
        self.number += 1
        ti = kind(task.task_id, try_number=self.number, run_id=self.run_id)
        return self.worker.context(task, ti=ti, task_state_store=self.store)

    def run(self, task: Any, kind: type[Ti] = Ti) -> Any:
        """The next try, to its end in this worker."""
        return self.worker.execute(task, self.context(task, kind))

    def deferred(self, task: Any) -> PodWatch:
        """The next try, which defers."""
        return deferred(self.worker, task, self.context(task))

    def dies(self, task: Any) -> PodRef:
        """The next try, whose worker dies between launch and deferral; its pod."""
        task._stop_now = lambda ref, why: True  # kill -9 stops nothing; an exception would
        with pytest.raises(WorkerDied):
            self.run(task, DyingTi)
        del task._stop_now
        assert self.noted.phase is LaunchPhase.LAUNCHED
        return self.noted.ref

    @property
    def noted(self) -> PodLaunchRecord:
        return PodLaunchRecord.from_dict(self.store.get(STORE_KEY))
