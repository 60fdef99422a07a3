"""The API server: from an HTTP request to the answer."""

from __future__ import annotations

import asyncio
import secrets
import socket
import ssl
import sys
import traceback
from collections.abc import Callable
from types import TracebackType
from typing import Any

from aiohttp import web
from aiohttp.http import RawRequestMessage
from aiohttp.web_request import BaseRequest

from asyncrun.local.kube.access import ANONYMOUS, Tokens
from asyncrun.local.kube.answers import answer_error, json_answer, text_answer
from asyncrun.local.kube.cluster import populate
from asyncrun.local.kube.decoding import BODY_LIMIT
from asyncrun.local.kube.faults import Faults, Traffic, fault_error, refusal
from asyncrun.local.kube.node_api import Node
from asyncrun.local.kube.objects import Objects
from asyncrun.local.kube.options import EmbeddedKubeOptions, Fault
from asyncrun.local.kube.paths import PageNotFound, other_path, read_call
from asyncrun.local.kube.query import Call
from asyncrun.local.kube.status import ApiError
from asyncrun.local.kube.store import Store
from asyncrun.local.kube.verbs import Verbs


class KubeServer:
    """
    The embedded API server in the caller's own event loop.

        async with KubeServer(Store(), ScriptedNode(), EmbeddedKubeOptions()) as server:
            ...

    The node is started and stopped with it.

    :param token: of the administrator; empty: a random one, in `token`.
    :param certificate: for https; None: http.
    """

    def __init__(
        self,
        store: Store,
        node: Node,
        options: EmbeddedKubeOptions | None = None,
        *,
        token: str = "",
        certificate: ssl.SSLContext | None = None,
    ) -> None:
        self.store, self.node = store, node
        self.options = options or EmbeddedKubeOptions()
        self.token = token or secrets.token_urlsafe(24)
        self.tokens = Tokens(self.token)
        self.faults = Faults(self.options.faults)
        self.traffic = Traffic()
        self.port = 0
        self._certificate = certificate
        self._objects = Objects(store, self.later, self.options.foreground_delay)
        self._verbs = Verbs(store, node, self._objects, self.traffic, self.options)
        self._web: web.Server | None = None
        self._listener: asyncio.Server | None = None
        self._held: socket.socket | None = None
        self._accepting: asyncio.Task[None] | None = None
        self._accept_timer: asyncio.TimerHandle | None = None
        self._timers: set[asyncio.TimerHandle] = set()

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"{'https' if self._certificate else 'http'}://127.0.0.1:{self.port}"

    @property
    def verbs(self) -> Verbs:
        """What carries requests out; holds the kubelet's state."""
        return self._verbs

    async def __aenter__(self) -> KubeServer:
        """Fill the store, start the node, and listen."""
        populate(self.store, self.options)
        self._web = web.Server(self._handle, request_factory=self._request, handler_cancellation=True)
        await self.accept()
        try:
            await self.node.start(self.store)
        except BaseException:
            await self._stop_listening()
            await self.node.stop()  # what of it had begun
            raise
        if self.options.heartbeat:
            self._beat()
        return self

    async def __aexit__(
        self, _type: type[BaseException] | None, _error: BaseException | None, _traceback: TracebackType | None
    ) -> None:
        for timer in self._timers:
            timer.cancel()
        self._timers.clear()
        try:
            if self._accepting is not None:
                await self._accepting
        finally:
            await self._stop_listening()
            await self.node.stop()

    async def _stop_listening(self) -> None:
        assert self._web is not None
        self._close_listener()
        self.abort_connections()
        await self._web.shutdown(0.5)
        if self._held is not None:
            self._held.close()

    async def accept(self) -> None:
        """Listen (again); `accept_in` is forgotten."""
        self._forget_accept()
        if self._listener is None:
            assert self._web is not None
            held, self._held = self._held or self._bind(), None
            loop = asyncio.get_running_loop()
            self._listener = await loop.create_server(self._connect, sock=held, ssl=self._certificate, backlog=1024)

    def _connect(self) -> asyncio.Protocol:
        assert self._web is not None
        self.traffic.connections += 1
        return self._web()

    def accept_in(self, seconds: float) -> None:
        """Listen again in a while, unless `accept` or `refuse` comes before."""

        def accept() -> None:
            self._accepting = asyncio.get_running_loop().create_task(self.accept(), name="embedded kubernetes: accept")

        self._forget_accept()
        self._accept_timer = self.later(seconds, accept)

    def _forget_accept(self) -> None:
        if self._accept_timer is not None:
            self._accept_timer.cancel()

    def refuse(self, *, connections: bool = True) -> None:
        """
        Refuse connections until `accept`, as a server does that is not there.

        :param connections: break those that are open, too.
        """
        self._forget_accept()
        if self._listener is not None:
            self._close_listener()
            self._held = self._bind()  # keeps the port; without listening, connections to it are refused
        if connections:
            self.abort_connections()

    def abort_connections(self) -> None:
        """Break all connections."""
        assert self._web is not None
        for connection in list(self._web.connections):
            if connection.transport is not None:
                connection.transport.abort()

    def _close_listener(self) -> None:
        if self._listener is not None:
            self._listener.close()
            self._listener = None

    def _bind(self) -> socket.socket:
        bound = socket.socket()
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind(("127.0.0.1", self.port or self.options.port))
        except OSError:
            bound.close()
            raise
        bound.setblocking(False)
        self.port = bound.getsockname()[1]
        return bound

    def later(self, seconds: float, called: Callable[[], None]) -> asyncio.TimerHandle:
        """Call something in a while, unless the server has stopped by then."""

        def run() -> None:
            self._timers.discard(timer)
            called()

        timer = asyncio.get_running_loop().call_later(seconds, run)
        self._timers = {timer, *(one for one in self._timers if not one.cancelled())}
        return timer

    def _beat(self) -> None:
        self.store.tick()
        self.later(self.options.heartbeat, self._beat)

    def _request(self, message: RawRequestMessage, payload: Any, protocol: Any, writer: Any, task: Any) -> BaseRequest:
        loop = asyncio.get_running_loop()
        return BaseRequest(message, payload, protocol, writer, task, loop, client_max_size=BODY_LIMIT)

    async def _handle(self, request: BaseRequest) -> web.StreamResponse:
        try:
            return await self._answer(request)
        except ApiError as error:
            return answer_error(error)
        except PageNotFound:
            return text_answer("404 page not found\n", 404)
        except ConnectionError:
            if request.transport is not None and not request.transport.is_closing():
                raise
            return web.Response(status=499)  # nobody is there to read it, and raised it would be logged as an error
        except Exception as error:  # noqa: BLE001  # top of a request: the server must go on, and the client be told
            traceback.print_exc(file=sys.stderr)
            if request.writer.output_size and request.transport is not None:
                request.transport.abort()  # a second answer in the midst of the first would not be understood
            return answer_error(ApiError(500, "InternalError", f"Internal error occurred: {error!r}"))

    async def _answer(self, request: BaseRequest) -> web.StreamResponse:
        identity, refused = ANONYMOUS, None
        try:
            identity = self.tokens.identify(request.headers.get("Authorization"))
        except ApiError as error:
            refused = error
        address, accept = f"127.0.0.1:{self.port}", request.headers.get("Accept", "")
        special = None if refused else other_path(request.path, identity, address, accept)
        if special is not None:
            return special
        try:
            call = read_call(request, identity)
        except (ApiError, PageNotFound) as error:
            raise (refused or error) from None  # who asks comes before what is asked for
        with self.traffic.request(call) as entry:
            try:
                if refused is not None:
                    raise refused
                response = await self._carry_out(request, call)
            except ApiError as error:
                entry["status"] = error.code
                raise
            entry["status"] = response.status
            return response

    async def _carry_out(self, request: BaseRequest, call: Call) -> web.StreamResponse:
        fault = self.faults.pick(call)
        if fault is not None and fault.delay:
            await asyncio.sleep(fault.delay)
        if not call.identity.may(call.verb, call.full_resource, call.namespace, call.name or call.selected_name):
            raise refusal(call)
        if fault is None or fault.kind == "delay":
            return await self._verbs.carry_out(request, call)
        return await self._fail(fault, request, call)

    async def _fail(self, fault: Fault, request: BaseRequest, call: Call) -> web.StreamResponse:
        if fault.kind == "status":
            if fault.status == 429 and not fault.message and not fault.reason:
                return _too_many(fault)
            raise fault_error(fault, call)
        if fault.kind == "hang":
            await asyncio.Event().wait()
        if fault.kind in {"drop_answer", "malformed"}:
            response = await self._verbs.carry_out(request, call)
            if fault.kind == "malformed" and isinstance(response, web.Response) and isinstance(response.body, bytes):
                half = response.body[: len(response.body) // 2]
                return json_answer(half, response.status)
        if request.transport is not None:
            request.transport.abort()
        raise ConnectionResetError("reset by a fault")


def _too_many(fault: Fault) -> web.Response:
    """What priority and fairness says: plain text."""
    headers = {"Retry-After": str(fault.retry_after or 1), "Content-Type": "text/plain; charset=utf-8"}
    return web.Response(status=429, headers=headers, body=b"Too many requests, please try again later.\n")
