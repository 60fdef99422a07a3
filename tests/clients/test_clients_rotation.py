"""When the credentials of one target are renewed, in virtual time, whoever asks for it."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.clients import rotation
from asyncrun.clients.rotation import Rotation
from asyncrun.model.refs import AwsTarget

pytestmark = pytest.mark.looptime


class Made:
    """Clients of one look-up, as far as their replacement is concerned."""

    def __init__(self, connection: str) -> None:
        self.resolved = self
        self.fingerprint, self.found = connection, True
        self.at = asyncio.get_running_loop().time()

    async def drain(self) -> None: ...

    async def close(self) -> None: ...


class Way:
    """A rotation, the connection that it looks up, and all clients that it made."""

    def __init__(self) -> None:
        self.connection, self.look_ups = "first", 0
        self.made: list[Made] = []
        self.rotation = Rotation(AwsTarget(conn_id="aws_test"), 300, "test")

    async def open(self, target: AwsTarget, known: str | None = None) -> Made | None:
        self.look_ups += 1
        await asyncio.sleep(0.2)
        if known == self.connection:
            return None
        self.made.append(Made(self.connection))
        return self.made[-1]

    async def asks(self, every: float, until: float) -> None:
        """A poller that is denied all the time."""
        loop = asyncio.get_running_loop()
        while loop.time() < until:
            await self.rotation.renew()
            await asyncio.sleep(every)


@pytest.fixture
async def way(no_leaked_tasks: None, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Way]:
    way = Way()
    monkeypatch.setattr(rotation, "open_generation", way.open)
    await way.rotation.ready()
    yield way
    await way.rotation.close()


@pytest.mark.parametrize("watchers", [1, 5, 20])
async def test_however_many_watch_a_denied_target_its_credentials_are_renewed_less_and_less_often(
    way: Way, watchers: int
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(watchers):
            group.create_task(way.asks(every=7 + number, until=600))
    gaps = [later.at - earlier.at for earlier, later in itertools.pairwise(way.made[1:])]
    assert gaps[0] < 20
    assert min(gaps[3:]) >= 30
    assert max(gaps) < 70, "a role that was mended must be noticed within the grace"
    assert len(way.made) <= 23
    assert way.look_ups <= 600 / 5 + len(way.made)


async def test_a_connection_that_was_mended_is_used_at_once_also_between_two_renewals(way: Way) -> None:
    await way.asks(every=6, until=200)
    before: Any = way.rotation.current
    way.connection = "mended"
    await asyncio.sleep(6)
    await way.rotation.renew()
    assert way.rotation.current is not before
    assert way.rotation.current.resolved.fingerprint == "mended"


async def test_a_denial_long_after_the_last_one_is_answered_by_a_renewal(way: Way) -> None:
    await way.asks(every=6, until=400)
    await asyncio.sleep(250)
    made = len(way.made)
    await way.rotation.renew()
    assert len(way.made) == made + 1
    await asyncio.sleep(11)
    await way.rotation.renew()
    assert len(way.made) == made + 2, "the back-off has begun anew"
