"""One way to repeat a call that was not answered, for workers: seconds, not minutes, and then it is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import MalformedAnswer, RemoteError, Throttled, Unavailable

T = TypeVar("T")

IN_A_WORKER = Backoff(first=0.5, longest=4, patience=20)
"""
What a worker waits for AWS, which holds a slot meanwhile: a burst that is throttled passes within seconds, and for an
outage there are Airflow's retries.
"""

Say = Callable[[str], object]


async def patiently(work: Callable[[], Awaitable[T]], say: Say, backoff: Backoff = IN_A_WORKER) -> T:
    """
    Do that, again and again while it is not answered: throttled, 5xx, refused, cut, unreadable.

    :param work: safe to repeat: an attempt whose answer was lost may have been carried out.
    :param say: told before each further attempt why there is one.
    :raises RemoteError: it was refused, or ``backoff.patience`` is over.
    """
    loop = asyncio.get_running_loop()
    give_up_at, failures = loop.time() + backoff.patience, 0
    while True:
        try:
            return await work()
        except (Unavailable, MalformedAnswer) as error:
            failures += 1
            wait = backoff.wait(failures)
            if loop.time() + wait > give_up_at:
                raise
            say(f"{error} It is tried again in {wait:.1f} s")
        await asyncio.sleep(wait)


async def change_patiently(
    work: Callable[[], Awaitable[T]], look: Callable[[], Awaitable[T | None]], say: Say, backoff: Backoff = IN_A_WORKER
) -> T:
    """
    The same for a change that AWS refuses once it is made, as deleting is: an attempt whose answer was lost may have
    made it.

    :param look: asked where an attempt is refused after an unanswered one: the result if the change is made, else None.
    """
    lost = False

    async def attempt() -> T:
        nonlocal lost
        try:
            return await work()
        except Throttled:  # refused before anything was done
            raise
        except (Unavailable, MalformedAnswer):
            lost = True
            raise
        except RemoteError:
            made = await look() if lost else None
            if made is None:
                raise
            return made

    return await patiently(attempt, say, backoff)
