"""Commands in a running container, over a WebSocket (trace ``u_exec_websocket``)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

import msgspec
from aiohttp import WSMsgType, web
from aiohttp.web_request import BaseRequest

from asyncrun.local.kube.kubelet import Kubelet
from asyncrun.local.kube.logs import chosen_container
from asyncrun.local.kube.node_api import Started
from asyncrun.local.kube.query import Call, flag
from asyncrun.local.kube.status import ApiError, bad_request
from asyncrun.local.kube.store import Json

_PROTOCOLS = ("v5.channel.k8s.io", "v4.channel.k8s.io", "channel.k8s.io")
_STDIN, _STDOUT, _STDERR, _ERROR, _CLOSE = 0, 1, 2, 3, 255
_PIECE = 1 << 15


async def execute(request: BaseRequest, call: Call, kubelet: Kubelet, pod: Json) -> web.StreamResponse:
    """
    Run a command for a client, and return when the connection is closed.

    :raises ApiError: 400: no WebSocket, no such container; 500: the container or the kubelet does not run; 501: this
        node runs no commands.
    """
    container = chosen_container(pod, call.query.get("container", ""))
    if "websocket" not in request.headers.get("Upgrade", "").lower():
        raise bad_request("Upgrade request required")
    command = request.query.getall("command", [])
    if not command:
        raise bad_request("you must specify at least 1 command for the container")
    asked = [one.strip() for one in request.headers.get("Sec-WebSocket-Protocol", "").split(",") if one.strip()]
    protocol = next((one for one in _PROTOCOLS if one in asked), "")
    if asked and not protocol:
        return web.Response(status=403)
    if not _runs(pod, container):
        raise ApiError(500, "InternalError", f'unable to upgrade connection: container not found ("{container}")')
    wants_input = flag(call.query, "stdin")
    socket = web.WebSocketResponse(protocols=_PROTOCOLS)
    try:
        started = await kubelet.exec(pod, container, command, stdin=wants_input)
    except OSError as error:
        await _open(socket, request)
        status = _internal(str(error))
    else:
        async with _ended(started):
            await _open(socket, request)
            status = _outcome(await _converse(socket, started), command, protocol)
    await socket.send_bytes(bytes([_ERROR]) + _encoded(status, protocol))
    await socket.close()
    return socket


def _runs(pod: Json, container: str) -> bool:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return any(one["name"] == container and "running" in (one.get("state") or {}) for one in every)


async def _open(socket: web.WebSocketResponse, request: BaseRequest) -> None:
    await socket.prepare(request)
    await socket.send_bytes(bytes([_STDOUT]))


@contextlib.asynccontextmanager
async def _ended(started: Started) -> AsyncIterator[None]:
    """The command ends with the block, in which the client may go at any moment."""
    try:
        yield
    finally:
        _kill(started)
        await started.wait()


async def _converse(socket: web.WebSocketResponse, started: Started) -> int:
    """The command's exit code."""
    outputs = [
        asyncio.create_task(_send(socket, _STDOUT, started.stdout), name="exec: stdout"),
        asyncio.create_task(_send(socket, _STDERR, started.stderr), name="exec: stderr"),
    ]
    reading = asyncio.create_task(_receive(socket, started), name="exec: stdin")
    try:
        await asyncio.gather(*outputs)
        return await started.wait()
    finally:
        for task in (*outputs, reading):
            task.cancel()
        await asyncio.gather(*outputs, reading, return_exceptions=True)


async def _send(socket: web.WebSocketResponse, channel: int, stream: asyncio.StreamReader | None) -> None:
    while stream is not None and (piece := await stream.read(_PIECE)):
        await socket.send_bytes(bytes([channel]) + piece)


async def _receive(socket: web.WebSocketResponse, started: Started) -> None:
    """What the client writes; a client that is gone ends the command."""
    async for message in socket:
        data = message.data if message.type is WSMsgType.BINARY else str(message.data).encode()
        stdin = started.stdin
        if stdin is None or not data:
            continue
        if data[0] == _STDIN and len(data) > 1:
            with contextlib.suppress(ConnectionError):  # it reads no more, and may run on
                stdin.write(data[1:])
                await stdin.drain()
        elif data[0] == _CLOSE and data[1:2] == bytes([_STDIN]):
            stdin.close()
    _kill(started)


def _kill(started: Started) -> None:
    with contextlib.suppress(ProcessLookupError):  # it has ended
        started.kill()


def _outcome(code: int, command: list[str], protocol: str) -> Json:
    if code == 0:
        return {"metadata": {}, "status": "Success"}
    code = code if code > 0 else 128 - code
    said = f"command terminated with exit code {code}"
    if not protocol.startswith("v5"):
        said = f"error executing command [{' '.join(command)}], exit code {code}"
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: {said}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


def _internal(why: str) -> Json:
    message = f"error executing command in container: {why}"
    causes = [{"message": message}]
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"Internal error occurred: {message}",
        "reason": "InternalError",
        "details": {"causes": causes},
        "code": 500,
    }


def _encoded(status: Json, protocol: str) -> bytes:
    """Before v4 there was only a text, and nothing after a success."""
    if protocol.startswith("v"):
        return msgspec.json.encode(status)
    text: Any = status.get("message", "")
    return str(text).encode()
