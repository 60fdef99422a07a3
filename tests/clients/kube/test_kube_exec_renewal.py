"""Exec plug-ins: when they run again, and what a renewal that fails costs."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncrun.clients import kube_auth, rotation
from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.model.errors import CredentialsExpired, Unavailable
from asyncrun.model.settings import Settings
from tests.clients.kube.certificates import authority, b64, client_certificate, server_context
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import TARGET
from tests.clients.kube.plugin import GET, PREFIX, WRITES, Clock, PlugIn, get, refused
from tests.clients.kube.standin import ApiServer, pod, serving
from tests.clients.support import until


async def test_it_runs_again_in_the_background_before_its_credentials_expire(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings, clock: Clock
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        clock.ahead = 800
        await kube.pods("ns").get("p")
        assert len(plugin.runs) == 1
        plugin.answer(5000, token=f"{PREFIX}-2")
        clock.ahead = 900
        await kube.pods("ns").get("p")  # with the old ones, which are still valid

        async def renewed() -> bool:
            await kube.pods("ns").get("p")
            return server.authorizations()[-1] == f"Bearer {PREFIX}-2"

        await until(renewed)
    assert len(plugin.runs) == 2
    assert server.authorizations()[:2] == [f"Bearer {PREFIX}-1"] * 2


async def test_calls_wait_for_new_credentials_once_the_old_ones_expired(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings, clock: Clock
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.answer(5000, token=f"{PREFIX}-2")
        clock.ahead = 1001
        await asyncio.gather(*(kube.pods("ns").get("p") for _ in range(10)))
    assert set(server.authorizations()) == {f"Bearer {PREFIX}-2"}
    assert len(plugin.runs) == 2


async def test_credentials_that_seem_to_come_expired_are_used_and_not_made_anew_for_every_call(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    plugin.answer(-3600, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        for _ in range(5):
            await kube.pods("ns").get("p")
    assert set(server.authorizations()) == {f"Bearer {PREFIX}-1"}
    assert len(plugin.runs) == 1


async def test_refused_token_is_renewed_once_for_all_who_were_refused(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")
        server.tokens = {f"{PREFIX}-2"}
        plugin.answer(token=f"{PREFIX}-2")
        await asyncio.gather(*(kube.pods("ns").get("p") for _ in range(10)))
    assert len(plugin.runs) == 2
    assert server.count() == 1 + 10 + 10


async def test_renewal_that_fails_is_no_harm_while_the_old_credentials_are_valid(
    configured: object, plugin: PlugIn, settings: Settings, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.script("import sys; sys.exit('no network')")
        clock.ahead = 900

        async def said() -> bool:
            await kube.pods("ns").get("p")
            return "Credentials for Kubernetes could not be renewed: The exec plug-in" in caplog.text

        await until(said)
        assert PREFIX not in caplog.text
        clock.ahead = 1001
        with pytest.raises(Unavailable, match="and said: 'no network'; if it lasts, whoever manages"):
            await kube.pods("ns").get("p")


async def test_refused_token_that_cannot_be_renewed_for_an_outage_is_an_outage(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")
        server.tokens = {f"{PREFIX}-2"}
        plugin.script("import sys; sys.exit('no network')")
        with pytest.raises(Unavailable, match="and said: 'no network'"):
            await kube.pods("ns").get("p")
        plugin.script(WRITES)
        plugin.answer(token=f"{PREFIX}-2")
        monkeypatch.setattr(rotation, "LOOKED_LATELY", 0.0)
        await kube.pods("ns").get("p")


async def test_failed_plugin_is_not_run_again_by_every_call_that_is_refused(
    configured: object, server: ApiServer, plugin: PlugIn, settings: Settings
) -> None:
    async with open_kube(TARGET, settings) as kube:
        await kube.pods("ns").get("p")
        server.tokens = {f"{PREFIX}-2"}
        plugin.says("nothing")
        for _ in range(10):
            with pytest.raises(CredentialsExpired, match="must renew them"):
                await kube.pods("ns").get("p")
    assert len(plugin.runs) == 2


async def test_plugin_that_worked_once_in_this_process_has_an_outage_when_it_fails(
    configured: Callable[..., None], plugin: PlugIn, settings: Settings
) -> None:
    await get(settings)
    await close_all_kube()
    plugin.script("import sys; sys.exit('could not connect to sts')")
    assert "said: 'could not connect to sts'; if it lasts" in await refused(settings, Unavailable)
    configured(args=["--profile", "other"])  # another one, which never worked
    assert "must see to it" in await refused(settings)
    configured()
    plugin.script("print('no credentials')")
    assert "gave no ExecCredential" in await refused(settings)


async def test_failed_plugin_is_not_run_again_by_every_call(
    configured: object, plugin: PlugIn, settings: Settings, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin.answer(1000, token=f"{PREFIX}-1")
    async with open_kube(TARGET, settings) as kube:
        plugin.says("nothing")
        clock.ahead = 1001
        for _ in range(10):
            with pytest.raises(CredentialsExpired):
                await kube.pods("ns").get("p")
        assert len(plugin.runs) == 2
        monkeypatch.setattr(kube_auth, "RETRY", 0.0)
        plugin.answer(5000, token=f"{PREFIX}-2")
        await kube.pods("ns").get("p")


async def test_its_client_certificate_is_shown_and_replaced_while_calls_are_in_flight(
    connect: Connect, plugin: PlugIn, settings: Settings, clock: Clock, no_leaked_tasks: None
) -> None:
    def certify(name: str, expires_in: float) -> None:
        made = client_certificate(name)
        plugin.answer(expires_in, clientCertificateData=made.certificate.decode(), clientKeyData=made.key.decode())

    async with serving(server_context()) as server:
        server.answers[GET] = (200, pod())
        server.answers["GET /api/v1/namespaces/ns/pods/slow"] = (200, pod())
        server.holds["/api/v1/namespaces/ns/pods/slow"] = asyncio.Event()
        ca = {"certificate-authority-data": b64(authority())}
        connect(kube_config=kubeconfig(server.url, plugin.user(), **ca))
        certify("jane", 1000)
        async with open_kube(TARGET, settings) as kube:
            slow = asyncio.create_task(kube.pods("ns").get("slow"), name="slow")
            await until(lambda: server.count("slow"))
            certify("joe", 5000)
            clock.ahead = 900

            async def replaced() -> bool:
                await kube.pods("ns").get("p")
                return server.certificates[-1] == "joe"

            await until(replaced)
            server.holds["/api/v1/namespaces/ns/pods/slow"].set()
            assert (await slow).uid == "u-1"
            assert set(server.certificates) == {"jane", "joe"}
        await close_all_kube()
