"""
The HTTP sessions made of one look-up of a connection to Kubernetes. A rotated connection makes a new generation; the
old one drains: closing a session breaks the calls in flight, so they are counted.
"""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from asyncrun.clients.in_flight import InFlight
from asyncrun.clients.kube_auth import Auth, Identity, auth_of
from asyncrun.clients.kube_config import KubeconfigError
from asyncrun.clients.kube_resolved import ResolvedKube
from asyncrun.clients.kube_resolving import resolve_kube
from asyncrun.clients.kube_tls import Certificate, make_context
from asyncrun.clients.owned import OwnedTasks
from asyncrun.model.errors import CredentialsExpired, Unavailable
from asyncrun.model.refs import KubeTarget

POOL = 100
"""Connections for calls: the budget allows 50 calls/s, and one that an admission webhook holds up may take 30 s."""
KEEPALIVE = (30, 15, 4)
"""Seconds of silence before TCP asks whether the other end is alive, between two such questions, and how many go
unanswered: load balancers forget quiet connections after some minutes without a word to us."""


class Wire:
    """
    Two sessions over one TLS context: for calls, and for streams, which hold their connections for long.

    :param context: None for plain HTTP.
    """

    def __init__(self, resolved: ResolvedKube, context: Any, certificate: Certificate | None) -> None:
        self.certificate = certificate
        self.flight = InFlight()
        self._reading: set[Any] = set()
        self.calls = _session(resolved, context, POOL)
        self.streams = _session(resolved, context, 0)

    async def drain(self) -> None:
        """Wait for what is in flight, then close."""
        try:
            await self.flight.none_left()
        finally:
            await self.close()

    def begin_reading(self, response: Any) -> None:
        """
        That response is being read: it must be closed before its session.

        Whoever reads a response whose session is closed would wait for ever (aiohttp 3.14, measured).
        """
        self._reading.add(response)

    def end_reading(self, response: Any) -> None:
        """It was read, or given up."""
        self._reading.discard(response)

    async def close(self) -> None:
        """Close now. What is still in flight fails."""
        for response in list(self._reading):
            response.close()
        await self.calls.close()
        await self.streams.close()


def _session(resolved: ResolvedKube, context: Any, limit: int) -> Any:
    import aiohttp

    connector = aiohttp.TCPConnector(
        limit=limit,
        ssl=True if context is None else context,
        resolver=aiohttp.ThreadedResolver(),
        socket_factory=_lively_socket if resolved.keepalive else None,
    )
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), headers=_headers(resolved))


def _headers(resolved: ResolvedKube) -> list[tuple[str, str]]:
    import asyncrun

    # Large answers would come compressed, and unpacking them is our event loop's work.
    return [
        ("User-Agent", f"asyncrun/{getattr(asyncrun, '__version__', '0')}"),
        ("Accept-Encoding", "identity"),
        *resolved.impersonated,
    ]


def _lively_socket(address: Any) -> socket.socket:
    family, kind, protocol = address[:3]
    made = socket.socket(family, kind, protocol)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in zip(("TCP_KEEPIDLE", "TCP_KEEPINTVL", "TCP_KEEPCNT"), KEEPALIVE, strict=True):
        if hasattr(socket, name):
            made.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
    return made


class Lease:
    """
    What one request keeps open: its generation, then its sessions, then its response. Each of many streams holds one.

    :param generation: by whose credentials it is made.
    """

    __slots__ = ("_generation", "_reading")

    def __init__(self, generation: KubeGeneration) -> None:
        self._generation: KubeGeneration | None = generation
        self._reading: tuple[Wire, Any] | None = None
        generation.flight.begin()

    def use(self, wire: Wire) -> None:
        """The request goes over these sessions."""
        self._reading = wire, None
        wire.flight.begin()

    def read(self, wire: Wire, response: Any) -> None:
        """Its answer is being read."""
        self._reading = wire, response
        wire.begin_reading(response)

    def end(self) -> None:
        """Nothing of it is needed any more. Harmless when repeated."""
        if self._reading is not None:
            (wire, response), self._reading = self._reading, None
            wire.end_reading(response)
            wire.flight.end()
        if self._generation is not None:
            self._generation.flight.end()
            self._generation = None


class KubeGeneration:
    """
    The sessions of one look-up, for one event loop.

    :param resolved: what the target resolved to.
    """

    def __init__(self, resolved: ResolvedKube, auth: Auth) -> None:
        self.resolved = resolved
        self.closed = False
        self.flight = InFlight()
        self._auth = auth
        self._wire: Wire | None = None
        self._replacing = asyncio.Lock()
        self._tasks = OwnedTasks("kubernetes")
        self._wires: set[Wire] = set()

    async def ready(self) -> tuple[Wire, Identity]:
        """
        The sessions for the next call, and what it shows.

        :raises RemoteError: there are no credentials.
        """
        identity = await self._auth.identity()
        wire = self._wire
        if wire is None or wire.certificate != identity.certificate:
            async with self._replacing:
                identity = await self._auth.identity()  # the newest: nobody must go back to an older certificate
                wire = await self._replaced(identity.certificate)
        if wire is None or self.closed:
            raise Unavailable("This way to Kubernetes was closed while a call waited for its credentials.")
        return wire, identity

    async def drain(self) -> None:
        """Wait for the calls in flight, then close. Streams may last for days."""
        try:
            await self.flight.none_left()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close now. What is still in flight fails as ``Unavailable``."""
        self.closed = True
        await self._auth.close()
        await self._tasks.end()
        for wire in list(self._wires):
            await wire.close()
            self._wires.discard(wire)

    async def _replaced(self, certificate: Certificate | None) -> Wire | None:
        """The sessions that show this certificate, None if they would be closed before anyone used them."""
        context, old = self.resolved.context, self._wire
        if old is not None and old.certificate == certificate:
            return old
        if certificate is not None and context is not None:
            try:
                context = await asyncio.to_thread(make_context, self.resolved.tls, certificate)
            except KubeconfigError as error:
                raise CredentialsExpired(
                    f"The exec plug-in of the kubeconfig gave no usable credentials: {error}: {self.resolved.steward} "
                    "must see to it.",
                    service="kubernetes",
                ) from None
        if self.closed:
            return None
        self._wire = Wire(self.resolved, context, certificate)
        self._wires.add(self._wire)
        if old is not None:
            self._tasks.start(self._drained(old), "drain")
        return self._wire

    async def _drained(self, wire: Wire) -> None:
        await wire.drain()
        self._wires.discard(wire)


async def open_kube_generation(target: KubeTarget, plugin_limit: float, known: str | None) -> KubeGeneration | None:
    """
    Look the target up, in a thread, and get its first credentials.

    :param plugin_limit: seconds for an exec plug-in.
    :param known: fingerprint of what is in use.
    :return: None if nothing changed.
    :raises RemoteError: saying who must act.
    """
    resolved = await asyncio.to_thread(resolve_kube, target, known)
    if resolved is None:
        return None
    generation = KubeGeneration(resolved, auth_of(resolved, plugin_limit))
    try:
        await generation.ready()
    except BaseException:
        await generation.close()
        raise
    return generation
