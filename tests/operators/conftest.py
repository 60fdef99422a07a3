"""An embedded AWS and a small worker for tests of operators."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator

# Importing airflow.sdk reads, and would write, a configuration: never the developer's own.
os.environ.setdefault("AIRFLOW_HOME", tempfile.mkdtemp(prefix="asyncrun-test-"))
# The examples bring a listener, and listeners need a worker for the end of a task.
os.environ["AIRFLOW__CORE__LOAD_EXAMPLES"] = "False"

import pytest

from asyncrun.clients.config import load_settings
from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions, LifecycleDelays
from asyncrun.local.kube import EmbeddedKube
from tests.operators.support import GROUP, Worker, register
from tests.support.kube_lab import NAMESPACE, KubeLab


@pytest.fixture
def worker() -> Worker:
    return Worker()


@pytest.fixture(scope="session")
def aws_server() -> Iterator[EmbeddedAws]:
    delays = LifecycleDelays(deprovisioning=0.1)
    options = EmbeddedAwsOptions(log_groups=(GROUP,), delays=delays, flush_interval=0.2)
    with EmbeddedAws(options) as aws:
        yield aws


@pytest.fixture
def aws(aws_server: EmbeddedAws, monkeypatch: pytest.MonkeyPatch) -> Iterator[EmbeddedAws]:
    """The server, as what the SDK finds in the environment, with a task definition of one container ``main``."""
    for name, value in aws_server.env().items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD", "1")  # the embedded driver flushes more often
    load_settings.cache_clear()
    aws_server.control.clear_faults()
    aws_server.control.calls(clear=True)
    register(aws_server)
    yield aws_server
    load_settings.cache_clear()
    aws_server.control.clear_faults()
    aws_server.control.set_out_of_capacity()


@pytest.fixture(scope="session")
def kube_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    with EmbeddedKube() as kube:
        yield KubeLab(kube, tmp_path_factory.mktemp("kube"))
        assert kube.log_text() == ""


@pytest.fixture
def kube(kube_server: KubeLab) -> Iterator[KubeLab]:
    """A Kubernetes whose containers are processes of this machine, empty."""
    load_settings.cache_clear()
    kube_server.kube.control.counts(clear=True)
    yield kube_server
    kube_server.kube.control.clear_faults()
    kube_server.call("DELETE", f"/namespaces/{NAMESPACE}/pods", gracePeriodSeconds="0")
