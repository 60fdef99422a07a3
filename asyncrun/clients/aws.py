"""
``open_aws``: one shared way to AWS per target and event loop.

Lifetime: see ``clients.shared``.
"""

from __future__ import annotations

from collections.abc import Hashable
from contextlib import AbstractAsyncContextManager
from functools import partial

from asyncrun.clients.api import AwsAccess, EcsApi, LogsApi
from asyncrun.clients.calling import Calls
from asyncrun.clients.credentials import target_hash
from asyncrun.clients.ecs import Ecs
from asyncrun.clients.logs import Logs
from asyncrun.clients.per_loop import PerLoop
from asyncrun.clients.rotation import Rotation
from asyncrun.clients.shared import Opening, SharedWay, close_every, entered
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings


def open_aws(
    target: AwsTarget, settings: Settings, *, account: str | None = None
) -> AbstractAsyncContextManager[AwsAccess]:
    """
    AWS as this target reaches it. Shared: all who open an equal target in one event loop get the same object.

    :param target: connection, region and options.
    :param settings: rates and times; those of the first opener count.
    :param account: account number, if known. Targets of one account share its call budgets; without it they do so from
        the first answer on that names it (``clients.accounts``).
    :raises RemoteError: the connection cannot be resolved, or the client cannot be made; says who must act.
    """
    return Opening(partial(_opened, target, settings, account))


async def _opened(target: AwsTarget, settings: Settings, account: str | None) -> Shared:
    key = target_hash(target)
    shared = await entered(_registry, key, lambda: Shared(target, settings, key))
    if account:
        shared.suppose_account(account)
    return shared


async def close_all() -> None:
    """
    Close everything that the running event loop has open, now, and wait for what is closing already.

    Calls in flight fail as ``Unavailable``.
    """
    await close_every(_registry, _closing)


_registry: PerLoop[dict[str, Shared]] = PerLoop(dict)
_closing: PerLoop[set[Shared]] = PerLoop(set)


class Shared(SharedWay):
    """
    ``AwsAccess`` of one target in one event loop.

    :param identity: its key in the registry.
    """

    def __init__(self, target: AwsTarget, settings: Settings, identity: str) -> None:
        rotation = Rotation(target, settings.connection_ttl, identity)
        super().__init__(identity, settings.watcher_linger, rotation, _registry, _closing)
        self._target = target
        self._calls = Calls(rotation, settings, identity)
        self._ecs = Ecs(self._calls, ("ecs", identity))
        self._logs: dict[str, Logs] = {}

    def __repr__(self) -> str:
        return f"<AwsAccess {self._target.conn_id!r} {self._target.region_name or ''} users={self.users}>"

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
        if where not in self._logs:
            self._logs[where] = Logs(self._calls, ("logs", self._identity, where), where)
        return self._logs[where]

    def suppose_account(self, account: str) -> None:
        """Somebody expects the calls to be made in that account: believed until AWS tells."""
        self._calls.suppose_account(account)
