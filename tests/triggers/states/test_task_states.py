"""The task sensor's trigger, against the embedded AWS: a task goes through its states, stays missing, or vanishes."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.lab import Lab
from tests.support.triggers import call
from tests.triggers.conftest import TaskLogReader
from tests.triggers.states.support import NO_ARN, ended, payload, running, task

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")


def short(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


@pytest.mark.parametrize("by", ["ARN", "short id"])
async def test_a_task_is_followed_through_its_states(lab: Lab, task_log: TaskLogReader, by: str) -> None:
    arn = await running(lab)
    name = arn if by == "ARN" else short(arn)
    assert await payload(task(name, "RUNNING", failing=("STOPPED",))) == ended("success", "RUNNING")
    waiting = asyncio.create_task(payload(task(name, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.ecs.stop_task, task=arn)
    assert await waiting == ended("success", "STOPPED")
    assert await payload(task(name, "RUNNING", failing=("STOPPED",))) == ended("failed", "STOPPED")


async def test_the_same_task_by_id_and_by_arn_at_once(lab: Lab) -> None:
    arn = await running(lab)
    both = await asyncio.gather(payload(task(arn, "STOPPED", deadline=time.time() + 3)),
                                payload(task(short(arn), "RUNNING")))  # fmt: skip
    assert list(both) == [ended("timeout", "RUNNING"), ended("success", "RUNNING")]
    await call(lab.ecs.stop_task, task=arn)


async def test_a_task_that_stays_missing_fails_after_the_grace(lab: Lab) -> None:
    began = time.time()
    assert await payload(task(NO_ARN, "RUNNING")) == ended("failed", "MISSING", "AWS does not know it")
    assert time.time() - began > 1


async def test_a_task_that_vanishes_while_it_is_waited_for(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await running(lab)
    waiting = asyncio.create_task(payload(task(arn, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.aws.control.vanish, arn)
    assert await waiting == ended("failed", "MISSING", "AWS does not know it")
