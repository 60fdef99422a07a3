"""The way to a platform for a trigger: a connection that cannot be resolved has time to be mended."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import TypeVar

from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.settings import Settings
from asyncrun.triggers.leaving import Leaving

A = TypeVar("A")

_AGAIN = Backoff(first=2.0, longest=10.0)


async def open_patiently(
    stack: AsyncExitStack | Leaving,
    way: Callable[[], AbstractAsyncContextManager[A]],
    settings: Settings,
    say: Callable[[str, str], None],
    *,
    platform: str,
    patience: float | None = None,
) -> A:
    """
    Open it, again and again: for ``access_grace`` where access is refused, and while nobody answers.

    :param way: to AWS or to a cluster.
    :param say: told once why it takes longer.
    :param platform: its name, for that.
    :param patience: seconds after which it is given up even though nobody answers; None: never.
    :raises RemoteError: given up; says who must act.
    """
    loop = asyncio.get_running_loop()
    began, failures = loop.time(), 0
    while True:
        try:
            return await stack.enter_async_context(way())
        except RemoteError as error:
            failures += 1
            if failures == 1:
                say("warning", f"{platform} cannot be asked yet; the waiting goes on. {error}")
            waited = loop.time() - began
            limit = patience if isinstance(error, Unavailable) else settings.access_grace
            if limit is not None and waited >= limit:
                raise
        await asyncio.sleep(_AGAIN.wait(failures))
