"""The registry of shared watchers."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator
from typing import Any

import msgspec
import pytest

from asyncrun.triggers.registry import Registry, SubscriptionClosed, registry
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.news import Seen
from tests.support.kill import KILL

pytestmark = pytest.mark.looptime

LABEL: contextvars.ContextVar[str] = contextvars.ContextVar("label", default="nobody")


class Counting(msgspec.Struct):
    runs: int = 0


class Bell:
    """A watcher that rings its feeds when the test says so, and crashes when the test says so."""

    name = "bell"

    def __init__(self) -> None:
        self.feeds: dict[str, Feed[int]] = {}
        self.counting = Counting()
        self.alive = 0
        self.label = ""
        self.slow_end = 0.0
        self.crash = asyncio.Event()

    async def run(self) -> None:
        self.counting.runs += 1
        self.alive += 1
        self.label = LABEL.get()
        assert self.alive == 1
        try:
            await self.crash.wait()
            raise ZeroDivisionError("a defect")
        finally:
            if self.slow_end:
                await asyncio.sleep(self.slow_end)
            self.alive -= 1

    def open(self, ident: str) -> Feed[int]:
        return self.feeds.setdefault(ident, Feed(ident))

    def forget(self, ident: str) -> None:
        del self.feeds[ident]

    def statistics(self) -> Counting:
        return self.counting


class Desk:
    def __init__(self) -> None:
        self.registry = Registry()
        self.made: list[Bell] = []

    def make(self) -> Bell:
        self.made.append(Bell())
        return self.made[-1]

    def subscribe(self, ident: str = "a", **more: Any) -> Any:
        return self.registry.subscribe("key", ident, self.make, **more)


@pytest.fixture
async def desk(no_leaked_tasks: None) -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.registry.close_all()


async def test_subscribers_of_a_key_share_one_watcher_and_other_keys_do_not(desk: Desk) -> None:
    desk.subscribe("a"), desk.subscribe("b"), desk.subscribe("b")
    desk.registry.subscribe("other", "a", desk.make)
    await asyncio.sleep(1)
    assert [bell.counting.runs for bell in desk.made] == [1, 1]
    assert {key: one.subscribers for key, one in desk.registry.statistics().items()} == {"key": 3, "other": 1}


async def test_the_watcher_stops_a_linger_after_the_last_subscriber_left(desk: Desk) -> None:
    one, two = desk.subscribe("a", linger=5), desk.subscribe("b", linger=5)
    await asyncio.sleep(1)
    one.close()
    one.close()
    await asyncio.sleep(20)
    assert "key" in desk.registry
    assert list(desk.made[0].feeds) == ["b"]
    two.close()
    await asyncio.sleep(4.9)
    assert "key" in desk.registry
    await asyncio.sleep(0.2)
    assert "key" not in desk.registry
    assert desk.made[0].alive == 0


async def test_whoever_comes_back_during_the_linger_finds_the_watcher_running(desk: Desk) -> None:
    for _ in range(5):
        with desk.subscribe(linger=5):
            await asyncio.sleep(1)
        await asyncio.sleep(4)
    assert len(desk.made) == 1
    assert desk.made[0].counting.runs == 1


async def test_whoever_subscribes_while_the_watcher_is_ending_keeps_it_alive_under_its_key(desk: Desk) -> None:
    first = desk.subscribe(linger=0)
    await asyncio.sleep(1)
    desk.made[0].slow_end = 10
    first.close()
    await asyncio.sleep(5)
    assert "key" in desk.registry  # it is still alive
    again = desk.subscribe(linger=0)
    await asyncio.sleep(10)
    assert len(desk.made) == 1
    assert desk.made[0].counting.runs == 2
    desk.made[0].feeds["a"].publish(Seen(7))
    assert await again.news() == Seen(7)
    assert desk.registry.statistics()["key"].restarts == 0
    desk.made[0].slow_end = 0


async def test_the_watcher_does_not_inherit_the_context_of_the_first_subscriber(desk: Desk) -> None:
    LABEL.set("a trigger's task log")
    desk.subscribe()
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    await asyncio.sleep(1)
    assert desk.made[0].label == "nobody"


@pytest.mark.expects_defect
async def test_a_crash_is_logged_with_traceback_and_restarted_later_and_later(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    subscription = desk.subscribe()
    desk.made[0].feeds["a"].publish(Seen(1))
    desk.made[0].crash.set()
    await asyncio.sleep(2)
    early = desk.made[0].counting.runs
    await asyncio.sleep(600)
    late = desk.made[0].counting.runs
    assert early in (2, 3)
    assert 600 / 60 <= late - early <= 600 / 30 + 6
    assert all(record.exc_info and "a defect" in str(record.exc_info[1]) for record in caplog.records)
    assert "its 1 subscribers keep what they know" in caplog.text
    assert await subscription.news() == Seen(1)
    assert desk.registry.statistics()["key"].restarts >= late - 1


async def test_a_factory_that_fails_leaves_no_key(desk: Desk) -> None:
    with pytest.raises(ZeroDivisionError):
        desk.registry.subscribe("key", "a", lambda: 1 / 0)  # type: ignore[arg-type, return-value]
    assert "key" not in desk.registry


async def test_cancelling_a_subscriber_in_news_loses_nothing_and_keeps_the_message(desk: Desk) -> None:
    subscription = desk.subscribe()
    waiting = asyncio.create_task(subscription.news())
    await asyncio.sleep(1)
    desk.made[0].feeds["a"].publish(Seen(1))
    waiting.cancel(KILL)
    with pytest.raises(asyncio.CancelledError) as caught:
        await waiting
    assert caught.value.args == (KILL,)
    assert await subscription.news() == Seen(1)


async def test_closing_tells_whoever_waits(desk: Desk) -> None:
    subscription = desk.subscribe()
    waiting = asyncio.create_task(subscription.news())
    await asyncio.sleep(1)
    with pytest.raises(RuntimeError, match="two tasks wait"):
        await subscription.news()
    await desk.registry.close_all()
    with pytest.raises(SubscriptionClosed, match="the subscription to a is closed"):
        await waiting
    assert desk.registry.statistics() == {}


def test_loops_that_come_and_go_leave_nothing_behind() -> None:
    kept: list[weakref.ref[Any]] = []

    async def work(*, settle: float | None, leave: bool = True) -> None:
        bell = Bell()
        kept.extend([weakref.ref(asyncio.get_running_loop()), weakref.ref(bell), weakref.ref(registry())])
        assert registry() is registry()
        subscription = registry().subscribe("key", "a", lambda: bell)
        if settle is not None:
            await asyncio.sleep(settle)
        if leave:
            subscription.close()

    for settle in (None, 0, 0.001):
        asyncio.run(work(settle=settle))
        asyncio.run(work(settle=settle, leave=False))
    abandoned = asyncio.new_event_loop()
    abandoned.run_until_complete(work(settle=0.01, leave=False))
    for task in asyncio.all_tasks(abandoned):
        task._log_destroy_pending = False  # the test leaves them behind on purpose
    abandoned.close()
    del abandoned, task

    async def look() -> None:
        registry()

    asyncio.run(look())
    gc.collect()
    assert [one() for one in kept] == [None] * len(kept)
