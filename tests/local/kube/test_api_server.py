"""The API server's own life, and its control endpoint: starting, refusing, freezing, breaking, ending."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack

import aiohttp
import pytest

from asyncrun.local.kube import Fault, KubeControl, KubeControlError
from asyncrun.local.kube.control import ControlEndpoint, Controls
from asyncrun.local.kube.node import ImageFault
from asyncrun.local.kube.scripted import Script, ScriptedNode
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Store
from tests.local.kube.conftest import Kube, MakeKube
from tests.local.kube.test_api_pods import PODS, settled
from tests.local.kube.test_api_rules import config


async def test_the_last_order_to_refuse_or_to_freeze_decides(kube: Kube) -> None:
    controls = Controls(kube.server)
    await controls.refuse(0.05)
    await controls.accept()
    await controls.refuse()
    await controls.freeze_watches(0.05)
    await controls.thaw_watches()
    await controls.freeze_watches()
    await asyncio.sleep(0.15)
    with pytest.raises(aiohttp.ClientConnectorError):
        await kube.ask("GET", PODS)
    assert not kube.server.traffic.flowing.is_set()
    await controls.clear_faults()
    assert (await kube.ask("GET", PODS))[0] == 200


async def test_a_server_that_ends_does_not_listen_again() -> None:
    async with aiohttp.ClientSession() as http:
        server = KubeServer(Store(), ScriptedNode())
        async with AsyncExitStack() as stack:
            await stack.enter_async_context(server)
            headers = {"Authorization": f"Bearer {server.token}"}
            async with http.get(f"{server.url}{PODS}?watch=true", headers=headers):
                server.refuse(connections=False)
                server.accept_in(0)
                await stack.aclose()
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", server.port)


async def test_what_the_store_refuses_is_an_error_of_the_control_endpoint(kube: Kube) -> None:
    endpoint = ControlEndpoint(kube.server, "token")
    await endpoint.start()
    try:
        control = KubeControl(f"http://127.0.0.1:{endpoint.port}", "token")
        await asyncio.to_thread(control.put, "configmaps", config("a", namespace="default"))
        with pytest.raises(KubeControlError, match="NotFound"):
            await asyncio.to_thread(control.put, "configmaps", config("a", namespace="default", uid="another"))
        with pytest.raises(KubeControlError, match="cannot be cut by 'slowly'"):
            await asyncio.to_thread(control.cut, "*", how="slowly")  # type: ignore[arg-type]
    finally:
        await endpoint.stop()


class BrokenNode(ScriptedNode):
    """Has logs that cannot be read to their end."""

    def log(self, pod_uid: str, container: str, *, previous: bool) -> BrokenLog | None:
        found = super().log(pod_uid, container, previous=previous)
        return None if found is None else BrokenLog(found.container_id)


class BrokenLog:
    def __init__(self, container_id: str) -> None:
        self.container_id = container_id

    def size(self) -> int:
        return 1000

    def read(self, offset: int, size: int) -> bytes:
        if offset:
            raise ValueError("a defect")
        return b"2026-11-21T12:00:00.000000000Z begun\n"

    async def grown(self, offset: int) -> bool:
        return False


async def test_a_defect_in_the_midst_of_an_answer_breaks_the_connection(
    make_kube: MakeKube, capsys: pytest.CaptureFixture[str]
) -> None:
    kube = await make_kube(BrokenNode(Script(start=0, run=3600)))
    await kube.create("a")
    await settled(kube, "a", "Running")
    async with kube.open("GET", f"{PODS}/a/log") as answer:
        assert answer.status == 200
        assert await answer.content.readline() == b"begun\n"
        with pytest.raises(aiohttp.ClientPayloadError) as broken:
            await answer.read()
    assert "Invalid character" not in str(broken.value.__cause__)
    assert "ValueError: a defect" in capsys.readouterr().err


def test_a_fault_that_is_misspelt_is_none() -> None:
    with pytest.raises(ValueError, match="there is no fault of the kind 'resett'"):
        Fault(kind="resett")  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="an image cannot fail by 'lost'"):
        ImageFault("*", "lost")  # type: ignore[arg-type]


class HalfStarted(ScriptedNode):
    stopped = False

    async def start(self, store: Store) -> None:
        await super().start(store)
        raise OSError("no room")

    async def stop(self) -> None:
        await super().stop()
        self.stopped = True


async def test_a_node_that_cannot_start_is_stopped() -> None:
    node = HalfStarted()
    with pytest.raises(OSError, match="no room"):
        async with KubeServer(Store(), node):
            raise AssertionError
    assert node.stopped
