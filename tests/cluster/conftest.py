"""
One cluster for the tests of this folder: an embedded one, or with ``--kubeconfig`` a real one (``make test-cluster``).

They need a namespace, which they make and remove (which needs a role that may), and one image with a POSIX shell and
the usual small tools (``--image``). No DNS, and no registry if the nodes have the image and its name has a tag other
than ``latest``. Nothing may depend on how fast a cluster is, or on its nodes' clocks.
"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="asyncrun-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import pytest
from airflow.sdk.exceptions import TaskDeferred

from asyncrun.clients.config import load_settings
from asyncrun.local.kube import EmbeddedKube
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import KubeTarget
from asyncrun.operators.pod import KubernetesPodOperator
from tests.operators.support import Worker
from tests.support.lab import until
from tests.support.supervisor import Supervisor, supervised
from tests.triggers.conftest import TaskLogReader, loop_closed, task_log

__all__ = ["loop_closed", "task_log"]

CONNECTION = "any_cluster"


@dataclass
class Cluster:
    """
    A namespace of one's own in a cluster.

    :param config: path of a kubeconfig file.
    :param image: has ``sh`` and the usual small tools.
    """

    config: Path
    image: str
    is_real: bool
    namespace: str = field(default_factory=lambda: f"asyncrun-test-{uuid4().hex[:8]}")
    api: Any = field(init=False, repr=False)

    def __enter__(self) -> Cluster:
        from kubernetes import client, config

        self.api = client.CoreV1Api(config.new_client_from_config(str(self.config)))
        # Containers run as their image says, which where clusters are strict a namespace must allow.
        labels = {"asyncrun": "test", "pod-security.kubernetes.io/enforce": "baseline"}
        self.api.create_namespace({"metadata": {"name": self.namespace, "labels": labels}})
        try:
            # Pods are refused until the service account of a new namespace is there.
            until(self._accounts, lambda names: "default" in names, timeout=60)
        except BaseException:
            self.__exit__()
            raise
        return self

    def _accounts(self) -> list[str]:
        return [one.metadata.name for one in self.api.list_namespaced_service_account(self.namespace).items]

    def __exit__(self, *_: object) -> None:
        self.api.delete_namespace(self.namespace)
        self.api.api_client.close()
        self.api.api_client.rest_client.pool_manager.clear()

    def seconds(self, embedded: float) -> int:
        """What an embedded cluster does in that time, any cluster does in this."""
        return round(embedded * 10 if self.is_real else embedded)

    @property
    def target(self) -> KubeTarget:
        return KubeTarget(conn_id=None, config_file=str(self.config))

    def operator(self, script: str = "true", **arguments: Any) -> KubernetesPodOperator:
        """One that runs that script and waits in this process."""
        given: dict[str, Any] = {
            "task_id": f"t{uuid4().hex[:6]}",
            "image": self.image,
            "image_pull_policy": "IfNotPresent",
            "cmds": ["sh", "-c", script],
            "kubernetes_conn_id": CONNECTION,
            "namespace": self.namespace,
            "deferrable": False,
            "startup_timeout_seconds": self.seconds(60),
            "termination_grace_period": 5,
            **arguments,
        }
        return KubernetesPodOperator(**given)

    def container(self, name: str, script: str, **more: Any) -> dict[str, Any]:
        """A container beside the base one."""
        return {"name": name, "image": self.image, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script], **more}  # fmt: skip

    def manifest(self, name: str, script: str, *, labels: dict[str, str]) -> dict[str, Any]:
        """A pod that no operator has made."""
        spec = {"restartPolicy": "Never", "terminationGracePeriodSeconds": 5, "containers": [
            self.container("base", script)
        ]}  # fmt: skip
        return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": labels}, "spec": spec}

    def pods(self) -> list[Any]:
        """All that are there."""
        return list(self.api.list_namespaced_pod(self.namespace).items)

    def uids(self) -> set[str]:
        """Of all pods that are there."""
        return {pod.metadata.uid for pod in self.pods()}

    def running(self) -> Any:
        """The only pod, once it runs."""
        (pod,) = until(self.pods, lambda pods: any(_runs(pod) for pod in pods), timeout=self.seconds(30))
        return pod

    def until_it_says(self, name: str, text: str) -> None:
        """Until that stands in the log of that pod's base container."""
        from kubernetes.client import ApiException

        def log() -> str:
            try:
                return str(self.api.read_namespaced_pod_log(name, self.namespace, container="base"))
            except ApiException as error:
                if error.status != 400:  # it has not started
                    raise
                return ""

        until(log, lambda said: text in said, timeout=self.seconds(30))

    def empty(self) -> None:
        """Until no pod is left."""
        until(self.pods, lambda pods: not pods, timeout=self.seconds(30))


def _runs(pod: Any) -> bool:
    """Ready is said later than it runs."""
    return any(one.state.running for one in pod.status.container_statuses or ())


@pytest.fixture(scope="session")
def shared_cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """The cluster, with an empty namespace."""
    given, image = request.config.getoption("--kubeconfig"), request.config.getoption("--image")
    if given:
        with Cluster(Path(given).absolute(), image, is_real=True) as made:
            yield made
        return
    with EmbeddedKube() as kube:
        config = kube.write_kubeconfig(tmp_path_factory.mktemp("cluster") / "kubeconfig")
        with Cluster(config, image, is_real=False) as made:
            yield made
        assert kube.log_text() == ""


@pytest.fixture
def cluster(shared_cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """The same; every pod is gone at the test's end, and has gone by itself unless the test has failed."""
    extra = {
        "kube_config_path": str(shared_cluster.config),
        "xcom_sidecar_container_image": shared_cluster.image,
    }
    connection = json.dumps({"conn_type": "kubernetes", "extra": extra})
    monkeypatch.setenv(f"AIRFLOW_CONN_{CONNECTION.upper()}", connection)
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__POD_DELETE_DELAY", "0")
    load_settings.cache_clear()
    yield shared_cluster
    load_settings.cache_clear()
    shared_cluster.api.delete_collection_namespaced_pod(shared_cluster.namespace, grace_period_seconds=0)
    shared_cluster.empty()


@pytest.fixture
def worker() -> Worker:
    return Worker()


class Runs:
    """Runs operators as a worker would, and knows what the containers said."""

    def __init__(self, worker: Worker, log: TaskLogReader) -> None:
        self._worker, self._log = worker, log

    def __call__(self, task: KubernetesPodOperator, **values: Any) -> Any:
        """What it returns."""
        return self._worker.execute(task, self._worker.context(task, **values))

    def deferred(self, task: KubernetesPodOperator, **values: Any) -> PodWatch:
        """What its trigger is told."""
        with pytest.raises(TaskDeferred) as caught:
            self(task, **values)
        return PodWatch.from_dict(caught.value.trigger.serialize()[1]["watch"])

    @property
    def said(self) -> str:
        """All of the task's log so far."""
        return "\n".join(str(one["event"]) for one in self._log.records())

    def lines(self, container: str) -> list[str]:
        """What that container wrote; among several its lines begin with its name."""
        return [line.removeprefix(f"[{container}] ") for line in self._log.lines(container)]


@pytest.fixture
def run(worker: Worker, task_log: TaskLogReader) -> Runs:
    """``run(operator)``: its result, as a worker would have it."""
    return Runs(worker, task_log)


@pytest.fixture
async def airflow(loop_closed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Airflow as a triggerer asks it, which knows nothing of any task: it was deleted, or cleared."""
    async with supervised(monkeypatch) as supervisor:
        yield supervisor
