"""Commands in containers by the embedded API server (trace u_exec_websocket)."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest
from aiohttp import WSMsgType

from asyncrun.local.kube.scripted import Script, ScriptedNode
from asyncrun.local.kube.server import KubeServer
from tests.local.kube.conftest import Kube, MakeKube
from tests.local.kube.test_api_pods import PODS, settled
from tests.support.traces import trace

UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": base64.b64encode(b"0123456789abcdef").decode(),
}


class ShellNode(ScriptedNode):
    """Runs commands on this machine, whatever the container."""

    def __init__(self, usual: Script) -> None:
        super().__init__(usual)
        self.started: list[asyncio.subprocess.Process] = []

    async def stop(self) -> None:
        await super().stop()
        for one in self.started:
            await one.wait()
            one._transport.close()  # type: ignore[attr-defined]  # otherwise some rounds later, maybe without a loop

    async def exec(
        self, pod_uid: str, container: str, command: Sequence[str], *, stdin: bool
    ) -> asyncio.subprocess.Process:
        pipe, none = asyncio.subprocess.PIPE, asyncio.subprocess.DEVNULL
        given = pipe if stdin else none
        self.started.append(await asyncio.create_subprocess_exec(*command, stdin=given, stdout=pipe, stderr=pipe))
        return self.started[-1]


@pytest.fixture
async def kube(make_kube: MakeKube) -> Kube:
    kube = await make_kube(ShellNode(Script(start=0, run=3600)))
    await kube.create("u-exec")
    await settled(kube, "u-exec", "Running")
    return kube


async def execute(
    kube: Kube, *command: str, protocol: str | None, write: Sequence[bytes] = (), query: str = ""
) -> dict[int, bytes]:
    """What came, by channel."""
    asked = "&".join(f"command={quote(one)}" for one in command)
    headers = {"Authorization": f"Bearer {kube.token}"}
    url = f"{kube.server.url}{PODS}/u-exec/exec?{asked}&stdout=true&stderr=true{query}"
    found: dict[int, bytes] = {}
    async with kube.http.ws_connect(url, headers=headers, protocols=[protocol] if protocol else []) as socket:
        for one in write:
            await socket.send_bytes(one)
        async for message in socket:
            assert message.type is WSMsgType.BINARY
            found[message.data[0]] = found.get(message.data[0], b"") + message.data[1:]
        assert socket.close_code == 1000
    return found


def recorded(tag: str) -> dict[int, str]:
    found: dict[int, str] = {}
    for one in trace("u_exec_websocket"):
        if one.get("tag") == tag and one["kind"] == "ws-frame":
            found[one["channel"]] = found.get(one["channel"], "") + one["text"]
    return found


@pytest.mark.parametrize("protocol", ["v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io", None])
async def test_output_and_exit_code_come_as_recorded(kube: Kube, protocol: str | None) -> None:
    found = await execute(kube, "sh", "-c", "echo out; echo err >&2; exit 3", protocol=protocol)
    expected = recorded(f"exec exit 3, {protocol}")
    assert found.keys() == expected.keys()
    assert (found[1], found[2]) == (b"out\n", b"err\n")
    if protocol in {"v5.channel.k8s.io", "v4.channel.k8s.io"}:
        assert json.loads(found[3]) == json.loads(expected[3])
    else:
        assert found[3].decode() == expected[3]


async def test_standard_input_reaches_the_command_and_can_be_closed(kube: Kube) -> None:
    found = await execute(
        kube, "cat", protocol="v5.channel.k8s.io", write=[b"\x00hello\n", b"\xff\x00"], query="&stdin=true"
    )
    assert found[1] == b"hello\n"
    assert json.loads(found[3]) == {"metadata": {}, "status": "Success"}


async def test_a_command_that_does_not_exist_is_an_error_on_the_channel(kube: Kube) -> None:
    found = await execute(kube, "/no/such", protocol="v4.channel.k8s.io")
    status = json.loads(found[3])
    assert (status["status"], status["reason"]) == ("Failure", "InternalError")
    assert "/no/such" in status["message"]


@pytest.mark.parametrize(
    ("query", "protocol", "status"),
    [
        ("container=nope&command=true", "v4.channel.k8s.io", 400),
        ("command=true", "v9.nope", 403),
        ("command=true", "v3.channel.k8s.io", 403),
    ],
)
async def test_what_cannot_be_is_refused_before_the_upgrade(kube: Kube, query: str, protocol: str, status: int) -> None:
    headers = {"Authorization": f"Bearer {kube.token}"}
    url = f"{kube.server.url}{PODS}/u-exec/exec?{query}"
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await kube.http.ws_connect(url, headers=headers, protocols=[protocol])
    assert refused.value.status == status


async def test_a_client_that_hangs_up_ends_the_command(kube: Kube) -> None:
    started: list[Any] = []
    node = kube.server.node
    assert isinstance(node, ShellNode)
    headers = {"Authorization": f"Bearer {kube.token}"}
    url = f"{kube.server.url}{PODS}/u-exec/exec?command=sleep&command=60&stdout=true"
    async with kube.http.ws_connect(url, headers=headers) as socket:
        assert (await socket.receive()).data == b"\x01"
        started = [one for one in asyncio.all_tasks() if one.get_name() == "exec: stdin"]
        assert started
    await asyncio.wait_for(asyncio.wait(started), 5)
    for _ in range(100):
        if not kube.server.traffic.open["get pods/exec"]:
            return
        await asyncio.sleep(0.02)
    raise AssertionError("the command outlives its client")


async def test_a_node_that_cannot_says_so(make_kube: MakeKube) -> None:
    kube = await make_kube(ScriptedNode(Script(start=0, run=3600)))
    await kube.create("u-exec")
    await settled(kube, "u-exec", "Running")
    headers = {"Authorization": f"Bearer {kube.token}"}
    with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
        await kube.http.ws_connect(f"{kube.server.url}{PODS}/u-exec/exec?command=x", headers=headers)
    assert refused.value.status == 501


class HangingUp(ShellNode):
    """Its client goes while the command starts."""

    def __init__(self) -> None:
        super().__init__(Script(start=0, run=3600))
        self.server: KubeServer | None = None

    async def exec(
        self, pod_uid: str, container: str, command: Sequence[str], *, stdin: bool
    ) -> asyncio.subprocess.Process:
        started = await super().exec(pod_uid, container, command, stdin=stdin)
        assert self.server is not None
        self.server.abort_connections()
        return started


async def test_a_client_that_goes_before_the_connection_is_open_ends_the_command(make_kube: MakeKube) -> None:
    node = HangingUp()
    kube = await make_kube(node)
    node.server = kube.server
    await kube.create("a")
    await settled(kube, "a", "Running")
    headers = {"Authorization": f"Bearer {kube.token}"}
    with pytest.raises(aiohttp.ClientError):
        await kube.http.ws_connect(f"{kube.server.url}{PODS}/a/exec?command=sleep&command=60", headers=headers)
    assert node.started
    for started in node.started:  # a client may try again
        try:
            assert await asyncio.wait_for(started.wait(), 5) == -9
        finally:
            if started.returncode is None:
                started.kill()


async def test_a_command_that_reads_no_more_still_ends_with_its_client(kube: Kube) -> None:
    command = "command=sh&command=-c&command=exec+0%3C%26-%3B+echo+deaf%3B+exec+sleep+60"
    headers = {"Authorization": f"Bearer {kube.token}"}
    async with asyncio.timeout(5):
        url = f"{kube.server.url}{PODS}/u-exec/exec?{command}&stdin=true"
        async with kube.http.ws_connect(url, headers=headers) as socket:
            while (await socket.receive()).data != b"\x01deaf\n":
                pass
            for _ in range(3):
                await socket.send_bytes(b"\x00" + b"x" * 100_000)
                await asyncio.sleep(0.05)
        node = kube.server.node
        assert isinstance(node, ShellNode)
        assert await node.started[-1].wait() == -9


async def test_a_kubelet_that_is_down_runs_no_commands(kube: Kube) -> None:
    kube.server.verbs.kubelet.down(60)
    path = f"{PODS}/u-exec/exec?command=true"
    why = "error dialing backend: dial tcp 127.0.0.1:10250: connect: connection refused"
    status, answer = await kube.ask("GET", path, headers=UPGRADE)
    assert (status, answer["message"]) == (500, why)
