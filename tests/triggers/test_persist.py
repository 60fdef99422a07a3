"""A call that stops something is repeated until it is answered, for as long as was asked and no longer."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import AccessDenied, CredentialsExpired, Throttled, Unavailable
from asyncrun.triggers.kill import persist

pytestmark = pytest.mark.looptime


class Stop:
    """Each attempt takes ``took`` seconds, and ends with the next of ``errors``."""

    def __init__(self, *errors: Exception | None, took: float = 0.0) -> None:
        self.errors, self.took, self.at = list(errors), took, list[float]()

    async def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.took)
        if (error := self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]) is not None:
            raise error


async def test_passing_troubles_are_outlasted() -> None:
    stop = Stop(Throttled("slow down"), CredentialsExpired("rotated"), Unavailable("away"), None)
    await persist(stop, 30)
    assert len(stop.at) == 4


async def test_it_gives_up_when_nobody_answered_for_that_long() -> None:
    stop = Stop(Unavailable("away"))
    with pytest.raises(Unavailable, match="away"):
        await persist(stop, 30)
    assert 25 <= stop.at[-1] - stop.at[0] <= 30


async def test_what_is_denied_is_not_repeated() -> None:
    stop = Stop(AccessDenied("no"))
    with pytest.raises(AccessDenied):
        await persist(stop, 30)
    assert len(stop.at) == 1


async def test_a_long_wait_for_our_own_budget_takes_no_attempt_away() -> None:
    """A mass kill: each attempt waits 100 s for its token, which is longer than the whole patience."""
    stop = Stop(Throttled("slow down"), Throttled("slow down"), None, took=100)
    await persist(stop, 30)
    assert len(stop.at) == 3
