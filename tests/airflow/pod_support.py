"""What the end-to-end tests of pods look at: the log by the REST API, and the embedded cluster's own truth."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx
import psutil

from asyncrun.local.airflow import LocalAirflow, LogRecord, TaskInstance
from asyncrun.local.kube import EmbeddedKube, Request
from tests.airflow.support import states

NAMESPACE = "airflow"
"""Where the connection of the examples and of all tests puts pods."""

GONE_WITHIN = 15.0  # s: on_kill comes after 1-2 s, asking Airflow and the pod's end take less; and what is deleted
# after its end goes 5 s later (pod_delete_delay).


def lines_of(records: Iterable[LogRecord], container: str = "base") -> list[str]:
    """What the container wrote: its records carry its name as logger, and may hold several lines."""
    return [
        line
        for record in records
        if record.logger == container
        for line in record.event.removeprefix(f"[{container}] ").split("\n")
    ]


def told(records: Iterable[LogRecord], containers: Iterable[str] = ("base",)) -> str:
    """Everything but the containers' lines, errors with their messages: what a user reads who looks for a reason."""
    return "\n".join(
        f"{record} {record.fields.get('reason', '')}".rstrip() for record in records if record.logger not in containers
    )


def error_of(records: Iterable[LogRecord]) -> tuple[str, str]:
    """Class and message of the first exception in a task's log; empty where there is none."""
    errors = [error for record in records for error in record.fields.get("error_detail") or []]
    return (errors[0]["exc_type"], errors[0]["exc_value"]) if errors else ("", "")


def task_process(airflow: LocalAirflow, ti_id: str) -> psutil.Process:
    """The process that executes this try; its parent, the worker, is named after the try too."""
    named = [one for one in airflow.processes() if ti_id in one.cmdline()]
    [process] = [one for one in named if "LocalExecutor:" not in one.cmdline()]
    return process


@dataclass
class Cluster:
    """The pods of an embedded cluster, as its administrator sees them, and what it was asked since a moment."""

    kube: EmbeddedKube
    namespace: str = NAMESPACE
    began: float = field(default_factory=time.monotonic)

    def _call(self, method: str, path: str, **options: Any) -> Any:
        headers = {"Authorization": f"Bearer {self.kube.token}"}
        url = f"{self.kube.url}/api/v1/namespaces/{self.namespace}/{path}"
        answer = httpx.request(method, url, headers=headers, timeout=30, trust_env=False, **options)
        answer.raise_for_status()
        return answer.json()

    def pods(self) -> dict[str, dict[str, Any]]:
        """Every pod there is, by its uid."""
        return {pod["metadata"]["uid"]: pod for pod in self._call("GET", "pods")["items"]}

    def delete(self, name: str) -> None:
        """Delete a pod at once."""
        self._call("DELETE", f"pods/{name}", params={"gracePeriodSeconds": 0})

    def requests(self, operation: str) -> list[Request]:
        """Those of that operation since this was made, oldest first."""
        every = self.kube.control.requests()
        return [one for one in every if one.operation == operation and one.time >= self.began]

    def created(self) -> int:
        """How many pods were created."""
        return sum(one.status == 201 for one in self.requests("create pods"))

    def deletes(self, *names: str) -> list[Request]:
        """Requests to delete these pods."""
        return [one for one in self.requests("delete pods") if one.path.rpartition("/")[2] in names]


@dataclass
class PodTasks:
    """Task instances of one DAG run, and the pods that they launched."""

    airflow: LocalAirflow
    cluster: Cluster
    dag_id: str
    run_id: str

    def ti(self, task_id: str = "run", map_index: int = -1) -> TaskInstance:
        return self.airflow.task_instance(self.dag_id, self.run_id, task_id, map_index)

    def logs(self, task_id: str = "run", map_index: int = -1, try_number: int | None = None) -> list[LogRecord]:
        return self.airflow.logs(self.dag_id, self.run_id, task_id, try_number, map_index)

    def states(self) -> dict[str, str | None]:
        return states(self.airflow, self.dag_id, self.run_id)

    def xcom(self, key: str, task_id: str = "run", map_index: int = -1) -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, key, map_index)

    def keys(self, task_id: str = "run", map_index: int = -1) -> set[str]:
        """Of the XComs that are not ours for ourselves."""
        every = self.airflow.xcom_keys(self.dag_id, self.run_id, task_id, map_index)
        return {key for key in every if not key.startswith("asyncrun_")}

    def result(self, task_id: str = "run", map_index: int = -1) -> Any:
        return self.xcom("return_value", task_id, map_index)

    def uid(self, task_id: str = "run", map_index: int = -1) -> str:
        """Of the pod that the latest try announced."""
        record = self.xcom("asyncrun_run", task_id, map_index)
        return str((json.loads(record) if isinstance(record, str) else record)["ref"]["uid"])

    def name(self, task_id: str = "run", map_index: int = -1) -> str:
        """The same pod's name."""
        return str(self.xcom("pod_name", task_id, map_index))

    def expect(self, state: str = "success", timeout: float = 150) -> None:
        self.airflow.expect(self.dag_id, self.run_id, state, timeout)

    def wait_for_lines(
        self, task_id: str = "run", map_indexes: Sequence[int] = (-1,), text: str = "line", timeout: float = 90
    ) -> None:
        """Until each of these tasks is deferred and shows a line of its base container with that text."""
        for map_index in map_indexes:

            def streams(index: int = map_index) -> bool:
                ti = self.ti(task_id, index)
                assert not ti.finished, self.airflow.report(self.dag_id, self.run_id)
                lines = lines_of(self.logs(task_id, index)) if ti.state == "deferred" else []
                return any(text in line for line in lines)

            what = f"{text!r} in the log of {task_id}[{map_index}]"
            self.airflow.wait_until(streams, what, timeout, now=self.states)


def connect(airflow: LocalAirflow, conn_id: str, kubeconfig: Path, namespace: str = NAMESPACE) -> None:
    """Give Airflow a connection to what that kubeconfig leads to."""
    extra = {"kube_config_path": str(kubeconfig), "namespace": namespace}
    connection = {"connection_id": conn_id, "conn_type": "kubernetes", "extra": json.dumps(extra)}
    airflow.request("POST", "/connections", json=connection)


def disconnect(airflow: LocalAirflow, conn_id: str) -> None:
    """Take it away."""
    airflow.request("DELETE", f"/connections/{conn_id}")
