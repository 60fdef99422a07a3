"""The control endpoint: what only a test or a benchmark can ask for. On a port of its own."""

from __future__ import annotations

import asyncio
import inspect
import os
from collections.abc import Callable
from typing import Any

import msgspec
from aiohttp import web
from aiohttp.web_request import BaseRequest

from asyncrun.local.kube.cluster import furnish, namespace_object, set_quota
from asyncrun.local.kube.faults import How
from asyncrun.local.kube.node_api import FaultyNode
from asyncrun.local.kube.options import Fault, Rule
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Json, StoreError

TOKEN_HEADER = "X-Asyncrun-Token"


class Controls:
    """What can be done to a running server. Every public coroutine is a verb of the endpoint."""

    def __init__(self, server: KubeServer) -> None:
        self._server = server
        self._repeated: dict[str, asyncio.TimerHandle] = {}
        self._thaw: asyncio.TimerHandle | None = None

    def stop(self) -> None:
        """Let nothing happen by itself any more."""
        for timer in self._repeated.values():
            timer.cancel()
        self._repeated.clear()

    async def add_token(
        self, rules: list[Json] | None, user: str = "", token: str = "", lifetime: float | None = None
    ) -> str:
        """See `Tokens.add`."""
        read = None if rules is None else [_rule(one) for one in rules]
        return self._server.tokens.add(read, user=user, token=token, lifetime=lifetime)

    async def revoke_token(self, token: str) -> None:
        """Let a token be unknown."""
        self._server.tokens.revoke(token)

    async def add_faults(self, faults: list[Json]) -> None:
        """Append fault rules."""
        self._server.faults.add(*(Fault(**one) for one in faults))

    async def clear_faults(self) -> None:
        """Remove fault rules, accept connections, let everything flow, cut nothing any more."""
        self._server.faults.clear()
        await self.thaw_watches()
        self.stop()
        await self._server.accept()

    async def refuse(self, seconds: float | None = None, connections: bool = True) -> None:
        """Refuse connections for some seconds; None: until `accept`."""
        self._server.refuse(connections=connections)
        if seconds is not None:
            self._server.accept_in(seconds)

    async def accept(self) -> None:
        """Listen again."""
        await self._server.accept()

    async def abort_connections(self) -> None:
        """Break all connections."""
        self._server.abort_connections()

    async def cut(self, operation: str, how: How = "reset", every: float | None = None) -> int:
        """End open streams now; and again every some seconds, 0: no more."""
        count = self._server.traffic.cut(operation, how)
        if every is not None:
            self._every(f"cut {operation}", every, lambda: self._server.traffic.cut(operation, how))
        return count

    async def freeze_watches(self, seconds: float | None = None) -> None:
        """Let watches be silent, without a bookmark, for some seconds; None: until `thaw_watches`."""
        self._forget_thaw()
        self._server.traffic.flowing.clear()
        if seconds is not None:
            self._thaw = self._server.later(seconds, self._server.traffic.flowing.set)

    async def thaw_watches(self) -> None:
        """Let them go on where they were."""
        self._forget_thaw()
        self._server.traffic.flowing.set()

    def _forget_thaw(self) -> None:
        if self._thaw is not None:
            self._thaw.cancel()

    async def compact(self, every: float | None = None) -> int:
        """Forget the history now; and again every some seconds, 0: no more."""
        if every is not None:
            self._every("compact", every, self._server.store.compact)
        self._server.store.tick()
        return self._server.store.compact()

    async def kubelet_restart(self, down: float = 1.0, strange: int = 1) -> int:
        """End all follows cleanly though containers run; logs answer 500 while it is down, then 404 some times."""
        self._server.verbs.kubelet.down(down, strange=strange)
        return self._server.traffic.cut("follow *", "end")

    async def node_fault(self, name: str, arguments: Json) -> Any:
        """
        What the node offers, see `FaultyNode.fault`.

        :raises ValueError: it does not know that.
        """
        node = self._server.node
        if not isinstance(node, FaultyNode):
            raise ValueError("this node has no faults")
        return await node.fault(name, arguments)

    async def traffic(self, requests: bool = False, clear: bool = False) -> Json:
        """What was asked and what is open; ``requests``: one by one."""
        traffic = self._server.traffic
        shown: Json = {
            "counts": dict(traffic.counts),
            "open": {key: value for key, value in traffic.open.items() if value},
            "most_open": dict(traffic.most_open),
            "connections": traffic.connections,
            "cpu": sum(os.times()[:2]),
            "requests": list(traffic.requests) if requests else [],
        }
        if clear:
            traffic.clear()
        return shown

    async def add_namespace(self, name: str) -> None:
        """Make a namespace, with what controllers put into it."""
        if self._server.store.get("namespaces", "", name) is None:
            self._server.store.create("namespaces", namespace_object(name))
            furnish(self._server.store, name)

    async def set_quota(self, namespace: str, pods: int | None) -> None:
        """Limit the pods of a namespace; None: no limit."""
        set_quota(self._server.store, namespace, pods)

    async def put(self, kind: str, obj: Json) -> Json:
        """Create or replace an object (a secret, a config map, a pod's status) without validation."""
        store = self._server.store
        metadata = obj["metadata"]
        old = store.get(kind, metadata.get("namespace", ""), metadata["name"])
        if old is None:
            return store.create(kind, obj)
        return store.update(kind, {**obj, "metadata": {**old["metadata"], **metadata}})

    async def revision(self) -> int:
        """The store's."""
        return self._server.store.revision

    def _every(self, name: str, seconds: float, called: Callable[[], object]) -> None:
        timer = self._repeated.pop(name, None)
        if timer is not None:
            timer.cancel()
        if seconds <= 0:
            return

        def run() -> None:
            called()
            self._repeated[name] = asyncio.get_running_loop().call_later(seconds, run)

        self._repeated[name] = asyncio.get_running_loop().call_later(seconds, run)


def _rule(raw: Json) -> Rule:
    given = dict(raw)
    for name in ("verbs", "resources", "names"):
        if name in given:
            given[name] = tuple(given[name])
    return Rule(**given)


class ControlEndpoint:
    """
    ``POST /VERB`` with a JSON object of arguments; answers ``{"result": ...}`` or ``{"error": ...}``.

    :param token: that must be in the header.
    """

    def __init__(self, server: KubeServer, token: str) -> None:
        self.controls = Controls(server)
        self._token = token
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self.port = 0

    async def start(self) -> None:
        """Listen on a free port."""
        self._web = web.Server(self._handle)
        self._listener = await asyncio.get_running_loop().create_server(self._web, "127.0.0.1", 0)
        self.port = self._listener.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        """Stop listening."""
        self.controls.stop()
        assert self._listener is not None
        assert self._web is not None
        self._listener.close()
        await self._web.shutdown(0.5)

    async def _handle(self, request: BaseRequest) -> web.Response:
        if request.headers.get(TOKEN_HEADER) != self._token:
            return _answer(403, {"error": "the token is wrong"})
        verb = getattr(self.controls, request.path.strip("/").replace("-", "_"), None)
        if verb is None or not inspect.iscoroutinefunction(verb) or verb.__name__.startswith("_"):
            return _answer(404, {"error": f"unknown verb {request.path}"})
        body = await request.read()
        try:
            result = await verb(**(msgspec.json.decode(body) if body else {}))
        except (ValueError, TypeError, KeyError, StoreError) as error:
            return _answer(400, {"error": f"{type(error).__name__}: {error}"})
        return _answer(200, {"result": result})


def _answer(status: int, content: Json) -> web.Response:
    return web.Response(status=status, body=msgspec.json.encode(content), content_type="application/json")
