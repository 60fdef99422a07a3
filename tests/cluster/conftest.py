"""
One cluster for the tests of this folder: an embedded one, or with ``--kubeconfig`` a real one (``make test-cluster``).

They need a namespace, which they make and remove, and one image with a POSIX shell (``--image``); no DNS, no registry
if the nodes have the image.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import uuid4

os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="asyncrun-test-"))
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import pytest

from asyncrun.clients.config import load_settings
from asyncrun.local.kube import EmbeddedKube
from asyncrun.operators.pod import KubernetesPodOperator
from tests.operators.support import Worker
from tests.support.lab import until


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
        self.api.create_namespace({"metadata": {"name": self.namespace, "labels": {"asyncrun": "test"}}})
        # Pods are refused until the service account of a new namespace is there.
        until(self._accounts, lambda names: "default" in names, seconds=60)
        return self

    def _accounts(self) -> list[str]:
        return [one.metadata.name for one in self.api.list_namespaced_service_account(self.namespace).items]

    def __exit__(self, *_: object) -> None:
        self.api.delete_namespace(self.namespace)
        self.api.api_client.close()

    def operator(self, script: str = "true", **arguments: Any) -> KubernetesPodOperator:
        """One that runs that script and waits in this process."""
        given: dict[str, Any] = {
            "task_id": f"t{uuid4().hex[:6]}",
            "image": self.image,
            "image_pull_policy": "IfNotPresent",
            "cmds": ["sh", "-c", script],
            "config_file": str(self.config),
            "kubernetes_conn_id": None,
            "namespace": self.namespace,
            "deferrable": False,
            "startup_timeout_seconds": 300 if self.is_real else 60,
            "termination_grace_period": 5,
            **arguments,
        }
        return KubernetesPodOperator(**given)

    def container(self, name: str, script: str, **more: Any) -> dict[str, Any]:
        """A container beside the base one."""
        return {"name": name, "image": self.image, "imagePullPolicy": "IfNotPresent",
                "command": ["sh", "-c", script], **more}  # fmt: skip

    def pods(self) -> list[Any]:
        """All that are there."""
        return list(self.api.list_namespaced_pod(self.namespace).items)

    def empty(self) -> None:
        """Until no pod is left."""
        until(self.pods, lambda pods: not pods, seconds=90)


@pytest.fixture(scope="session")
def cluster(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
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
def worker() -> Worker:
    return Worker()


@pytest.fixture
def run(worker: Worker, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., Any]]:
    """``run(operator)``: its result, as a worker would have it."""
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__POD_DELETE_DELAY", "0")
    load_settings.cache_clear()
    yield lambda task, **values: worker.execute(task, worker.context(task, **values))
    load_settings.cache_clear()
