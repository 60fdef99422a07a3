"""An API server, Airflow connections and kubeconfigs that lead to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients import kube_resolving
from asyncrun.clients.kube import close_all_kube
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from tests.clients.kube.standin import ApiServer, serving

TARGET = KubeTarget(conn_id="kube_test")
Connect = Callable[..., None]


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """No cluster around this process, no kubeconfig of its user, no proxy."""
    for name in ("KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT", "KUBECONFIG", "HTTP_PROXY", "http_proxy",
                 "HTTPS_PROXY", "https_proxy"):  # fmt: skip
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(kube_resolving, "SERVICE_ACCOUNT", tmp_path / "serviceaccount")


@pytest.fixture
def settings() -> Settings:
    """Fast budgets: pacing has tests of its own."""
    return Settings(kube_rate=10000, exec_plugin_limit=20)


@pytest.fixture
async def server(no_leaked_tasks: None) -> AsyncIterator[ApiServer]:
    """An API server; what the test opened is closed before it ends."""
    async with serving() as server:
        yield server
        await close_all_kube()


@pytest.fixture
def connect(monkeypatch: pytest.MonkeyPatch) -> Connect:
    """Define an Airflow connection of type kubernetes."""

    def define(conn_id: str = "kube_test", **extra: Any) -> None:
        described = {"conn_type": "kubernetes", "extra": extra}
        monkeypatch.setenv(f"AIRFLOW_CONN_{conn_id.upper()}", json.dumps(described))

    return define


def kubeconfig(url: str, user: dict[str, Any] | None = None, **cluster: Any) -> dict[str, Any]:
    """A kubeconfig of one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "test",
        "contexts": [{"name": "test", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": url, **cluster}}],
        "users": [{"name": "u", "user": {"token": "t-1"} if user is None else user}],
    }
