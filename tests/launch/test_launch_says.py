"""Whoever launches is told why it takes longer. Virtual time."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.launch.ecs import EcsLauncher, RetryPolicy
from asyncrun.model.errors import MalformedAnswer, Unavailable
from tests.launch.scripted_ecs import NO_MEMORY, PLACED, REQUEST, THROTTLED, Ecs

pytestmark = pytest.mark.looptime


async def test_each_repetition_says_why_there_is_one() -> None:
    said: list[str] = []
    ecs = Ecs(THROTTLED, Unavailable("Cut."), MalformedAnswer("Half."), NO_MEMORY, PLACED)
    await EcsLauncher(ecs, RetryPolicy(stop_after_delay=60), say=said.append).launch(REQUEST)
    assert [one.partition(" It is tried again in ")[0] for one in said] == [
        "Rate exceeded", "Cut.", "Half.", "ECS has no room for the task now: RESOURCE:MEMORY.",
    ]  # fmt: skip


async def test_what_is_never_answered_is_given_up_after_two_minutes_and_the_last_attempt_says_nothing() -> None:
    said: list[str] = []
    ecs = Ecs(THROTTLED)
    with pytest.raises(type(THROTTLED)):
        await EcsLauncher(ecs, say=said.append).launch(REQUEST)
    assert 110 <= asyncio.get_running_loop().time() <= 120
    assert len(said) == len(ecs.requests) - 1


async def test_what_is_answered_at_once_is_not_worth_a_word() -> None:
    said: list[str] = []
    await EcsLauncher(Ecs(PLACED), say=said.append).launch(REQUEST)
    assert said == []
