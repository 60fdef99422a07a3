"""Sensors' triggers while AWS is away, refuses single calls, or denies access: what is said, and what fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from asyncrun.local.aws.options import Fault
from tests.support.lab import Lab
from tests.support.triggers import call
from tests.triggers.conftest import TaskLogReader
from tests.triggers.states.support import NO_ARN, cluster, definition, ended, payload, running, task

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")


async def test_an_api_that_is_away_is_said_once_and_so_is_its_return(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await running(lab)
    waiting = asyncio.create_task(payload(task(arn, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.aws.control.refuse_all)
    async with asyncio.timeout(40):
        while "cannot be seen at the moment; the waiting goes on" not in task_log.said():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await call(lab.aws.control.refuse_all, refuse=False)
    async with asyncio.timeout(40):
        while "The state can be seen again" not in task_log.said():  # noqa: ASYNC110 - the other side of a socket
            await asyncio.sleep(0.1)
    await call(lab.ecs.stop_task, task=arn)
    assert await waiting == ended("success", "STOPPED")
    assert task_log.said().count("cannot be seen at the moment") == 1
    assert task_log.said().count("can be seen again") == 1
    assert task_log.said().count("The state is RUNNING") == 1


@pytest.mark.parametrize("kind", ["throttle", "http_500", "reset", "malformed"])
async def test_single_refused_calls_are_nobodys_news(lab: Lab, task_log: TaskLogReader, kind: Any) -> None:
    await call(lab.aws.control.add_faults, Fault("DescribeClusters", kind, count=2))
    assert await payload(cluster("default", "ACTIVE")) == ended("success", "ACTIVE")
    assert task_log.said() == ""


@pytest.mark.parametrize(
    ("make", "action"),
    [
        (lambda: cluster("default", "ACTIVE"), "ecs:DescribeClusters"),
        (lambda: definition("jobs", "ACTIVE"), "ecs:DescribeTaskDefinition"),
        (lambda: task(NO_ARN, "RUNNING"), "ecs:DescribeTasks"),
    ],
    ids=["cluster", "definition", "task"],
)
async def test_denied_access_fails_after_the_grace_with_the_missing_action(
    lab: Lab, task_log: TaskLogReader, make: Callable[[], Any], action: str
) -> None:
    await call(lab.aws.control.set_policy, ["ecs:RunTask"])
    end = await payload(make())
    assert (end["status"], end["state"]) == ("failed", "")
    assert action in end["message"]
    assert task_log.said().count("cannot be seen at the moment; the waiting goes on") == 1
    assert action in task_log.said()


async def test_access_that_comes_back_within_the_grace_fails_nothing(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    await call(lab.aws.control.add_faults, Fault("DescribeClusters", "expired_token", count=3))
    assert await payload(cluster("default", "ACTIVE")) == ended("success", "ACTIVE")


async def test_a_connection_that_cannot_be_resolved_is_waited_for(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    waiting = asyncio.create_task(payload(cluster("default", "ACTIVE")), name="trigger")
    async with asyncio.timeout(20):
        while "AWS cannot be asked yet; the waiting goes on. No AWS region is known" not in task_log.said():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    monkeypatch.setenv("AWS_DEFAULT_REGION", lab.aws.options.region)
    assert await waiting == ended("success", "ACTIVE")
