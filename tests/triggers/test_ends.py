"""Ends are paced where each costs Airflow's supervisor an upload. Virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from asyncrun.clients.config import uploads_logs
from asyncrun.model.settings import Settings
from asyncrun.triggers.ends import turn_to_end

pytestmark = pytest.mark.looptime


@pytest.fixture
def remote_logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    uploads_logs.cache_clear()
    yield monkeypatch
    uploads_logs.cache_clear()


async def ends(count: int) -> list[float]:
    loop = asyncio.get_running_loop()
    at: list[float] = []

    async def end() -> None:
        await turn_to_end(Settings(ends_per_second=20))
        at.append(loop.time())

    begin = loop.time()
    await asyncio.gather(*(end() for _ in range(count)))
    return [one - begin for one in at]


async def test_a_thousand_that_end_at_once_take_their_turns(remote_logging: pytest.MonkeyPatch) -> None:
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
