"""An API server that is away, hangs up, fails or has too much to do; and what it refuses."""

from __future__ import annotations

import asyncio
import json
import socket
from typing import Any

import pytest
from aiohttp import web

from asyncrun.clients.budget import Group, statistics
from asyncrun.clients.kube import open_kube
from asyncrun.model.errors import MalformedAnswer, NotFound, RequestRefused, Throttled, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import ALL, ONE, TARGET, get
from tests.clients.kube.standin import ApiServer, pod, status


@pytest.mark.usefixtures("connected")
class TestOutages:
    async def test_refused_connection(self, connect: Connect, settings: Settings) -> None:
        with socket.socket() as held:
            held.bind(("127.0.0.1", 0))
            url = f"http://127.0.0.1:{held.getsockname()[1]}"
            connect(kube_config=kubeconfig(url))
            async with open_kube(TARGET, settings) as kube:
                with pytest.raises(Unavailable) as caught:
                    await get(kube)
        assert str(caught.value).startswith(f"Kubernetes at {url} did not answer (")
        assert str(caught.value).endswith(") when it was asked to get pods 'p' in namespace 'ns'.")

    async def test_name_that_leads_nowhere(self, connect: Connect, settings: Settings) -> None:
        connect(kube_config=kubeconfig("http://no-such-host.invalid"))
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(Unavailable, match=r"http://no-such-host.invalid did not answer \(.+\) when"):
                await get(kube)

    async def test_server_that_hangs_up(self, server: ApiServer, settings: Settings) -> None:
        def hang_up(request: Any) -> tuple[int, Any]:
            request.transport.abort()
            return 200, {}

        server.answers[f"POST {ALL}"] = hang_up
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(Unavailable, match="when it was asked to create pods in namespace 'ns'"):
                await kube.pods("ns").create({})
        assert server.count() == 1

    async def test_failing_server(self, server: ApiServer, settings: Settings) -> None:
        server.answers[f"GET {ONE}"] = [
            (500, status(500, "InternalError", "etcdserver: leader changed")),
            (503, status(503, "ServiceUnavailable", "apiserver is shutting down")),
            (504, status(504, "Timeout", "Timeout: request did not complete")),
            (200, "half of"),
            (200, pod()),
        ]
        async with open_kube(TARGET, settings) as kube:
            for kind, said in [(Unavailable, "leader changed"), (Unavailable, "shutting down"),
                               (Unavailable, "complete"),
                               (MalformedAnswer, "cannot be read")]:  # fmt: skip
                with pytest.raises(kind, match=said):
                    await get(kube)
            assert await get(kube) == "u-1"

    async def test_throttled_answer_slows_down_whoever_asks_that_server(
        self, server: ApiServer, settings: Settings
    ) -> None:
        body = status(429, "TooManyRequests", "too many requests, please try again later", retryAfterSeconds=1)
        server.answers[f"GET {ONE}"] = [(429, body), (200, pod())]
        loop = asyncio.get_running_loop()
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(Throttled, match="has too many requests at the moment to get pods 'p'"):
                await get(kube)
            before = loop.time()
            assert await get(kube) == "u-1"
            assert loop.time() - before > 0.9
            for follow in (True, False):  # each has a budget of its own
                with pytest.raises(NotFound):
                    async with kube.pods("ns").log("q", "main", follow=follow, silence=1):
                        pass
        found = {key[2]: one for key, one in statistics().items() if key[0] == server.url}
        assert {group: (one.calls, one.throttled) for group, one in found.items()} == {
            Group.KUBE: (2, 1), Group.KUBE_LOGS: (1, 0), Group.KUBE_LOG_READS: (1, 0)
        }  # fmt: skip


@pytest.mark.usefixtures("connected")
async def test_refusal_that_comes_in_many_portions_is_read_whole(server: ApiServer, settings: Settings) -> None:
    body = json.dumps(status(422, "Invalid", "much " * 50_000 + "is wrong")).encode()

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(status=422, headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for start in range(0, len(body), 50_000):
            await response.write(body[start : start + 50_000])
            await asyncio.sleep(0.01)
        return response

    server.answers[f"POST {ALL}"] = answer
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(RequestRefused) as caught:
            await kube.pods("ns").create({})
    assert caught.value.code == "Invalid"
    assert len(str(caught.value)) < 1200
