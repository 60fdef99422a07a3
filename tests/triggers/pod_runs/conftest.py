"""Pods on an embedded Kubernetes, played from scripts or run as processes; or in memory."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator

import pytest

from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions
from tests.support.kube_lab import KubeLab
from tests.support.supervisor import Supervisor, supervised
from tests.triggers.pod_runs.shared_memory import SharedMemory

QUICK = {"pod_delete_delay": "0.2", "pod_poll_interval": "0.2", "kube_rate": "1000", "logs_drain_limit": "5"}


@pytest.fixture(scope="session")
def shared_kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    """One embedded Kubernetes for all tests; its pods are played."""
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted")) as kube:
        yield KubeLab(kube, tmp_path_factory.mktemp("kube"))
        assert kube.log_text() == ""


@pytest.fixture
def kube(shared_kube: KubeLab, settings: pytest.MonkeyPatch) -> Iterator[KubeLab]:
    """The same, undisturbed; settings are short times."""
    for name, value in QUICK.items():
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name.upper()}", value)
    shared_kube.kube.control.counts(clear=True)
    yield shared_kube
    shared_kube.kube.control.clear_faults()
    shared_kube.kube.control.accept()
    shared_kube.call("DELETE", "/namespaces/airflow/pods", gracePeriodSeconds="0")


@pytest.fixture
async def airflow(loop_closed: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Supervisor]:
    """Airflow, which knows nothing of the task: it was deleted, or cleared."""
    async with supervised(monkeypatch) as supervisor:
        yield supervisor


@pytest.fixture
async def memory(loop_closed: None) -> AsyncIterator[SharedMemory]:
    """A Kubernetes in memory, left by all at the test's end."""
    made = SharedMemory()
    yield made
    assert made.users == 0
