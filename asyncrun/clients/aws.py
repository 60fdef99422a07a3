"""
``open_aws``: one shared way to AWS per target and event loop, that stays valid when credentials rotate.

Lifetime: the first ``async with`` makes the clients, off the loop and once for all who wait; the last one to leave
closes them after ``watcher_linger``. Every ``connection_ttl`` the connection is looked up again, in the background of a
call; if it changed, new clients take over and the old ones drain.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Coroutine, Hashable
from contextlib import asynccontextmanager
from contextvars import Context
from typing import Any
from weakref import WeakKeyDictionary

from asyncrun.clients.api import AwsAccess, EcsApi, LogsApi
from asyncrun.clients.budget import Group, TokenBucket, bucket_for
from asyncrun.clients.credentials import target_hash
from asyncrun.clients.ecs import Ecs
from asyncrun.clients.faults import Call, may_quote_secrets, sdk_errors, translate
from asyncrun.clients.generation import Generation, open_generation
from asyncrun.clients.logs import Logs
from asyncrun.model.errors import RemoteError, Throttled, Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings

LOOKUP_LIMIT = 90.0
"""Seconds for one look-up: 500 starting triggers with as many connections took 60 (measured)."""
LOOKUP_RETRY = 30.0
"""Seconds after a failed look-up in the background; the clients in use go on meanwhile."""

log = logging.getLogger(__name__)


@asynccontextmanager
async def open_aws(target: AwsTarget, settings: Settings, *, account: str | None = None) -> AsyncIterator[AwsAccess]:
    """
    AWS as this target reaches it. Shared: all who open an equal target in one event loop get the same object.

    :param target: connection, region and options.
    :param settings: rates and times; those of the first opener count.
    :param account: account number, if known: targets that share an account share its call budgets.
    :raises RemoteError: the connection cannot be resolved, or the client cannot be made; says who must act.
    """
    shared = _enter(target, settings)
    try:
        await shared.ready()
        if account:
            shared.account = account
        yield shared
    finally:
        shared.leave()


async def close_all() -> None:
    """Close everything that the running event loop has open, now. Calls in flight fail as ``Unavailable``."""
    for shared in list(_registry().values()):
        await shared.close()


_registries: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[str, Shared]] = WeakKeyDictionary()


def _registry() -> dict[str, Shared]:
    """Of the running loop. Invariant: an entry is present exactly while it has users or lingers."""
    return _registries.setdefault(asyncio.get_running_loop(), {})


def _enter(target: AwsTarget, settings: Settings) -> Shared:
    """Find or make the entry and count the user, without an await in between."""
    registry, key = _registry(), target_hash(target)
    shared = registry.get(key)
    if shared is None:
        shared = registry[key] = Shared(target, settings, key, registry)
    shared.enter()
    return shared


class Shared:
    """
    ``AwsAccess`` of one target in one event loop.

    Owns its tasks (look-up, linger, drain): each has a name and an empty context, and ``close`` awaits them.
    """

    def __init__(self, target: AwsTarget, settings: Settings, identity: str, registry: dict[str, Shared]) -> None:
        self.account: str | None = None
        self._target, self._settings = target, settings
        self._identity, self._registry = identity, registry
        self._users = 0
        self._closed = False
        self._generation: Generation | None = None
        self._lookup: asyncio.Task[None] | None = None
        self._lookup_forced = False
        self._lingering: asyncio.Task[None] | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._look_again_at = 0.0
        self._ecs = Ecs(self, ("ecs", identity))

    def __repr__(self) -> str:
        return f"<AwsAccess {self._target.conn_id!r} {self._target.region_name or ''} users={self._users}>"

    @property
    def key(self) -> Hashable:
        """Equal for two objects of the same target."""
        return ("aws", self._identity)

    @property
    def region(self) -> str:
        """The region that the target resolves to."""
        return self._current().resolved.region

    @property
    def ecs(self) -> EcsApi:
        """ECS in the target's region."""
        return self._ecs

    def logs(self, region: str | None = None) -> LogsApi:
        """CloudWatch Logs in that region, or the target's."""
        where = region or self.region
        return Logs(self, ("logs", self._identity, where), where)

    async def renew(self) -> None:
        """Look up the connection and its credentials again, now: single-flight; calls under way finish as they are."""
        while self._lookup is not None and not self._lookup_forced:  # a mere check would keep equal connections
            await asyncio.wait({self._lookup})
        await self._forced_look_up()

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
            self._lingering = self._spawn(self._linger(), "linger")

    async def ready(self) -> None:
        """Wait until there are clients. The first caller starts the look-up; after a failure the next one does."""
        if self._generation is None:
            await self._forced_look_up()

    async def _forced_look_up(self) -> None:
        if self._lookup is None:
            self._lookup_forced = True
            self._lookup = self._spawn(self._look_up(forced=True), "look-up")
        await _joined(self._lookup)

    async def close(self) -> None:
        """Close the clients and end our tasks, now."""
        self._forget()
        mine = [task for task in self._tasks if task is not asyncio.current_task()]
        for task in mine:
            task.cancel()
        if mine:
            await asyncio.wait(mine)
        if self._generation is not None:
            await self._generation.close()

    def _forget(self) -> None:
        self._closed = True
        if self._registry.get(self._identity) is self:
            del self._registry[self._identity]

    async def _linger(self) -> None:
        try:
            await asyncio.sleep(self._settings.watcher_linger)
        finally:
            # Also where the loop ends and cancels its tasks; not where a new user came and cancelled us.
            if self._users == 0:
                await self.close()

    # -- calls ---------------------------------------------------------------------------------------------------------

    async def call(
        self, service: str, region: str, operation: str, group: Group, /, **arguments: Any
    ) -> dict[str, Any]:
        """
        Make one call within its budget.

        :raises RemoteError: see ``asyncrun.clients.faults``.
        """
        bucket = bucket_for(self.account or self._identity, region, group, self._settings)
        await bucket.take()
        self._look_again()
        generation = self._current()
        with generation.lease():
            client = await generation.client(service, region)
            return await self._answer(client, generation, bucket, self.describe(service, operation, region), arguments)

    def describe(self, service: str, operation: str, region: str) -> Call:
        """That call, for an error message."""
        resolved = self._current().resolved
        return Call(
            service=service,
            operation=operation,
            region=region,
            identity=resolved.identity,
            steward=resolved.steward,
        )

    async def _answer(
        self, client: Any, generation: Generation, bucket: TokenBucket, call: Call, arguments: dict[str, Any]
    ) -> dict[str, Any]:
        from botocore import xform_name

        method = getattr(client, xform_name(call.operation))
        try:
            answer: dict[str, Any] = await method(**arguments)
        except asyncio.CancelledError:
            if generation.closed and not _being_cancelled():  # the SDK cancels those who queue for a closed pool
                raise _closed(call) from None
            raise
        except sdk_errors() as error:
            if generation.closed:
                raise _closed(call) from error
            ours = translate(error, call)
            bucket.charge(_retries(getattr(error, "response", None)))
            if isinstance(ours, Throttled):
                bucket.throttled()
            raise ours from (None if may_quote_secrets(error) else error)
        bucket.charge(_retries(answer))
        return answer

    # -- rotation ------------------------------------------------------------------------------------------------------

    def _current(self) -> Generation:
        if self._generation is None or self._closed:
            raise Unavailable("This way to AWS is closed: it was left, or its event loop is ending.")
        return self._generation

    def _look_again(self) -> None:
        """Start a look-up in the background if it is due."""
        if self._lookup is None and self._target.conn_id and _now() >= self._look_again_at:
            self._lookup_forced = False
            self._lookup = self._spawn(self._look_up_quietly(), "check")

    async def _look_up_quietly(self) -> None:
        try:
            await self._look_up(forced=False)
        except RemoteError as error:
            log.warning("A look-up of connection %r failed; the clients in use go on: %s", self._target.conn_id, error)

    async def _look_up(self, *, forced: bool) -> None:
        """
        Resolve the target, and replace the clients if it changed.

        :param forced: replace them even if the connection is the same: its credentials may be new.
        """
        old = self._generation
        self._look_again_at = _now() + LOOKUP_RETRY
        try:
            fresh = await self._resolved(None if old is None or forced else old.resolved.fingerprint)
            self._look_again_at = _now() + self._settings.connection_ttl
            if fresh is None:
                return
            if old is not None and old.resolved.found and not fresh.resolved.found:
                await fresh.close()
                raise _disappeared(self._target)
            self._generation = fresh
            if old is not None:
                self._spawn(old.drain(), "drain")
        finally:
            self._lookup = None

    async def _resolved(self, known: str | None) -> Generation | None:
        try:
            async with asyncio.timeout(LOOKUP_LIMIT):
                return await open_generation(self._target, known)
        except TimeoutError as error:
            raise Unavailable(
                f"Airflow connection {self._target.conn_id!r} could not be resolved within {LOOKUP_LIMIT:g} s.",
                service="airflow",
            ) from error

    def _spawn(self, work: Coroutine[Any, Any, None], what: str) -> asyncio.Task[None]:
        task = asyncio.create_task(work, name=f"asyncrun-aws-{what}-{self._identity}", context=Context())
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        """Errors of a look-up are raised by those who wait for it; here they are only marked as seen."""
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None and not isinstance(error, RemoteError):
            log.error("Task %s failed", task.get_name(), exc_info=error)


async def _joined(task: asyncio.Task[None]) -> None:
    """Wait for a shared task without cancelling it, and raise its error: a copy, since many raise it."""
    await asyncio.wait({task})
    if task.cancelled():
        raise Unavailable("This way to AWS was closed while it was being opened.")
    error = task.exception()
    if isinstance(error, RemoteError):
        rebuild, facts = error.__reduce__()
        raise rebuild(*facts) from error
    if error is not None:
        raise error


def _disappeared(target: AwsTarget) -> Unavailable:
    """
    Keep the clients of a connection that existed and now does not.

    The SDK reports a connection as not defined also where Airflow did not answer, and the hook then falls back to the
    SDK's own chain: a moment without Airflow would silently change whose credentials we use.
    """
    return Unavailable(
        f"Airflow no longer returns connection {target.conn_id!r}: it was deleted, or Airflow does not answer. "
        "The credentials that it had stay in use.",
        service="airflow",
    )


def _closed(call: Call) -> Unavailable:
    return Unavailable(
        f"{call.text} was not answered: its client was closed.", service=call.service, operation=call.operation
    )


def _being_cancelled() -> bool:
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0


def _retries(answer: Any) -> int:
    """How often the SDK repeated a call by itself: AWS counts those too."""
    meta = answer.get("ResponseMetadata") if isinstance(answer, dict) else None
    retries = meta.get("RetryAttempts") if isinstance(meta, dict) else None
    return retries if isinstance(retries, int) else 0


def _now() -> float:
    return asyncio.get_running_loop().time()
