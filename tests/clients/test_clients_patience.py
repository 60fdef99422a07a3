"""Calls that are repeated while nobody answers, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from asyncrun.clients.patience import IN_A_WORKER, change_patiently, patiently
from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import (
    AccessDenied,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)

pytestmark = pytest.mark.looptime


class Api:
    """Answers from a script, the last answer for ever."""

    def __init__(self, *answers: str | RemoteError) -> None:
        self.answers, self.calls = list(answers), 0

    async def __call__(self) -> str:
        self.calls += 1
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, RemoteError):
            raise answer
        return answer


def now() -> float:
    return asyncio.get_running_loop().time()


async def test_what_passes_is_waited_for_and_said() -> None:
    said: list[str] = []
    api = Api(Throttled("Rate exceeded."), Unavailable("503."), MalformedAnswer("half."), "done")
    assert await patiently(api, said.append) == "done"
    assert api.calls == 4
    assert now() < 4
    assert [one.partition(" It is tried again in ")[0] for one in said] == ["Rate exceeded.", "503.", "half."]


async def test_what_lasts_is_an_error_within_seconds_and_nobody_says_that_it_is_tried_again() -> None:
    said: list[str] = []
    api = Api(Unavailable("503."))
    with pytest.raises(Unavailable) as caught:
        await patiently(api, said.append)
    assert str(caught.value) == "503."
    assert 15 < now() <= IN_A_WORKER.lasts
    assert len(said) == api.calls - 1


@pytest.mark.parametrize("error", [AccessDenied("no"), NotFound("no"), RequestRefused("no")])
async def test_what_somebody_must_mend_is_an_error_at_once(error: RemoteError) -> None:
    api = Api(error)
    with pytest.raises(type(error)):
        await patiently(api, print)
    assert (api.calls, now()) == (1, 0)


@pytest.mark.parametrize(
    ("answers", "looked_up"),
    [
        ((NotFound("unknown"),), False),
        ((Throttled("slow"), NotFound("unknown")), False),
        ((Unavailable("cut"), NotFound("unknown")), True),
        ((MalformedAnswer("half"), Throttled("slow"), RequestRefused("inactive")), True),
    ],
)
async def test_a_change_is_looked_up_where_an_attempt_may_have_made_it(
    answers: tuple[RemoteError, ...], looked_up: bool
) -> None:
    look = Api("made already")
    if looked_up:
        assert await change_patiently(Api(*answers), look, print) == "made already"
    else:
        with pytest.raises(type(answers[-1])):
            await change_patiently(Api(*answers), look, print)
    assert look.calls == looked_up


async def test_a_refusal_stays_one_where_the_change_is_not_made() -> None:
    async def look() -> str | None:
        return None

    with pytest.raises(RequestRefused, match="in use"):
        await change_patiently(Api(Unavailable("cut"), RequestRefused("in use")), look, print)


@pytest.mark.parametrize(("jitter", "share"), [(lambda: 0.0, 0.5), (lambda: 1.0, 1.0)])
def test_waits_double_up_to_the_longest_with_jitter(jitter: Callable[[], float], share: float) -> None:
    backoff = Backoff(first=0.5, longest=4)
    waits = [backoff.wait(failures, jitter) for failures in (1, 2, 3, 4, 5, 10**6)]
    assert waits == [share * due for due in (0.5, 1, 2, 4, 4, 4)]
