"""One way to repeat a call that was not answered, with an end: then it is an error."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TypeVar

from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import CredentialsExpired, MalformedAnswer, RemoteError, Throttled, Unavailable

T = TypeVar("T")
Say = Callable[[str], object]

_UNANSWERED: tuple[type[RemoteError], ...] = (Unavailable, MalformedAnswer)


class Patience(Backoff, frozen=True, kw_only=True):
    """
    How long something is repeated, and because of what.

    :param lasts: seconds: no attempt begins later than that after the first failure. (Not after the first attempt,
        which may have waited long for a token of our own budget.)
    :param attempts: so many are made at least: each may have waited for a token, so fewer failures do not show that
        nobody answers.
    :param passing: the errors that may pass by themselves; any other one is raised at once.
    """

    lasts: float
    attempts: int = 1
    passing: tuple[type[RemoteError], ...] = _UNANSWERED


IN_A_WORKER = Patience(first=0.5, longest=4, lasts=20)
"""
What a worker waits for a remote API, while it holds a slot: a burst that is throttled passes within seconds, and for an
outage there are Airflow's retries.
"""


def for_a_stop(kill_grace: float) -> Patience:
    """
    For a call that stops a run, in worker and triggerer alike: who gives up leaves the run behind.

    So credentials that are not accepted are no end: they may be rotated any moment, and new ones are known
    everywhere only seconds after they were made.

    :param kill_grace: seconds, the setting of that name.
    """
    return Patience(first=0.5, longest=5, lasts=kill_grace, attempts=3, passing=(*_UNANSWERED, CredentialsExpired))


async def patiently(work: Callable[[], Awaitable[T]], say: Say, patience: Patience = IN_A_WORKER) -> T:
    """
    Do that, again and again while it is not answered: throttled, 5xx, refused, cut, unreadable.

    :param work: safe to repeat: an attempt whose answer was lost may have been carried out.
    :param say: told before each further attempt why there is one.
    :raises RemoteError: it was refused, or patience is at its end.
    """
    loop = asyncio.get_running_loop()
    failing_since, failures = 0.0, 0
    while True:
        try:
            return await work()
        except patience.passing as error:
            failures += 1
            failing_since = loop.time() if failures == 1 else failing_since
            wait = patience.wait(failures)
            if failures >= patience.attempts and loop.time() + wait > failing_since + patience.lasts:
                raise
            say(f"{error} It is tried again in {wait:.1f} s")
        await asyncio.sleep(wait)


async def change_patiently(
    work: Callable[[], Awaitable[T]],
    look: Callable[[], Awaitable[T | None]],
    say: Say,
    patience: Patience = IN_A_WORKER,
) -> T:
    """
    The same for a change that is refused once it is made, as deleting is in AWS: an attempt whose answer was lost may
    have made it.

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

    return await patiently(attempt, say, patience)
