"""
``open_aws``: one shared way to AWS per target and event loop.

Lifetime: the first ``async with`` makes the clients, off the loop and once for all who wait; the last one to leave
closes them after ``watcher_linger``. Between the two they stay valid when credentials rotate (``clients.rotation``).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Hashable
from contextlib import asynccontextmanager

from asyncrun.clients.api import AwsAccess, EcsApi, LogsApi
from asyncrun.clients.calling import Calls
from asyncrun.clients.credentials import target_hash
from asyncrun.clients.ecs import Ecs
from asyncrun.clients.logs import Logs
from asyncrun.clients.owned import OwnedTasks
from asyncrun.clients.per_loop import PerLoop
from asyncrun.clients.rotation import Rotation
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings


@asynccontextmanager
async def open_aws(target: AwsTarget, settings: Settings, *, account: str | None = None) -> AsyncIterator[AwsAccess]:
    """
    AWS as this target reaches it. Shared: all who open an equal target in one event loop get the same object.

    :param target: connection, region and options.
    :param settings: rates and times; those of the first opener count.
    :param account: account number, if known. Targets of one account share its call budgets; without it they do so from
        the first answer on that names it (``clients.accounts``).
    :raises RemoteError: the connection cannot be resolved, or the client cannot be made; says who must act.
    """
    shared = _enter(target, settings)
    try:
        await shared.ready()
        if account:
            shared.suppose_account(account)
        yield shared
    finally:
        shared.leave()


async def close_all() -> None:
    """
    Close everything that the running event loop has open, now, and wait for what is closing already.

    Calls in flight fail as ``Unavailable``.
    """
    for shared in [*_registry().values(), *_closing()]:
        await shared.close()


# By identity. Invariant: an entry is present exactly while it has users or lingers.
_registry: PerLoop[dict[str, Shared]] = PerLoop(dict)
# Those that left the registry and still have something to close.
_closing: PerLoop[set[Shared]] = PerLoop(set)


def _enter(target: AwsTarget, settings: Settings) -> Shared:
    """Find or make the entry and count the user, without an await in between."""
    registry, key = _registry(), target_hash(target)
    shared = registry.get(key)
    if shared is None:
        shared = registry[key] = Shared(target, settings, key)
    shared.enter()
    return shared


class Shared:
    """
    ``AwsAccess`` of one target in one event loop.

    Leaves the registry, for good, when it begins to close.

    :param identity: its key in the registry.
    """

    def __init__(self, target: AwsTarget, settings: Settings, identity: str) -> None:
        self._target, self._settings, self._identity = target, settings, identity
        self._users = 0
        self._closed = False
        self._lingering: asyncio.Task[None] | None = None
        self._tasks = OwnedTasks(identity)
        self._close_once = asyncio.Lock()
        self._rotation = Rotation(target, settings.connection_ttl, identity)
        self._calls = Calls(self._rotation, settings, identity)
        self._ecs = Ecs(self._calls, ("ecs", identity))

    def __repr__(self) -> str:
        return f"<AwsAccess {self._target.conn_id!r} {self._target.region_name or ''} users={self._users}>"

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target."""
        return ("aws", self._identity)

    @property
    def region(self) -> str:
        """The region that the target resolves to."""
        return self._calls.region

    @property
    def ecs(self) -> EcsApi:
        """ECS in the target's region."""
        return self._ecs

    def logs(self, region: str | None = None) -> LogsApi:
        """CloudWatch Logs in that region, or the target's."""
        where = region or self.region
        return Logs(self._calls, ("logs", self._identity, where), where)

    async def renew(self) -> None:
        """Look up the connection and its credentials again, now: single-flight; calls under way finish as they are."""
        await self._rotation.renew()

    def suppose_account(self, account: str) -> None:
        """Somebody expects the calls to be made in that account: believed until AWS tells."""
        self._calls.suppose_account(account)

    # -- who uses it ---------------------------------------------------------------------------------------------------

    def enter(self) -> None:
        """One more user."""
        self._users += 1
        if self._lingering is not None:
            self._lingering.cancel()
            self._lingering = None

    def leave(self) -> None:
        """One user less; the last one starts the linger."""
        self._users -= 1
        if self._users == 0 and not self._closed:
            self._lingering = self._tasks.start(self._linger(), "linger")

    async def ready(self) -> None:
        """Wait until there are clients."""
        await self._rotation.ready()

    async def close(self) -> None:
        """Close the clients and end our tasks, now. Who calls it while that is under way waits for its end."""
        closing = _closing()
        self._closed = True
        self._lingering = None  # it would come here too, and wait for us while we wait for it
        if _registry().get(self._identity) is self:
            del _registry()[self._identity]
        closing.add(self)
        async with self._close_once:
            await self._tasks.end()
            await self._rotation.close()
            closing.discard(self)

    async def _linger(self) -> None:
        try:
            await asyncio.sleep(self._settings.watcher_linger)
        finally:
            # Also where the loop ends and cancels its tasks; not where a new user came and cancelled us.
            if self._lingering is asyncio.current_task():
                await self.close()
