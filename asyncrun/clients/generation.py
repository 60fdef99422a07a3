"""
The SDK clients made of one look-up of a connection. A rotated connection makes a new generation; the old one drains.

An aiobotocore client belongs to one event loop, and closing one that calls still wait on breaks them (measured: odd
errors, and cancellations that nobody asked for). So the calls in flight are counted.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from asyncrun.clients.credentials import Resolved, resolve
from asyncrun.clients.faults import cause_outside, sdk_errors, translate
from asyncrun.clients.in_flight import InFlight
from asyncrun.clients.parsing import read_cheaply
from asyncrun.clients.wording import Call
from asyncrun.model.errors import RemoteError, RequestRefused, Unavailable
from asyncrun.model.refs import AwsTarget

CONNECT_LIMIT = 5
"""Seconds to connect: AWS answers within a fraction, and the callers' loops try again."""
READ_LIMIT = 30
"""Seconds without a byte of an answer: a large DescribeTasks takes a few; the SDK's 60 would hide a dead connection."""
POOL = 50
"""Connections per client. Budgets allow about 30 calls/s of 0.1-1 s each; 10, the SDK's default, would queue them."""
ATTEMPTS = 2
"""Per call, in the SDK: absorbs a connection that was cut while idle. Our own loops do the rest of the waiting."""


class Generation:
    """
    The clients of one look-up, for one event loop.

    :param resolved: what the target resolved to.
    """

    def __init__(self, resolved: Resolved) -> None:
        self.resolved = resolved
        self.closed = False
        self._clients: dict[tuple[str, str], tuple[Any, Any]] = {}
        self._building = asyncio.Lock()
        self._flight = InFlight()

    @contextmanager
    def lease(self) -> Iterator[None]:
        """A call is under way: the clients are not closed meanwhile."""
        self._flight.begin()
        try:
            yield
        finally:
            self._flight.end()

    async def client(self, service: str, region: str) -> Any:
        """
        The client of that service and region; made in a thread when it is first asked for.

        :raises RemoteError: it cannot be made, or all clients were closed meanwhile.
        """
        key = (service, region)
        if key not in self._clients:
            async with self._building:
                if key not in self._clients:
                    made = await _build(self.resolved, service, region)
                    if self.closed:  # nobody would close this one
                        await made[0].__aexit__(None, None, None)
                        raise Unavailable("This way to AWS was closed while a client of it was being made.")
                    self._clients[key] = made
        return self._clients[key][1]

    async def drain(self) -> None:
        """Wait for the calls in flight, then close. They end: each has a time limit."""
        try:
            await self._flight.none_left()
        finally:
            await self.close()

    async def close(self) -> None:
        """Close the clients now. Calls that are still in flight fail as ``Unavailable``."""
        self.closed = True
        while self._clients:
            _, (creator, _) = self._clients.popitem()
            await creator.__aexit__(None, None, None)


async def open_generation(target: AwsTarget, known: str | None = None) -> Generation | None:
    """
    Look the target up and make its ECS client, in threads.

    :param known: fingerprint of what is in use.
    :return: None if nothing changed.
    :raises RemoteError: saying who must act.
    """
    resolved = await asyncio.to_thread(resolve, target, known)
    if resolved is None:
        return None
    generation = Generation(resolved)
    await generation.client("ecs", resolved.region)
    return generation


async def _build(resolved: Resolved, service: str, region: str) -> tuple[Any, Any]:
    """
    Make a client in a thread, in an event loop of the thread's own.

    A client of aiohttp binds to a loop with its first call only (a test holds that), so the one that uses it need not
    be the one that makes it. Making it costs ~190 ms of CPU the first time.
    """

    def build() -> tuple[Any, Any]:  # all of it in the thread: a caller that is cancelled leaves no coroutine behind
        creator = resolved.session.create_client(
            service,
            region_name=region,
            endpoint_url=resolved.endpoints.get(service),
            verify=resolved.verify,
            config=_config(resolved.config),
        )
        client = asyncio.run(creator.__aenter__())
        read_cheaply(client)
        return creator, client

    try:
        return await asyncio.to_thread(build)
    except sdk_errors() as error:
        raise _not_made(error, resolved, service, region) from cause_outside(error)


def _not_made(error: BaseException, resolved: Resolved, service: str, region: str) -> RemoteError:
    from botocore.exceptions import BotoCoreError

    call = Call(service=service, operation="", region=region, identity=resolved.identity, steward=resolved.steward)
    if isinstance(error, BotoCoreError | OSError):
        return translate(error, call)
    # Nothing was asked yet, so it is about the options, and its text may quote them.
    return RequestRefused(
        f"No client for {call.text} can be made of the options of the credentials {resolved.identity} "
        f"({type(error).__name__}): {resolved.steward} must correct endpoint_url, verify or config_kwargs.",
        service=service,
    )


def _config(user: Any) -> Any:
    """The user's options, for a proxy for instance, beneath ours."""
    from aiobotocore.config import AioConfig

    import asyncrun

    config = AioConfig() if user is None else AioConfig().merge(user)
    agent = f"asyncrun/{getattr(asyncrun, '__version__', '0')}"
    return config.merge(
        AioConfig(
            connect_timeout=CONNECT_LIMIT,
            read_timeout=READ_LIMIT,
            max_pool_connections=POOL,
            retries={"mode": "standard", "total_max_attempts": ATTEMPTS},
            user_agent_extra=f"{getattr(user, 'user_agent_extra', None) or ''} {agent}".strip(),
        )
    )
