"""The longest step of an event loop, and whose it was."""

from __future__ import annotations

import asyncio
import gc
import time
from asyncio import events
from collections.abc import Iterator

import pytest

from benchmarks.steps import Steps, Worst


@pytest.fixture
def steps(monkeypatch: pytest.MonkeyPatch) -> Iterator[Steps]:
    monkeypatch.setattr(events.Handle, "_run", events.Handle._run)  # put back afterwards
    callbacks = list(gc.callbacks)
    found = Steps()
    found.install()
    yield found
    gc.callbacks[:] = callbacks


def _busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


def _reported(steps: Steps, *coroutines: object) -> Worst:
    async def all_of_them() -> None:
        await asyncio.gather(*coroutines)  # type: ignore[call-overload]

    asyncio.run(all_of_them())
    return steps.report()


async def _short() -> None:
    _busy(0.003)


async def _long() -> None:
    await asyncio.sleep(0)
    _busy(0.3)  # more than a short step is held up on a busy machine


def test_the_longest_step_is_told_with_its_coroutine_and_the_cpu_time_in_it(steps: Steps) -> None:
    worst = _reported(steps, _short(), _long())
    assert worst.step >= 0.3
    assert worst.step_who == "_long"
    assert 0 < worst.step_cpu <= worst.step + 0.01
    assert worst.most_cpu >= worst.step_cpu
    assert (worst.own, worst.own_who) == (pytest.approx(worst.step - worst.step_gc), "_long")


def test_steps_of_airflows_own_coroutines_are_told_apart(steps: Steps) -> None:
    class TriggerRunner:
        async def arun(self) -> None:
            _busy(0.05)

    TriggerRunner.arun.__qualname__ = "TriggerRunner.arun"
    worst = _reported(steps, _long(), TriggerRunner().arun())
    assert worst.airflow >= 0.05
    assert worst.own_who == "_long"


def test_garbage_collection_in_a_step_is_taken_off(steps: Steps) -> None:
    async def collecting() -> None:
        _busy(0.01)
        gc.collect()

    worst = _reported(steps, collecting())
    assert 0 < worst.step_gc < worst.step
    assert worst.gc <= worst.step_gc
    assert worst.own == pytest.approx(worst.step - worst.step_gc)


def test_each_report_begins_anew(steps: Steps) -> None:
    _reported(steps, _long())
    assert steps.report() == Worst()
