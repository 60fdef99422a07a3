"""A resume that comes too soon after the deferral can fail the task in Airflow, so it is held back. Virtual time."""

from __future__ import annotations

import asyncio
import time

import pytest

from tests.support.memory_aws import MemoryAws, at
from tests.support.triggers import end, event_of, trigger

pytestmark = [pytest.mark.usefixtures("settings", "loop_closed", "task_log"), pytest.mark.looptime]

HOLD = 40.0


@pytest.fixture(autouse=True)
def held(settings: pytest.MonkeyPatch) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", str(HOLD))


async def reported_at(memory: MemoryAws, *, deferred_for: float, code: int = 3) -> float:
    """When the end of a container that ends after two seconds is reported, in seconds."""
    arn = memory.put(1)
    at(2, lambda: memory.finish(1, code))
    made = trigger(1, arn, end_in_triggerer=False)
    made.watch["deferred_at"] = time.time() - deferred_for  # the epoch stands still
    began = asyncio.get_running_loop().time()
    assert end(await event_of(made)).outcome.exit_code == code
    return asyncio.get_running_loop().time() - began


@pytest.mark.parametrize("code", [0, 3])
async def test_an_end_right_after_the_deferral_is_not_reported_before_a_resume_is_safe(
    memory: MemoryAws, code: int
) -> None:
    assert HOLD <= await reported_at(memory, deferred_for=0, code=code) < HOLD + 25


async def test_an_end_that_comes_later_is_reported_at_once(memory: MemoryAws) -> None:
    assert await reported_at(memory, deferred_for=HOLD) < 25


async def test_clocks_that_differ_hold_an_end_no_longer_than_that(memory: MemoryAws) -> None:
    assert await reported_at(memory, deferred_for=-1000) < HOLD + 25


async def test_where_triggers_start_late_an_end_is_held_back_for_longer(
    memory: MemoryAws, settings: pytest.MonkeyPatch
) -> None:
    """So late as a trigger starts in a busy Airflow, the scheduler is with what it has in hand."""
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    late = 9.9
    assert 2 * late <= await reported_at(memory, deferred_for=late) < 2 * late + 5


async def test_a_trigger_that_another_triggerer_takes_over_is_not_taken_for_one_that_starts_late(
    memory: MemoryAws, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "7")
    assert await reported_at(memory, deferred_for=60) < 5
