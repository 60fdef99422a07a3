"""What a launch may have placed is taken back where nobody wants it any more. In virtual time, with a double of ECS."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any

import pytest

from asyncrun.clients.api import Described
from asyncrun.launch.ecs import EcsLauncher
from asyncrun.model.errors import AccessDenied, MalformedAnswer, OutOfCapacity, RequestRefused, Throttled, Unavailable
from asyncrun.model.refs import EcsTaskRef
from tests.launch.scripted_ecs import ARN, NO_MEMORY, PLACED, REQUEST, THROTTLED, Ecs, Hiding

pytestmark = pytest.mark.looptime


async def test_a_launch_that_was_never_answered_can_be_taken_back() -> None:
    ecs = Ecs(Unavailable("cut"), AccessDenied("expired meanwhile"))
    launcher = EcsLauncher(ecs)
    with pytest.raises(AccessDenied):
        await launcher.launch(REQUEST)
    ecs.answers = [PLACED]
    assert await launcher.take_back(missing_grace=60) == EcsTaskRef(cluster="c", task_arn=ARN)
    assert ecs.tokens == ["t" * 60 + "-0"] * 3
    assert [arn for _, arn, _ in ecs.stopped] == [ARN]


@pytest.mark.parametrize("answers", [[NO_MEMORY], [RequestRefused("no")], [THROTTLED], [Unavailable("cut"), NO_MEMORY]])
async def test_a_launch_that_was_answered_by_a_refusal_has_nothing_to_take_back(
    answers: list[Described | Exception],
) -> None:
    ecs = Ecs(*answers)
    launcher = EcsLauncher(ecs)
    with pytest.raises((OutOfCapacity, RequestRefused, Throttled)):
        await launcher.launch(REQUEST)
    ecs.answers, sent = [PLACED], len(ecs.requests)
    assert await launcher.take_back(missing_grace=60) is None
    assert (len(ecs.requests), ecs.stopped) == (sent, [])


@pytest.mark.parametrize("open_answer", [Unavailable("cut"), MalformedAnswer("half"), Described(items=[], failures=[])])
async def test_what_leaves_a_launch_open_stays_open_though_it_is_throttled_afterwards(
    open_answer: Described | Exception,
) -> None:
    ecs = Ecs(THROTTLED, open_answer, THROTTLED)
    launcher = EcsLauncher(ecs)
    with pytest.raises(Throttled):
        await launcher.launch(REQUEST)
    ecs.answers = [PLACED]
    assert await launcher.take_back(missing_grace=60) == EcsTaskRef(cluster="c", task_arn=ARN)
    assert len(ecs.stopped) == 1


class Hanging(Ecs):
    """After its answers it places a task and does not answer any more."""

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        if not self.answers:
            await asyncio.sleep(10_000)
        answer = self.answers.pop(0)
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(("seconds", "is_open"), [(0.3, False), (30, True)])
async def test_a_launch_that_is_cancelled_is_open_only_while_a_call_is_under_way(seconds: float, is_open: bool) -> None:
    ecs = Hanging(THROTTLED)  # and then there is at least half a second until the call that hangs
    launcher = EcsLauncher(ecs)
    launching = asyncio.create_task(launcher.launch(REQUEST))
    await asyncio.sleep(seconds)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    ecs.answers = [PLACED]
    assert bool(await launcher.take_back(missing_grace=60)) == is_open
    assert [arn for _, arn, _ in ecs.stopped] == [ARN] * is_open


async def test_what_was_placed_is_taken_back_without_asking_where_nobody_learnt_of_it() -> None:
    ecs = Ecs(PLACED)
    launcher = EcsLauncher(ecs)
    await launcher.launch(REQUEST)
    assert await launcher.take_back(missing_grace=60) == EcsTaskRef(cluster="c", task_arn=ARN)
    assert (len(ecs.requests), len(ecs.stopped)) == (1, 1)
    assert await launcher.take_back(missing_grace=60) is None


async def test_taking_back_can_be_repeated_where_it_was_not_answered() -> None:
    ecs = Ecs(PLACED)
    launcher = EcsLauncher(ecs)
    launcher.unanswered, ecs.answers = REQUEST, [Unavailable("cut"), PLACED]
    with pytest.raises(Unavailable):
        await launcher.take_back(missing_grace=60)
    assert await launcher.take_back(missing_grace=60) == EcsTaskRef(cluster="c", task_arn=ARN)


@pytest.mark.parametrize(("first", "is_open"), [(THROTTLED, False), (Unavailable("cut"), True)])
async def test_nothing_more_is_sent_once_nobody_wants_the_task(first: Exception, is_open: bool) -> None:
    class Killed(Exception):
        pass

    def before_request() -> None:
        if ecs.requests:
            raise Killed

    ecs = Ecs(first, PLACED)
    launcher = EcsLauncher(ecs, before_request=before_request)
    with pytest.raises(Killed):
        await launcher.launch(REQUEST)
    assert len(ecs.requests) == 1
    assert bool(await launcher.take_back(missing_grace=60)) == is_open


async def test_what_an_unanswered_launch_placed_is_stopped_although_it_is_not_shown_at_once() -> None:
    ecs = Hiding(2)
    launcher = EcsLauncher(ecs)
    launcher.unanswered = REQUEST
    hidden: list[int] = []
    ref = await launcher.take_back(missing_grace=60, on_hidden=lambda: hidden.append(1))
    assert ref == EcsTaskRef(cluster="c", task_arn=ARN)
    assert len(ecs.stopped) == 1
    assert hidden


async def test_the_taking_back_believes_in_a_missing_task_as_long_as_it_is_told() -> None:
    ecs = Hiding(10_000)
    launcher = EcsLauncher(ecs)
    launcher.placed = EcsTaskRef(cluster="c", task_arn=ARN)
    await launcher.take_back(missing_grace=7)
    assert asyncio.get_running_loop().time() == pytest.approx(7, abs=0.1)
