"""Credentials that expire, rotate or break while they are used."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace
from pathlib import Path

import pytest

from asyncrun.clients import kube_auth
from asyncrun.clients.kube import open_kube
from asyncrun.model.errors import CredentialsExpired
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import NEW, OLD, ONE, TARGET, get
from tests.clients.kube.standin import ApiServer
from tests.clients.support import until


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
