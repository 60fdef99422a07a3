"""One shared way per target and event loop: credentials rotate, users come and go, servers vanish, workers end."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import os
import socket
import ssl
import threading
import traceback
import warnings
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from asyncrun.clients import kube_auth
from asyncrun.clients.budget import Group, statistics
from asyncrun.clients.kube import _registry, close_all_kube, open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.model.errors import CredentialsExpired, MalformedAnswer, NotFound, RequestRefused, Throttled, Unavailable
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from tests.clients.kube.certificates import authority, b64, client_certificate, server_context
from tests.clients.kube.conftest import TARGET, Connect, kubeconfig
from tests.clients.kube.standin import ApiServer, pod, serving, status
from tests.clients.support import until
from tests.support.kill import KILL

ALL = "/api/v1/namespaces/ns/pods"
ONE = f"{ALL}/p"
OLD, NEW = "old-token", "new-token"


@pytest.fixture
def connected(connect: Connect, server: ApiServer) -> None:
    server.answers[f"GET {ONE}"] = (200, pod())
    connect(kube_config=kubeconfig(server.url, {"token": OLD}))


async def get(kube: KubeAccess) -> str:
    return (await kube.pods("ns").get("p")).uid


@pytest.mark.usefixtures("connected")
class TestCredentials:
    async def test_refused_ones_are_looked_up_again_once_for_all_and_the_calls_repeated(
        self, server: ApiServer, connect: Connect, settings: Settings
    ) -> None:
        async with open_kube(TARGET, settings) as kube:
            await get(kube)
            server.tokens = {NEW}
            connect(kube_config=kubeconfig(server.url, {"token": NEW}), namespace="later")
            assert set(await asyncio.gather(*(get(kube) for _ in range(30)))) == {"u-1"}
            assert kube.namespace == "later"
        assert server.authorizations().count(f"Bearer {OLD}") == 31
        assert server.authorizations().count(f"Bearer {NEW}") == 30

    async def test_refused_again_it_is_said_who_must_act_and_nobody_hammers(
        self, server: ApiServer, settings: Settings
    ) -> None:
        server.tokens = set()
        async with open_kube(TARGET, settings) as kube:
            for _ in range(5):
                with pytest.raises(CredentialsExpired) as caught:
                    await get(kube)
            assert str(caught.value) == (
                f"Kubernetes at {server.url} does not accept the credentials of Airflow connection 'kube_test' "
                "(context 'test') (Unauthorized): whoever manages Airflow connection 'kube_test' must renew them."
            )
        assert server.count() == 6  # one of them was repeated with new clients; the look-ups back off

    async def test_a_changed_connection_is_noticed_and_calls_in_flight_end_well(
        self, server: ApiServer, connect: Connect, settings: Settings
    ) -> None:
        server.holds[ONE] = asyncio.Event()
        async with open_kube(TARGET, settings) as kube:
            slow = asyncio.create_task(get(kube), name="slow")
            await until(lambda: server.count() == 1)
            connect(kube_config=kubeconfig(server.url, {"token": NEW}))
            await kube.renew()
            server.holds[ONE].set()
            assert await slow == "u-1"
            await get(kube)
        assert server.authorizations() == [f"Bearer {OLD}", f"Bearer {NEW}"]

    async def test_connection_is_looked_up_again_after_its_time(
        self, server: ApiServer, connect: Connect, settings: Settings
    ) -> None:
        async with open_kube(TARGET, replace(settings, connection_ttl=0.1)) as kube:
            connect(kube_config=kubeconfig(server.url, {"token": NEW}))

            async def changed() -> bool:
                await get(kube)
                return server.authorizations()[-1] == f"Bearer {NEW}"

            await until(changed)

    async def test_kubeconfig_file_is_read_again_without_any_connection(
        self, server: ApiServer, settings: Settings, tmp_path: Path
    ) -> None:
        path = tmp_path / "config"
        path.write_text(json.dumps(kubeconfig(server.url, {"token": OLD})))
        target = KubeTarget(conn_id=None, config_file=str(path))
        async with open_kube(target, replace(settings, connection_ttl=0.1)) as kube:
            path.write_text(json.dumps(kubeconfig(server.url, {"token": NEW})))

            async def changed() -> bool:
                await get(kube)
                return server.authorizations()[-1] == f"Bearer {NEW}"

            await until(changed)

    async def test_connection_that_breaks_while_it_is_used_keeps_its_old_credentials(
        self, server: ApiServer, connect: Connect, settings: Settings, caplog: pytest.LogCaptureFixture
    ) -> None:
        async with open_kube(TARGET, replace(settings, connection_ttl=0.1)) as kube:
            connect(kube_config="no kubeconfig")

            async def said() -> bool:
                await get(kube)
                return "kube_config holds no kubeconfig" in caplog.text

            await until(said)
            assert await get(kube) == "u-1"
            with pytest.raises(CredentialsExpired, match="holds no kubeconfig"):
                await kube.renew()
            assert await get(kube) == "u-1"

    async def test_token_file_is_read_again(
        self, server: ApiServer, connect: Connect, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kube_auth, "REREAD", 0.1)
        path = tmp_path / "token"
        path.write_text(f"{OLD}\n")
        connect(kube_config=kubeconfig(server.url, {"tokenFile": str(path)}))
        async with open_kube(TARGET, settings) as kube:
            await get(kube)
            path.unlink()
            await asyncio.sleep(0.15)
            await get(kube)  # with the last one
            path.write_text(NEW)

            async def renewed() -> bool:
                await get(kube)
                return server.authorizations()[-1] == f"Bearer {NEW}"

            await until(renewed)
            await asyncio.gather(*(get(kube) for _ in range(5)))
        assert server.authorizations()[:2] == [f"Bearer {OLD}"] * 2
        assert server.authorizations()[-6:] == [f"Bearer {NEW}"] * 6

    async def test_token_file_that_is_due_to_be_read_holds_up_no_call_and_is_read_once(
        self, server: ApiServer, connect: Connect, settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kube_auth, "REREAD", 0.05)
        path = tmp_path / "token"
        path.write_text(OLD)
        connect(kube_config=kubeconfig(server.url, {"tokenFile": str(path)}))
        async with open_kube(TARGET, settings) as kube:
            await get(kube)
            path.unlink()
            os.mkfifo(path)  # whoever reads it waits for a writer
            await asyncio.sleep(0.1)
            try:
                async with asyncio.timeout(5):
                    await asyncio.gather(*(get(kube) for _ in range(30)))
                readings = [task for task in asyncio.all_tasks() if "asyncrun-token-file" in task.get_name()]
                assert len(readings) == 1
                monkeypatch.setattr(kube_auth, "REREAD", 60.0)
            finally:  # or the reading thread would wait for ever
                await asyncio.to_thread(path.write_text, NEW)
            await asyncio.wait(readings)
            await get(kube)
        assert server.authorizations()[:31] == [f"Bearer {OLD}"] * 31
        assert server.authorizations()[-1] == f"Bearer {NEW}"

    async def test_missing_token_file_is_told(self, connect: Connect, settings: Settings) -> None:
        connect(kube_config=kubeconfig("http://127.0.0.1:1", {"tokenFile": "/no/such/token"}))
        with pytest.raises(CredentialsExpired) as caught:
            async with open_kube(TARGET, settings):
                pass
        assert str(caught.value) == (
            "The token file '/no/such/token' has no token that can be read (No such file or directory): whoever "
            "manages Airflow connection 'kube_test' must see to it."
        )


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


def fresh_loop(server_url: str, settings: Settings, results: list[Any]) -> None:
    """What a worker does."""

    async def work() -> None:
        async with open_kube(TARGET, settings) as kube:
            results.append(await get(kube))
        await close_all_kube()

    asyncio.run(work())


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


async def test_tls_worker_leaves_nothing_behind(connect: Connect, settings: Settings, no_leaked_tasks: None) -> None:
    async with serving(server_context()) as server:
        server.answers[f"GET {ONE}"] = (200, pod())
        connect(kube_config=kubeconfig(server.url, **{"certificate-authority-data": b64(authority())}))
        results: list[Any] = []
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            await asyncio.to_thread(fresh_loop, server.url, settings, results)
            gc.collect()
        assert results == ["u-1"]


def refuse_everybody(listener: socket.socket, context: ssl.SSLContext) -> None:
    """A TLS server in a thread: unlike asyncio's it tells the client why it hangs up, as Go's does."""
    while True:
        try:
            accepted, _ = listener.accept()
        except OSError:
            return
        with accepted, accepted.dup() as kept:
            try:
                context.wrap_socket(accepted, server_side=True).close()
            except ssl.SSLError:  # the client has been told; what it still sends must not reset the connection
                with contextlib.suppress(OSError):
                    kept.shutdown(socket.SHUT_WR)
                    kept.settimeout(0.3)
                    while kept.recv(4096):
                        pass


class TestTls:
    @pytest.fixture
    async def tls_server(self, no_leaked_tasks: None) -> AsyncIterator[ApiServer]:
        async with serving(server_context("inner.example")) as server:
            server.answers[f"GET {ONE}"] = (200, pod())
            yield server
            await close_all_kube()

    async def test_name_of_the_certificate_and_a_client_certificate_in_the_kubeconfig(
        self, tls_server: ApiServer, connect: Connect, settings: Settings
    ) -> None:
        jane = client_certificate("jane")
        user = {"client-certificate-data": b64(jane.certificate), "client-key-data": b64(jane.key)}
        cluster = {"certificate-authority-data": b64(authority()), "tls-server-name": "inner.example"}
        connect(kube_config=kubeconfig(tls_server.url, user, **cluster))
        async with open_kube(TARGET, settings) as kube:
            assert await get(kube) == "u-1"
        assert tls_server.certificates == ["jane"]
        assert tls_server.authorizations() == [""]

    @pytest.mark.parametrize(
        ("cluster", "why"),
        [({}, "self-signed certificate in certificate chain|unable to get local issuer certificate"),
         ({"certificate-authority-data": b64(authority())}, "IP address mismatch")],
    )  # fmt: skip
    async def test_server_that_is_not_trusted_is_told_with_who_must_act(
        self, tls_server: ApiServer, connect: Connect, settings: Settings, cluster: dict[str, str], why: str
    ) -> None:
        connect(kube_config=kubeconfig(tls_server.url, **cluster))
        async with open_kube(TARGET, settings) as kube:
            with pytest.raises(
                CredentialsExpired, match=f"is not trusted .*({why}).*whoever manages Airflow connection"
            ):
                await get(kube)
        assert not tls_server.seen

    @pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
    async def test_server_that_wants_another_client_certificate(
        self, connect: Connect, settings: Settings, no_leaked_tasks: None, version: ssl.TLSVersion
    ) -> None:
        context = server_context()
        context.verify_mode, context.maximum_version = ssl.CERT_REQUIRED, version
        with socket.create_server(("127.0.0.1", 0)) as listener:
            serving = threading.Thread(target=refuse_everybody, args=(listener, context))
            serving.start()
            jane = client_certificate("jane", authority="another")
            user = {"client-certificate-data": b64(jane.certificate), "client-key-data": b64(jane.key)}
            ca = {"certificate-authority-data": b64(authority())}
            connect(kube_config=kubeconfig(f"https://127.0.0.1:{listener.getsockname()[1]}", user, **ca))
            async with open_kube(TARGET, settings) as kube:
                with pytest.raises(CredentialsExpired) as caught:
                    await get(kube)
            await close_all_kube()
            listener.shutdown(socket.SHUT_RDWR)
            await asyncio.to_thread(serving.join)
        assert "does not accept the client certificate of Airflow connection 'kube_test' (context 'test')" in str(
            caught.value
        )
        assert str(caught.value).endswith("whoever manages Airflow connection 'kube_test' must renew it.")

    async def test_verification_can_be_turned_off(
        self, tls_server: ApiServer, connect: Connect, settings: Settings
    ) -> None:
        connect(kube_config=kubeconfig(tls_server.url), disable_verify_ssl=True)
        async with open_kube(TARGET, settings) as kube:
            assert await get(kube) == "u-1"


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
