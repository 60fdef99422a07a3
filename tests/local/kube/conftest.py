"""An embedded API server in the test's own event loop, and a client for it."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import aiohttp
import msgspec
import pytest
from yarl import URL

from asyncrun.local.kube import EmbeddedKube
from asyncrun.local.kube.node_api import Node
from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.kube.scripted import ScriptedNode
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Store
from tests.local.kube.kubectl_lab import Kubectl


class Kube:
    """
    A server and requests to it.

    :param token: of the administrator.
    """

    def __init__(self, server: KubeServer, http: aiohttp.ClientSession) -> None:
        self.server, self.http = server, http
        self.store = server.store
        self.token = server.token

    async def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> tuple[int, Any]:
        """Status and content (decoded, if it is JSON). ``token`` None: no header; empty: the administrator's."""
        async with self.open(method, path, body, token=token, headers=headers) as answer:
            raw = await answer.read()
        if answer.content_type == "application/json" and raw:
            return answer.status, msgspec.json.decode(raw)
        return answer.status, raw.decode(errors="replace")

    def open(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        token: str | None = "",
        headers: dict[str, str] | None = None,
    ) -> Any:
        """The request as a context manager."""
        sent = {} if token is None else {"Authorization": f"Bearer {token or self.token}"}
        data: Any = body if isinstance(body, (bytes, str, type(None))) else msgspec.json.encode(body)
        if data is not None and len(data) > 1 << 20:
            data = io.BytesIO(data.encode() if isinstance(data, str) else data)  # aiohttp wants it so
        kind = {"Content-Type": "application/json"} if data is not None else {}
        url = URL(self.server.url + path, encoded=True)
        return self.http.request(method, url, data=data, headers={**kind, **sent, **(headers or {})})

    async def create(self, name: str, **manifest: Any) -> dict[str, Any]:
        """A pod in ``default``."""
        status, pod = await self.ask("POST", "/api/v1/namespaces/default/pods", pod_manifest(name, **manifest))
        assert status == 201, pod
        assert isinstance(pod, dict)
        return pod


def pod_manifest(
    name: str, *, labels: dict[str, str] | None = None, annotations: dict[str, str] | None = None, **spec: Any
) -> dict[str, Any]:
    """Of a pod with one container, ``main``, unless ``spec`` says something else."""
    metadata: dict[str, Any] = {"name": name, "labels": labels or {}, "annotations": annotations or {}}
    whole = {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox:1.36"}], **spec}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": whole}


MakeKube = Callable[..., Awaitable[Kube]]


@pytest.fixture
async def make_kube() -> AsyncIterator[MakeKube]:
    """Starts servers; options as keyword arguments, ``node`` for another one than the scripted."""
    async with AsyncExitStack() as stack:

        async def make(node: Node | None = None, **options: Any) -> Kube:
            given = EmbeddedKubeOptions(node="scripted", heartbeat=0, **options)
            server = await stack.enter_async_context(KubeServer(Store(), node or ScriptedNode(), given))
            http = await stack.enter_async_context(aiohttp.ClientSession())
            return Kube(server, http)

        yield make


@pytest.fixture
async def kube(make_kube: MakeKube) -> Kube:
    """A server with the usual options."""
    return await make_kube()


@pytest.fixture(scope="module")
def tls_kube() -> Iterator[EmbeddedKube]:
    """kubectl sends no token without TLS."""
    with EmbeddedKube(EmbeddedKubeOptions(tls=True)) as kube:
        yield kube
        assert kube.log_text() == ""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture
def kubectl(tls_kube: EmbeddedKube, home: Path) -> Iterator[Kubectl]:
    """kubectl with a namespace of its own, which goes with the test."""
    with Kubectl(tls_kube, home) as made:
        yield made
