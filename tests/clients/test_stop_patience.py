"""A call that stops a run is repeated until it is answered, for as long as was asked and no longer. Virtual time."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.clients.patience import for_a_stop, patiently
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)

pytestmark = pytest.mark.looptime


class Stop:
    """Each attempt takes ``took`` seconds, and ends with the next of ``errors``, the last one for ever."""

    def __init__(self, *errors: Exception | None, took: float = 0.0) -> None:
        self.errors, self.took, self.at = list(errors), took, list[float]()

    async def __call__(self) -> None:
        self.at.append(asyncio.get_running_loop().time())
        await asyncio.sleep(self.took)
        if (error := self.errors.pop(0) if len(self.errors) > 1 else self.errors[0]) is not None:
            raise error


async def test_passing_troubles_are_outlasted_and_said() -> None:
    said: list[str] = []
    stop = Stop(
        Throttled("slow."), CredentialsExpired("rotated."), MalformedAnswer("half."), Unavailable("away."), None
    )
    await patiently(stop, said.append, for_a_stop(30))
    assert len(stop.at) == 5
    assert [one.partition(" It is tried again in ")[0] for one in said] == ["slow.", "rotated.", "half.", "away."]


@pytest.mark.parametrize("kill_grace", [30, 300])
async def test_it_gives_up_when_nobody_answered_for_that_long(kill_grace: float) -> None:
    stop = Stop(Unavailable("away"))
    with pytest.raises(Unavailable, match="away"):
        await patiently(stop, print, for_a_stop(kill_grace))
    assert kill_grace - 5 <= stop.at[-1] - stop.at[0] <= kill_grace


@pytest.mark.parametrize("error", [AccessDenied("no"), RequestRefused("no")])
async def test_what_somebody_must_mend_is_not_repeated(error: RemoteError) -> None:
    stop = Stop(error)
    with pytest.raises(type(error)):
        await patiently(stop, print, for_a_stop(30))
    assert len(stop.at) == 1


async def test_a_long_wait_for_our_own_budget_takes_no_attempt_away() -> None:
    """A mass kill: each attempt waits 100 s for its token, which is longer than the whole patience."""
    stop = Stop(Throttled("slow down"), Throttled("slow down"), None, took=100)
    await patiently(stop, print, for_a_stop(30))
    assert len(stop.at) == 3


async def test_patience_begins_with_the_first_failure_and_not_with_the_wait_for_our_own_budget() -> None:
    stop = Stop(Unavailable("away"), took=100)
    asyncio.get_running_loop().call_later(1, setattr, stop, "took", 0.0)
    with pytest.raises(Unavailable):
        await patiently(stop, print, for_a_stop(30))
    assert 125 <= stop.at[-1] <= 130
