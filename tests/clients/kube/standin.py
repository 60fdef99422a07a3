"""A small API server on loopback that answers what a test tells it to, as a real one did (tests/kubernetes/traces)."""

from __future__ import annotations

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

from tests.support.traces import trace

Reply = web.StreamResponse | tuple[int, Any]
Handler = Callable[[web.Request], Awaitable[Reply] | Reply]


@dataclass
class Seen:
    """A request that came."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class ApiServer:
    """
    :param answers: by "METHOD path"; what is asked for besides is answered by a 404.
    :param tokens: that are accepted; None: whatever comes.
    :param holds: paths whose answers wait for the event.
    """

    url: str = ""
    answers: dict[str, Any] = field(default_factory=dict)
    tokens: set[str] | None = None
    seen: list[Seen] = field(default_factory=list)
    holds: dict[str, asyncio.Event] = field(default_factory=dict)
    certificates: list[str] = field(default_factory=list)
    connections: set[asyncio.Transport] = field(default_factory=set)

    def count(self, what: str = "") -> int:
        return sum(what in f"{one.method} {one.path}" for one in self.seen)

    def authorizations(self) -> list[str]:
        return [one.headers.get("Authorization", "") for one in self.seen]

    async def handle(self, request: web.Request) -> web.StreamResponse:
        path = request.path
        self.seen.append(Seen(request.method, path, dict(request.query), dict(request.headers), await request.read()))
        assert request.transport is not None
        self.connections.add(request.transport)
        peer = request.transport.get_extra_info("peercert")
        self.certificates.append(peer["subject"][0][0][1] if peer else "")
        if path in self.holds:
            await self.holds[path].wait()
        if (
            self.tokens is not None
            and request.headers.get("Authorization", "").removeprefix("Bearer ") not in self.tokens
        ):
            return _response((401, status(401, "Unauthorized", "Unauthorized")))
        answer = self.answers.get(f"{request.method} {path}")
        if isinstance(answer, list):
            answer = answer.pop(0) if len(answer) > 1 else answer[0]
        if callable(answer):
            answer = answer(request)
            if asyncio.iscoroutine(answer):
                answer = await answer
        if answer is None:
            name = path.rpartition("/")[2]
            answer = (404, status(404, "NotFound", f'pods "{name}" not found', name=name))
        return _response(answer)


def _response(answer: Any) -> web.StreamResponse:
    if isinstance(answer, web.StreamResponse):
        return answer
    code, body = answer
    if isinstance(body, str):
        return web.Response(status=code, text=body, content_type="application/json")
    return web.json_response(body, status=code)


def status(code: int, reason: str, message: str, name: str = "", **details: Any) -> dict[str, Any]:
    """A Status object."""
    details |= {"name": name} if name else {}
    return {
        "kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure", "message": message,
        "reason": reason, "details": details, "code": code,
    }  # fmt: skip


def pod(name: str = "p", uid: str = "u-1", version: str = "7", **more: Any) -> dict[str, Any]:
    """A pod's JSON."""
    return {
        "kind": "Pod", "apiVersion": "v1",
        "metadata": {"name": name, "namespace": "ns", "uid": uid, "resourceVersion": version},
        "spec": {"containers": [{"name": "main", "image": "busybox"}]}, "status": {"phase": "Pending"}, **more,
    }  # fmt: skip


def recorded(name: str, text: str) -> tuple[int, str]:
    """The first recorded error answer of a trace whose body has that text."""
    return next(
        (one["status"], one["body"])
        for one in trace(name)
        if one["kind"] == "request" and text in one["body"] and one["status"] >= 400
    )


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None = None) -> AsyncIterator[ApiServer]:
    """An API server in this event loop; it breaks what is open when the block ends."""
    server = ApiServer()
    runner = web.ServerRunner(
        web.Server(server.handle, handler_cancellation=True, access_log=None), shutdown_timeout=0.1
    )
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=tls)
    await site.start()
    assert site._server is not None
    port = site._server.sockets[0].getsockname()[1]  # type: ignore[attr-defined]
    server.url = f"{'https' if tls else 'http'}://127.0.0.1:{port}"
    try:
        yield server
    finally:
        for held in server.holds.values():
            held.set()
        await runner.cleanup()
