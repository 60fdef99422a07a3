"""Ends where it cannot be told what Airflow's supervisor has dealt with: the rate is all there is. Virtual time."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from asyncrun.clients import airflow_supervisor
from asyncrun.clients.config import uploads_logs
from asyncrun.model.settings import Settings
from asyncrun.triggers.ends import turn_to_end
from tests.support.supervisor import supervised

pytestmark = pytest.mark.looptime

SETTINGS = Settings()


@pytest.fixture
def remote_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    uploads_logs.cache_clear()
    yield monkeypatch
    uploads_logs.cache_clear()


def missing(patch: pytest.MonkeyPatch, module: Any) -> None:
    patch.delattr(module, "MaskSecret")


def refusing(patch: pytest.MonkeyPatch, module: Any) -> None:
    def refuse(**_: Any) -> None:
        raise ValueError("a secret must not be empty")

    patch.setattr(module, "MaskSecret", refuse)


@pytest.mark.parametrize(
    ("other", "why"), [(missing, "cannot import name 'MaskSecret'"), (refusing, "a secret must not be empty")]
)
async def test_in_another_airflow_whose_supervisor_cannot_be_asked_the_rate_is_all_there_is(
    other: Callable[[pytest.MonkeyPatch, Any], None],
    why: str,
    remote_logging: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    from airflow.sdk.execution_time import comms

    caplog.set_level(logging.WARNING)
    airflow_supervisor._say_once.cache_clear()
    async with supervised(remote_logging) as supervisor:
        other(remote_logging, comms)
        began = asyncio.get_running_loop().time()
        triggers = [asyncio.create_task(turn_to_end(SETTINGS), name=f"trigger {number}") for number in range(20)]
        while triggers:
            triggers = [one for one in triggers if not one.done()]
            await asyncio.sleep(1)
            assert asyncio.get_running_loop().time() - began < 60
    assert supervisor.asked == []
    (said,) = [one for one in caplog.messages if "Airflow's supervisor cannot be asked" in one]
    assert why in said


async def ends(count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    at: list[float] = []

    async def end() -> None:
        await turn_to_end(Settings(ends_per_second=20))
        at.append(loop.time())

    begin = loop.time()
    await asyncio.gather(*(end() for _ in range(count)))
    return [one - begin for one in at]


async def test_outside_of_a_triggerer_a_thousand_that_end_at_once_take_their_turns(
    remote_logging: pytest.MonkeyPatch,
) -> None:
    at = await ends(1000)
    assert at == sorted(at)
    assert 49.9 < at[-1] < 50.1
    assert all(sum(begin <= one < begin + 1 for one in at) <= 21 for begin in range(50))


async def test_a_turn_that_was_cancelled_disturbs_nobody(remote_logging: pytest.MonkeyPatch) -> None:
    first = asyncio.create_task(ends(100), name="many")
    await asyncio.sleep(1)
    first.cancel()
    await asyncio.wait([first])
    assert (await ends(1))[0] < 4.2


async def test_without_remote_logging_nothing_waits(remote_logging: pytest.MonkeyPatch) -> None:
    remote_logging.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "False")
    uploads_logs.cache_clear()
    assert max(await ends(100)) < 0.1
