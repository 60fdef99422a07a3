"""When the event of a sensor's trigger comes: at the deadline, after the hold, and at the pace of ends."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncrun.clients.config import uploads_logs
from tests.support.lab import Lab
from tests.support.memory_aws import MemoryAws
from tests.triggers.conftest import TaskLogReader
from tests.triggers.states.support import cluster, ended, payload

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")


async def test_a_deadline_within_the_grace_is_a_deadline(lab: Lab, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "30")
    began = time.time()
    end = await payload(cluster("nobody", "ACTIVE", failing=("INACTIVE",), deadline=began + 1))
    assert end == ended("timeout", "MISSING")
    assert 0.9 < time.time() - began < 5


@pytest.mark.looptime
async def test_ends_are_paced_where_each_costs_an_upload(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    settings.setenv("AIRFLOW__ASYNCRUN__ENDS_PER_SECOND", "2")
    uploads_logs.cache_clear()
    loop = asyncio.get_running_loop()

    async def ended_at() -> float:
        await payload(cluster("default", "ACTIVE"))
        return loop.time()

    try:
        times = sorted(await asyncio.gather(*(ended_at() for _ in range(6))))
    finally:
        uploads_logs.cache_clear()
    assert times[-1] - times[0] == pytest.approx(2.5, abs=0.1)


async def test_a_state_that_never_comes_times_out_with_the_last_one_seen(lab: Lab, task_log: TaskLogReader) -> None:
    began = time.time()
    assert await payload(cluster("default", "INACTIVE", deadline=began + 1)) == ended("timeout", "ACTIVE")
    assert 0.9 < time.time() - began < 5
    assert task_log.said().count("The state is ACTIVE, waiting for INACTIVE") == 1


async def test_a_deadline_that_is_over_does_not_hide_a_state_that_is_there(lab: Lab) -> None:
    """Another sensor's poller knows the state already; and a triggerer may have been away past the deadline."""
    first = asyncio.create_task(payload(cluster("default", "INACTIVE", deadline=time.time() + 2)), name="first")
    await asyncio.sleep(1)
    assert await payload(cluster("default", "ACTIVE", deadline=time.time() - 5)) == ended("success", "ACTIVE")
    assert (await first)["status"] == "timeout"


async def test_the_event_waits_for_the_hold_and_no_longer(lab: Lab, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "2")
    began = time.time()
    await payload(cluster("default", "ACTIVE"))
    assert 1.9 < time.time() - began < 6
    late = cluster("default", "ACTIVE")
    late.watch["deferred_at"] -= 60  # sooner it would be a start that was late
    began = time.time()
    await payload(late)
    assert time.time() - began < 1.5
