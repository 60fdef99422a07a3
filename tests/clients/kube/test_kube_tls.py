"""TLS on the way to the API server: whom we trust, and who trusts us."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import socket
import ssl
import threading
import warnings
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.settings import Settings
from tests.clients.kube.certificates import authority, b64, client_certificate, server_context
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import ONE, TARGET, fresh_loop, get
from tests.clients.kube.standin import ApiServer, pod, serving


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
