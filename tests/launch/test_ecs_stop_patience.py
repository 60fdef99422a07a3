"""Stopping one task, also one that ECS does not show yet. Virtual time (over the wire: test_ecs_stop)."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncrun.launch.ecs import EcsLauncher
from asyncrun.model.refs import EcsTaskRef
from tests.launch.scripted_ecs import ARN, PLACED, Ecs, Hiding

pytestmark = pytest.mark.looptime


async def test_stop_names_the_exact_task_and_a_reason_that_ecs_accepts() -> None:
    ecs = Ecs(PLACED)
    await EcsLauncher(ecs).stop(EcsTaskRef(cluster="c", task_arn=ARN), "because " * 100, missing_grace=60)
    ((cluster, arn, reason),) = ecs.stopped
    assert (cluster, arn, len(reason)) == ("c", ARN, 255)


@pytest.mark.parametrize("seconds", [0.5, 3, 50])
async def test_a_young_task_that_ecs_does_not_show_yet_is_stopped_once_it_is_shown(seconds: float) -> None:
    ecs = Hiding(seconds)
    hidden: list[int] = []
    ref = EcsTaskRef(cluster="c", task_arn=ARN)
    await EcsLauncher(ecs).stop(
        ref, "kill", launched_at=time.time(), missing_grace=60, on_hidden=lambda: hidden.append(1)
    )
    assert len(ecs.stopped) == 1
    assert len(hidden) == ecs.attempts - 1
    assert seconds <= asyncio.get_running_loop().time() <= seconds + 5.1
    assert ecs.attempts < 25


@pytest.mark.parametrize(("age", "grace", "waits"), [(0, 60, 60), (50, 60, 10), (61, 60, 0), (None, 60, 60), (5, 7, 2)])
async def test_a_task_that_is_not_shown_when_the_grace_is_over_is_gone(
    age: float | None, grace: float, waits: float
) -> None:
    ecs = Hiding(10_000)
    began = None if age is None else time.time() - age
    ref = EcsTaskRef(cluster="c", task_arn=ARN)
    await EcsLauncher(ecs).stop(ref, "kill", launched_at=began, missing_grace=grace)
    assert ecs.stopped == []
    assert asyncio.get_running_loop().time() == pytest.approx(waits, abs=0.1)
