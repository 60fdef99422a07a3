"""Proxies on the way to the API server."""

from __future__ import annotations

import asyncio
import contextlib
import traceback
from collections.abc import AsyncIterator

import pytest

from asyncrun.clients.kube import _registry, close_all_kube, open_kube
from asyncrun.model.errors import CredentialsExpired, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import ONE, TARGET, get
from tests.clients.kube.standin import ApiServer, pod


async def test_proxy_of_the_kubeconfig_is_asked(server: ApiServer, connect: Connect, settings: Settings) -> None:
    proxy = server.url.replace("http://", "http://user:secret-word@")
    server.answers[f"GET {ONE}"] = (200, pod())
    connect(kube_config=kubeconfig("http://k8s.invalid", **{"proxy-url": proxy}))
    async with open_kube(TARGET, settings) as kube:
        assert await get(kube) == "u-1"
        assert server.seen[0].headers["Host"] == "k8s.invalid"
        assert server.seen[0].headers["Proxy-Authorization"].startswith("Basic ")


async def test_proxy_that_is_away_is_told_without_its_password(connect: Connect, settings: Settings) -> None:
    connect(kube_config=kubeconfig("https://k8s.invalid", **{"proxy-url": "http://user:secret-word@127.0.0.1:1"}))
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(Unavailable, match=r"https://k8s\.invalid did not answer") as caught:
            await get(kube)
    await close_all_kube()
    assert "secret-word" not in "".join(traceback.format_exception(caught.value))


@contextlib.asynccontextmanager
async def proxy(answer: bytes) -> AsyncIterator[tuple[str, asyncio.Event, asyncio.Event]]:
    """One that asks for a user: its URL with a password, whether it was asked, and leave to answer."""
    asked, may_answer = asyncio.Event(), asyncio.Event()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        asked.set()
        await may_answer.wait()
        writer.write(answer)
        writer.close()
        await writer.wait_closed()

    serving = await asyncio.start_server(serve, "127.0.0.1", 0)
    async with serving:
        yield f"http://user:secret-word@127.0.0.1:{serving.sockets[0].getsockname()[1]}", asked, may_answer


REFUSED_BY_PROXY = b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize("url", ["https://k8s.invalid", "http://k8s.invalid"])
async def test_proxy_that_wants_another_user_is_named_with_who_must_act(
    connect: Connect, settings: Settings, url: str
) -> None:
    async with proxy(REFUSED_BY_PROXY) as (through, _, may_answer):
        may_answer.set()
        connect(kube_config=kubeconfig(url, **{"proxy-url": through}))
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(CredentialsExpired) as caught:
                await get(kube)
        await close_all_kube()
    assert str(caught.value) == (
        f"The proxy on the way to Kubernetes at {url} wants authentication (HTTP 407): whoever manages Airflow "
        "connection 'kube_test' must give its user and password in proxy-url of the kubeconfig, or whoever runs "
        "Airflow in the proxy variable of the environment."
    )
    assert "secret-word" not in "".join(traceback.format_exception(caught.value))


async def test_proxy_that_refuses_for_another_reason_is_an_outage(connect: Connect, settings: Settings) -> None:
    async with proxy(REFUSED_BY_PROXY.replace(b"407", b"503")) as (through, _, may_answer):
        may_answer.set()
        connect(kube_config=kubeconfig("https://k8s.invalid", **{"proxy-url": through}))
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(Unavailable, match=r"did not answer \(the proxy on the way answered HTTP 503\)"):
                await get(kube)
        await close_all_kube()


async def test_answer_of_a_proxy_while_all_is_closed_does_not_show_its_password(
    connect: Connect, settings: Settings
) -> None:
    async with proxy(REFUSED_BY_PROXY) as (through, asked, may_answer):
        connect(kube_config=kubeconfig("https://k8s.invalid", **{"proxy-url": through}))
        async with open_kube(TARGET, settings) as kube:
            call = asyncio.create_task(get(kube), name="call")
            await asyncio.wait_for(asked.wait(), 5)
            (shared,) = _registry().values()
            shared._kube.current.closed = True  # what a close does first; the answer comes at that moment
            may_answer.set()
            with pytest.raises(Unavailable, match="this way to Kubernetes was closed") as caught:
                await call
        await close_all_kube()
    assert "secret-word" not in "".join(traceback.format_exception(caught.value))
