"""One request to an API server: its budget, its credentials, its time limits, and its error."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import msgspec

from asyncrun.clients.budget import Group, TokenBucket, bucket_for
from asyncrun.clients.kube_faults import (
    Refusal,
    closed,
    cut,
    fault,
    page,
    pause_of,
    transport_errors,
    unanswered,
)
from asyncrun.clients.kube_wire import KubeGeneration, Lease
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.clients.owned import being_cancelled
from asyncrun.clients.rotation import Rotating
from asyncrun.model.errors import RemoteError, Throttled, Unavailable
from asyncrun.model.settings import Settings

CONNECT_LIMIT = 10.0
"""Seconds to connect."""
READ_LIMIT = 30.0
"""Seconds without a byte of the answer to a question."""
CHANGE_LIMIT = 65.0
"""The same of a change, which may wait for admission webhooks: the API server itself gives up after 60."""
LONGEST_REFUSAL = 2**20
"""Bytes that are read of an error answer."""

_LIMITS = {"GET": READ_LIMIT}


class Request(msgspec.Struct, frozen=True):
    """
    What to send.

    :param call: for messages; its identity and steward are filled in.
    :param query: parameters of the URL.
    :param body: JSON.
    :param silence: seconds without a byte after which the connection counts as dead; None: as for any answer.
    :param stream: whether the answer may last for long.
    """

    call: KubeCall
    method: str
    path: str
    query: Mapping[str, str]
    body: bytes | None = None
    content_type: str = "application/json"
    silence: float | None = None
    stream: bool = False
    group: Group = Group.KUBE


class Answer:
    """
    An answer whose head has come.

    :param lease: keeps its session open.
    """

    __slots__ = ("_lease", "call", "generation", "response")

    def __init__(self, response: Any, generation: KubeGeneration, call: KubeCall, lease: Lease) -> None:
        self.response, self.generation, self.call = response, generation, call
        self._lease = lease

    async def read(self, limit: int | None = None) -> bytes:
        """
        All of it, or at least its first ``limit`` bytes.

        :raises Unavailable: it broke off.
        """
        portions, size = [], 0
        while (limit is None or size < limit) and (portion := await self.some()):
            portions.append(portion)
            size += len(portion)
        return b"".join(portions)

    async def some(self) -> bytes:
        """
        The bytes that have come; empty at the clean end.

        :raises Unavailable: it broke off, or nothing came for too long.
        """
        try:
            return bytes(await self.response.content.readany())
        except transport_errors() as error:
            raise self.broken(error) from error

    def broken(self, error: BaseException) -> RemoteError:
        """Our error for one of the connection."""
        return closed(self.call) if self.generation.closed else cut(error, self.call)

    def end(self) -> None:
        """Leave it: an answer that was read to its end gives its connection back, another one closes it."""
        if self.response.content.at_eof():
            self.response.release()
        else:
            self.response.close()
        self._lease.end()


class KubeCalls:
    """
    Requests of one target.

    A 401 makes one renewal of the credentials, for all who got it, and the request is sent once more.
    """

    def __init__(self, rotation: Rotating[KubeGeneration], settings: Settings) -> None:
        self._rotation, self._settings = rotation, settings

    @property
    def server(self) -> str:
        """URL of the API server."""
        return self._rotation.last.resolved.server

    def call(self, verb: str, resource: str, namespace: str, name: str = "") -> KubeCall:
        """That call, for an error message."""
        resolved = self._rotation.last.resolved
        return KubeCall(resolved.server, verb, resource, namespace, name, resolved.identity, resolved.steward)

    async def ask(self, request: Request) -> bytes:
        """
        The body of the answer.

        :raises AsyncrunError: see ``asyncrun.clients.kube_faults``.
        """
        answer = await self.answer(request)
        try:
            return await answer.read()
        finally:
            answer.end()

    async def answer(self, request: Request) -> Answer:
        """
        The answer, for whoever ends it.

        :raises AsyncrunError: it is an error answer; see ``asyncrun.clients.kube_faults``.
        """
        answer = await self._sent(request)
        if answer.response.status == 401:
            error = await self._refusal(answer, request)
            if not await self._renewed(answer.generation, error):
                raise error
            answer = await self._sent(request)
        if answer.response.status >= 300:
            raise await self._refusal(answer, request)
        if answer.response.content_type == "text/html":
            answer.end()
            raise page(answer.response.status, answer.call)
        return answer

    async def _sent(self, request: Request) -> Answer:
        bucket = self._bucket(request)
        await bucket.take()
        generation = self._rotation.current
        self._rotation.look_again()
        lease = Lease(generation)
        try:
            wire, identity = await generation.ready()
            lease.use(wire)
            resolved = generation.resolved
            call = msgspec.structs.replace(
                request.call, server=resolved.server, identity=resolved.identity, steward=resolved.steward
            )
            session = wire.streams if request.stream else wire.calls
            response = await _response(
                session, request, _arguments(request, resolved, identity.header), generation, call
            )
            lease.read(wire, response)
        except BaseException:
            lease.end()
            raise
        return Answer(response, generation, call, lease)

    async def _refusal(self, answer: Answer, request: Request) -> Exception:
        try:
            body = await answer.read(LONGEST_REFUSAL)
        finally:
            answer.end()
        headers = answer.response.headers
        refusal = Refusal(answer.response.status, body, headers.get("Retry-After", ""), headers.get("Audit-Id", ""))
        error = fault(refusal, answer.call)
        if isinstance(error, Throttled):
            self._bucket(request).throttled(pause_of(refusal))
        return error

    async def _renewed(self, refused: KubeGeneration, error: Exception) -> bool:
        """Whether there are other credentials now than those that were refused."""
        if self._rotation.current is refused:
            try:
                await self._rotation.renew()
            except RemoteError as failed:
                if isinstance(failed, Unavailable) and failed.service == "kubernetes":
                    raise  # a plug-in's outage, which passes: nobody can say yet whether there are better ones
                raise error from failed
        return self._rotation.current is not refused

    def _bucket(self, request: Request) -> TokenBucket:
        return bucket_for(self.server, "", request.group, self._settings)


async def _response(
    session: Any, request: Request, arguments: dict[str, Any], generation: KubeGeneration, call: KubeCall
) -> Any:
    try:
        return await session.request(request.method, **arguments)
    except asyncio.CancelledError:
        if generation.closed and not being_cancelled():  # a closed pool cancels those who queue for it
            raise closed(call) from None
        raise
    except transport_errors() as error:  # its text may hold a proxy's password
        raise (closed(call) if generation.closed else unanswered(error, call)) from None
    except RuntimeError as error:  # the session is closed
        if generation.closed:
            raise closed(call) from error
        raise


def path_of(namespace: str, resource: str, *parts: str) -> str:
    """The path of a resource of the core API."""
    return "/".join(
        ["/api/v1/namespaces", quote(namespace, safe=""), resource, *(quote(one, safe="") for one in parts)]
    )


def _arguments(request: Request, resolved: Any, authorization: str | None) -> dict[str, Any]:
    import aiohttp
    from yarl import URL

    headers = {} if request.body is None else {"Content-Type": request.content_type}
    if authorization is not None:
        headers["Authorization"] = authorization
    limit = request.silence if request.silence is not None else _LIMITS.get(request.method, CHANGE_LIMIT)
    return {
        "url": URL(resolved.server + request.path, encoded=True).with_query(request.query),
        "headers": headers,
        "data": request.body,
        "allow_redirects": False,
        "proxy": resolved.proxy,
        "server_hostname": resolved.tls.server_name,
        "timeout": aiohttp.ClientTimeout(total=None, sock_connect=CONNECT_LIMIT, sock_read=limit),
    }
