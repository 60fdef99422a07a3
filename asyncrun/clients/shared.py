"""
Shared ways to a remote API: one per target and event loop.

Lifetime: the first ``async with`` makes the clients, off the loop and once for all who wait; the last one to leave
closes them after ``watcher_linger``. Between the two they stay valid when credentials rotate (``clients.rotation``).
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from types import TracebackType
from typing import Any, Generic, TypeVar

from asyncrun.clients.owned import OwnedTasks
from asyncrun.clients.per_loop import PerLoop
from asyncrun.clients.rotation import Rotating

S = TypeVar("S", bound="SharedWay")


def enter(registry: PerLoop[dict[str, S]], key: str, make: Callable[[], S]) -> S:
    """
    Find or make the entry and count the user, without an await in between.

    :param registry: by identity. Invariant: an entry is present exactly while it has users or lingers.
    """
    entries = registry()
    shared = entries.get(key)
    if shared is None:
        shared = entries[key] = make()
    shared.enter()
    return shared


class Opening(Generic[S]):
    """
    The block in which somebody uses a shared way.

    Thousands are open for hours at the same time: a generator in place of this class would cost each of them 0.5 KiB.

    :param opened: gives the way, entered and ready.
    """

    __slots__ = ("_opened", "_way")

    def __init__(self, opened: Callable[[], Awaitable[S]]) -> None:
        self._opened: Callable[[], Awaitable[S]] | None = opened
        self._way: S | None = None

    async def __aenter__(self) -> S:
        opened, self._opened = self._opened, None
        if opened is None:
            raise RuntimeError("a way to a platform is opened once")
        self._way = way = await opened()
        return way

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        way, self._way = self._way, None
        if way is not None:
            way.leave()


async def entered(registry: PerLoop[dict[str, S]], key: str, make: Callable[[], S]) -> S:
    """
    As ``enter``, once there are clients.

    :raises RemoteError: there can be none; the user is not counted then.
    """
    way = enter(registry, key, make)
    try:
        await way.ready()
    except BaseException:
        way.leave()
        raise
    return way


async def close_every(registry: PerLoop[dict[str, S]], closing: PerLoop[set[S]]) -> None:
    """
    Close everything that the running event loop has open, now, and wait for what is closing already.

    :param closing: those that left the registry and still have something to close.
    """
    for shared in [*registry().values(), *closing()]:
        await shared.close()


class SharedWay:
    """
    Who uses one target's clients in one event loop.

    Leaves the registry, for good, when it begins to close.

    :param identity: its key in the registry.
    :param linger: seconds from the last user's leaving to the end.
    """

    def __init__(
        self,
        identity: str,
        linger: float,
        rotation: Rotating[Any],
        registry: PerLoop[dict[str, Any]],
        closing: PerLoop[set[Any]],
    ) -> None:
        self.users = 0
        self._identity, self._linger_time, self._rotation = identity, linger, rotation
        self._registered, self._ending = registry, closing
        self._closed = False
        self._lingering: asyncio.Task[None] | None = None
        self._tasks = OwnedTasks(identity)
        self._close_once = asyncio.Lock()

    def enter(self) -> None:
        """One more user."""
        self.users += 1
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def leave(self) -> None:
        """One user less; the last one starts the linger."""
        self.users -= 1
        if self.users == 0 and not self._closed:
            self._lingering = self._tasks.start(self._linger(), "linger")

    async def ready(self) -> None:
        """Wait until there are clients."""
        await self._rotation.ready()

    async def renew(self) -> None:
        """Look up the connection and its credentials again, now: single-flight; calls under way finish as they are."""
        await self._rotation.renew()

    async def close(self) -> None:
        """Close the clients and end our tasks, now. Who calls it while that is under way waits for its end."""
        closing = self._ending()
        self._closed = True
        self._lingering = None  # it would come here too, and wait for us while we wait for it
        if self._registered().get(self._identity) is self:
            del self._registered()[self._identity]
        closing.add(self)
        async with self._close_once:
            await self._tasks.end()
            await self._rotation.close()
            closing.discard(self)

    async def _linger(self) -> None:
        try:
            await asyncio.sleep(self._linger_time)
        finally:
            # Also where the loop ends and cancels its tasks; not where a new user came and cancelled us.
            if self._lingering is asyncio.current_task():
                await self.close()
