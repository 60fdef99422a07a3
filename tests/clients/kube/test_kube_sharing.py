"""One shared way per target and event loop: users come and go, workers end, nobody waits for others."""

from __future__ import annotations

import asyncio
import gc
import threading
import warnings
from dataclasses import replace
from typing import Any

import pytest

from asyncrun.clients.kube import _registry, close_all_kube, open_kube
from asyncrun.model.errors import CredentialsExpired, NotFound, Unavailable
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import ALL, ONE, TARGET, fresh_loop, get
from tests.clients.kube.standin import ApiServer, pod
from tests.clients.support import until
from tests.support.kill import KILL


@pytest.mark.usefixtures("connected")
class TestUsers:
    async def test_equal_targets_share_one_and_others_do_not(self, settings: Settings, connect: Connect) -> None:
        connect("other", kube_config=kubeconfig("http://127.0.0.1:1"))
        async with (
            open_kube(TARGET, settings) as first,
            open_kube(KubeTarget(conn_id="kube_test"), settings) as second,
            open_kube(KubeTarget(conn_id="other"), settings) as third,
        ):
            assert first is second
            assert first.key == second.key != third.key
            assert "token" not in repr(first)

    async def test_last_leaver_closes_after_the_linger_and_a_return_within_it_keeps_it(
        self, settings: Settings
    ) -> None:
        settings = replace(settings, watcher_linger=0.2)
        async with open_kube(TARGET, settings) as first:
            pass
        async with open_kube(TARGET, settings) as second:
            assert first is second
            await asyncio.sleep(0.3)
            await get(second)
        await until(lambda: not _registry())
        with pytest.raises(Unavailable, match=r"^This way to Kubernetes is closed"):
            await get(second)
        assert second.server.startswith("http")  # for messages it stays

    async def test_closing_ends_calls_and_streams_in_flight_as_unavailable(
        self, server: ApiServer, settings: Settings
    ) -> None:
        server.holds[ONE] = asyncio.Event()
        async with open_kube(TARGET, settings) as kube:
            calls = [asyncio.create_task(get(kube), name=f"call-{n}") for n in range(120)]  # 100 connections
            await until(lambda: server.count() == 100)
            await close_all_kube()
            results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(one) for one in results} == {Unavailable}
        assert str(results[0]) == (
            "The request to get pods 'p' in namespace 'ns' was not answered: this way to Kubernetes was closed."
        )

    async def test_cancelled_call_keeps_the_message_and_gives_its_place_back(
        self, server: ApiServer, settings: Settings
    ) -> None:
        server.holds[ONE] = asyncio.Event()
        async with open_kube(TARGET, settings) as kube:
            call = asyncio.create_task(get(kube), name="call")
            await until(lambda: server.count() == 1)
            call.cancel(KILL)
            with pytest.raises(asyncio.CancelledError, match=KILL):
                await call
            server.holds[ONE].set()
            assert await get(kube) == "u-1"

    async def test_failed_opening_leaves_nothing(self, connect: Connect, settings: Settings) -> None:
        connect(in_cluster=True)
        for _ in range(2):
            with pytest.raises(CredentialsExpired):
                async with open_kube(TARGET, settings):
                    pass
        await close_all_kube()
        assert not _registry()


@pytest.mark.usefixtures("connected")
async def test_workers_in_threads_use_it_and_leave_nothing_behind(server: ApiServer, settings: Settings) -> None:
    results: list[Any] = []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        threads = [threading.Thread(target=fresh_loop, args=(server.url, settings, results)) for _ in range(4)]
        for thread in threads:
            thread.start()
        await until(lambda: not any(thread.is_alive() for thread in threads))
        gc.collect()
    assert results == ["u-1"] * 4
    await until(lambda: all(transport.is_closing() for transport in server.connections))


@pytest.mark.usefixtures("connected")
async def test_launches_and_kills_wait_for_no_questions(server: ApiServer, settings: Settings) -> None:
    server.answers |= {f"DELETE {ONE}": (200, {}), f"POST {ALL}": (201, pod()), f"PATCH {ONE}": (200, pod())}
    loop = asyncio.get_running_loop()
    async with open_kube(TARGET, replace(settings, kube_rate=10.0)) as kube:
        questions = [asyncio.create_task(get(kube), name=f"question {n}") for n in range(500)]
        while server.count("GET") < 10:  # noqa: ASYNC110
            await asyncio.sleep(0.01)
        before = loop.time()
        pods = kube.pods("ns")
        await pods.delete("p", uid="u-1")
        await pods.create({})
        await pods.patch("p", {})
        assert loop.time() - before < 3
        assert server.count("GET") < 100, "the questions kept to their rate"
        for question in questions:
            question.cancel()
        await asyncio.wait(questions)


@pytest.mark.usefixtures("connected")
async def test_connections_are_used_again(server: ApiServer, settings: Settings) -> None:
    async with open_kube(TARGET, settings) as kube:
        for _ in range(5):
            await get(kube)
        for _ in range(5):
            with pytest.raises(NotFound):
                await kube.pods("ns").get("q")
    assert len(server.connections) == 1


@pytest.mark.usefixtures("connected")
async def test_slow_resolution_stops_nobody_and_is_shared(
    settings: Settings, monkeypatch: pytest.MonkeyPatch, server: ApiServer
) -> None:
    from tests.clients.conftest import longest_step

    async def opened() -> str:
        async with open_kube(TARGET, settings) as kube:
            return await get(kube)

    await opened()
    await close_all_kube()
    async with longest_step() as gauge:
        assert set(await asyncio.gather(*(opened() for _ in range(50)))) == {"u-1"}
    assert gauge.longest < 0.1
