"""
The clients in use for one target, of AWS or Kubernetes, and their replacement when its connection changed.

Every ``connection_ttl`` the connection is looked up again, in the background of a call; if it changed, new clients take
over and the old ones drain. ``renew`` does it at once, and backs off for all who ask for it: each cluster has a poller
of its own, and a denied target is every poller's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any, Generic, Protocol, TypeVar

from asyncrun.clients.generation import Generation, open_generation
from asyncrun.clients.owned import OwnedTasks
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.refs import AwsTarget

LOOKUP_LIMIT = 90.0
"""Seconds for one look-up: 500 starting triggers with as many connections took 60 (measured)."""
LOOKUP_RETRY = 30.0
"""Seconds after a failed look-up in the background; the clients in use go on meanwhile."""
LOOKED_LATELY = 5.0
"""Seconds: a connection that was looked up since is what there is."""
RENEWALS = Backoff(first=10.0, longest=60.0)
"""Between renewals, each of which makes all clients anew. Short against ``access_grace``, in which a mended role must
be noticed."""
RENEWALS_OVER = 180.0
"""Seconds without a renewal after which the back-off begins anew: who is denied asks at least every minute."""

log = logging.getLogger(__name__)


class Looked(Protocol):
    """What a look-up found."""

    @property
    def fingerprint(self) -> str:
        """Equal for equal connections."""

    @property
    def found(self) -> bool:
        """Whether the Airflow connection exists."""


class Clients(Protocol):
    """The clients made of one look-up."""

    @property
    def resolved(self) -> Any:
        """Has what ``Looked`` has."""

    async def drain(self) -> None:
        """Wait for the calls in flight, then close."""

    async def close(self) -> None:
        """Close now."""


G = TypeVar("G", bound=Clients)
Open = Callable[[str | None], Awaitable[G | None]]


class Rotating(Generic[G]):
    """
    The generation in use, in one event loop.

    Invariant: at most one look-up runs, and none starts once ``close`` was called.

    :param open_new: makes a generation; None if the fingerprint of what it is made of is still the given one.
    :param conn_id: Airflow connection, None where there is none.
    :param to: where it leads, for messages: ``AWS``.
    :param ttl: seconds until the connection is looked up again; None: it cannot change.
    :param name: for the names of its tasks.
    :param limit: seconds for one look-up.
    """

    def __init__(
        self, open_new: Open[G], conn_id: str | None, to: str, ttl: float | None, name: str, limit: float = LOOKUP_LIMIT
    ) -> None:
        self._open, self._conn_id, self._to, self._ttl, self._limit = open_new, conn_id, to, ttl, limit
        self._tasks = OwnedTasks(name)
        self._generation: G | None = None
        self._closed = False
        self._lookup: asyncio.Task[None] | None = None
        self._lookup_forced = False
        self._look_again_at = 0.0
        self._renewals = 0  # in a row
        self._renewed_at = self._asked_at = float("-inf")
        self._renew_at = float("-inf")
        self._renewal_error: RemoteError | None = None  # for which the last renewal failed

    @property
    def current(self) -> G:
        """
        The clients for the next call.

        :raises Unavailable: there are none, or none any more.
        """
        if self._generation is None or self._closed:
            raise self._ended()
        return self._generation

    @property
    def last(self) -> G:
        """
        The same, also after the close: for what they were resolved to.

        :raises Unavailable: there never were any.
        """
        if self._generation is None:
            raise self._ended()
        return self._generation

    async def ready(self) -> None:
        """Wait until there are clients. The first caller starts the look-up; after a failure the next one does."""
        if self._generation is None:
            await self._joined_look_up(forced=True)

    async def renew(self) -> None:
        """
        Look up the connection and its credentials again, now: single-flight; calls under way finish as they are.

        Until a renewal is due again, clients are made anew only if the connection changed, and within ``LOOKED_LATELY``
        of the last time nothing happens: hundreds of calls may be refused one after the other, and ask for it.

        :raises RemoteError: there are no new credentials, or there were none just now.
        """
        if _now() - self._asked_at < LOOKED_LATELY:
            if self._renewal_error is not None:
                raise _again(self._renewal_error)
            return
        try:
            await self._renew()
        except RemoteError as error:
            self._renewal_error, self._asked_at = error, _now()
            raise
        self._renewal_error, self._asked_at = None, _now()

    async def _renew(self) -> None:
        if _now() < self._renew_at:
            await self._joined_look_up(forced=False)
            return
        while self._lookup is not None and not self._lookup_forced:  # a mere check would keep equal connections
            await asyncio.wait({self._lookup})
        await self._joined_look_up(forced=True)

    def look_again(self) -> None:
        """Start a look-up in the background if it is due."""
        if self._closed or self._lookup is not None or self._ttl is None or _now() < self._look_again_at:
            return
        self._lookup_forced = False
        self._lookup = self._tasks.start(self._look_up_quietly(), "check")

    async def close(self) -> None:
        """End the look-up and close all clients, now. Repeated, it goes on where a cancelled one stopped."""
        self._closed = True
        await self._tasks.end()
        if self._generation is not None:
            await self._generation.close()

    async def _joined_look_up(self, *, forced: bool) -> None:
        if self._closed:
            raise self._ended()
        if self._lookup is None:
            self._lookup_forced = forced
            self._lookup = self._tasks.start(self._look_up(forced=forced), "look-up")
        await joined(self._lookup, f"This way to {self._to} was closed while it was being opened.")

    async def _look_up_quietly(self) -> None:
        try:
            await self._look_up(forced=False)
        except RemoteError as error:
            subject = f"connection {self._conn_id!r}" if self._conn_id else f"the way to {self._to}"
            log.warning("A look-up of %s failed; the clients in use go on: %s", subject, error)

    async def _look_up(self, *, forced: bool) -> None:
        """
        Resolve the target, and replace the clients if it changed.

        :param forced: replace them even if the connection is the same: its credentials may be new.
        """
        old = self._generation
        self._look_again_at = _now() + LOOKUP_RETRY
        try:
            fresh = await self._resolved(None if old is None or forced else old.resolved.fingerprint)
            self._look_again_at = _now() + (self._ttl or 0)
            if fresh is None:
                return
            if old is not None and old.resolved.found and not fresh.resolved.found:
                await fresh.close()
                raise _disappeared(self._conn_id)
            self._generation = fresh
            if forced and old is not None:
                self._count_renewal()
            if old is not None:
                self._tasks.start(old.drain(), "drain")
        finally:
            self._lookup = None

    def _count_renewal(self) -> None:
        now = _now()
        self._renewals = 1 if now - self._renewed_at > RENEWALS_OVER else self._renewals + 1
        self._renewed_at, self._renew_at = now, now + RENEWALS.wait(self._renewals)

    async def _resolved(self, known: str | None) -> G | None:
        try:
            async with asyncio.timeout(self._limit):
                return await self._open(known)
        except TimeoutError as error:
            raise Unavailable(
                (f"Airflow connection {self._conn_id!r}" if self._conn_id else f"The way to {self._to}")
                + f" could not be resolved within {self._limit:g} s.",
                service="airflow",
            ) from error

    def _ended(self) -> Unavailable:
        return Unavailable(f"This way to {self._to} is closed: it was left, or its event loop is ending.")


class Rotation(Rotating[Generation]):
    """
    The same of AWS.

    :param ttl: seconds until the connection is looked up again.
    :param name: for the names of its tasks.
    """

    def __init__(self, target: AwsTarget, ttl: float, name: str) -> None:
        super().__init__(
            lambda known: open_generation(target, known), target.conn_id, "AWS", ttl if target.conn_id else None, name
        )


async def joined(task: asyncio.Task[None], closed: str) -> None:
    """
    Wait for a shared task without cancelling it, and raise its error: a copy, since many raise it.

    :param closed: what to say where the task was cancelled.
    """
    await asyncio.wait({task})
    if task.cancelled():
        raise Unavailable(closed)
    error = task.exception()
    if isinstance(error, RemoteError):
        raise _again(error)
    if error is not None:
        raise error


def _again(error: RemoteError) -> RemoteError:
    """A copy: many raise it."""
    rebuild, facts = error.__reduce__()
    copy: RemoteError = rebuild(*facts)
    copy.__cause__ = error
    return copy


def _disappeared(conn_id: str | None) -> Unavailable:
    """
    Keep the clients of a connection that existed and now does not.

    The SDK reports a connection as not defined also where Airflow did not answer, and what then takes its place (the
    AWS SDK's own chain; the pod's own service account) would silently change whose credentials we use.
    """
    return Unavailable(
        f"Airflow no longer returns connection {conn_id!r}: it was deleted, or Airflow does not answer. "
        "The credentials that it had stay in use.",
        service="airflow",
    )


def _now() -> float:
    return asyncio.get_running_loop().time()
