"""An API server, Airflow connections and kubeconfigs that lead to it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients import kube_auth, kube_resolving
from asyncrun.clients.kube import close_all_kube
from asyncrun.model.settings import Settings
from tests.clients.kube.one_pod import OLD, ONE
from tests.clients.kube.plugin import GET, Clock, PlugIn
from tests.clients.kube.standin import ApiServer, pod, serving

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


@pytest.fixture
def connected(connect: Connect, server: ApiServer) -> None:
    server.answers[f"GET {ONE}"] = (200, pod())
    connect(kube_config=kubeconfig(server.url, {"token": OLD}))


@pytest.fixture
def plugin(tmp_path: Path) -> PlugIn:
    folder = tmp_path / "plugin"
    folder.mkdir()
    return PlugIn(folder)


@pytest.fixture
def configured(server: ApiServer, connect: Connect, plugin: PlugIn) -> Callable[..., None]:
    """A connection whose kubeconfig names the plug-in, and a server with one pod."""
    server.answers[GET] = (200, pod())

    def configure(command: str = "", **more: Any) -> None:
        connect(kube_config=kubeconfig(server.url, plugin.user(command, **more)))

    configure()
    return configure


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    clock = Clock()
    monkeypatch.setattr(kube_auth, "wall_clock", clock)
    return clock
