"""
Shared watchers: one per key and event loop, many subscribers.

Invariant: **a key is present exactly while its watcher's task is alive.** Entering the key and starting the task are
one step without an ``await``, and so are removing the key and ending the task. A watcher that is about to end
while somebody subscribes is started again instead, by the same task and under the same key.

The tasks here start with an empty ``contextvars.Context()``: otherwise what they log would land in the task log of the
trigger that happened to subscribe first.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Callable, Hashable
from typing import Any, Generic, Protocol

import msgspec

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.backoff import Backoff
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.news import S
from asyncrun.triggers.watch.subscription import Subscription, SubscriptionClosed

__all__ = ["Registry", "Subscription", "SubscriptionClosed", "Watcher", "WatcherStatistics", "registry"]

log = logging.getLogger(__name__)


class Watcher(Protocol[S]):
    """What the registry runs. All methods but ``run`` are called between two steps of it and must not block."""

    @property
    def name(self) -> str:
        """For logs and task names; no secrets."""

    async def run(self) -> None:
        """Watch until cancelled. Started again after a crash: what it knows of its feeds must stay."""

    def open(self, ident: str) -> Feed[S]:
        """The feed of that object, new or known. Asked for at each subscription."""

    def forget(self, ident: str) -> None:
        """Nobody is subscribed to that object any more."""

    def statistics(self) -> msgspec.Struct:
        """Counters, at any time."""


class WatcherStatistics(msgspec.Struct, frozen=True):
    """
    One watcher at one moment.

    :param restarts: after crashes, since the watcher entered the registry.
    :param watcher: its own counters.
    """

    name: str
    subscribers: int
    restarts: int
    watcher: msgspec.Struct


class _Slot(Generic[S]):
    """One key's watcher, its subscriptions, and the two tasks that run it (see ``Registry._supervise``)."""

    def __init__(self, key: Hashable, watcher: Watcher[S], linger: float) -> None:
        self.key, self.watcher, self.linger = key, watcher, linger
        self.loop = asyncio.get_running_loop()
        self.subscriptions: set[Subscription[S]] = set()
        self.task: asyncio.Task[None]
        self.attempt: asyncio.Task[None] | None = None
        self.timer: asyncio.TimerHandle | None = None
        self.stopping = False
        self.restarts = 0
        self.crashes_in_a_row = 0
        self._leave = self.leave  # one for all subscriptions

    @property
    def over(self) -> bool:
        """Whether the watcher was asked to stop, and nobody came back since."""
        return self.stopping and not self.subscriptions

    def join(self, ident: str) -> Subscription[S]:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        subscription = Subscription(self.watcher.open(ident), self._leave)
        self.subscriptions.add(subscription)
        return subscription

    def leave(self, subscription: Subscription[S]) -> None:
        self.subscriptions.discard(subscription)
        if not subscription.feed.listeners:
            self.watcher.forget(subscription.ident)
        if not self.subscriptions and not self.loop.is_closed():
            self.timer = self.loop.call_later(self.linger, self.stop)

    def stop(self) -> None:
        """End the watcher, unless somebody subscribes before it has ended."""
        self.stopping = True
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
        if self.attempt is not None:
            self.attempt.cancel()

    def close_subscriptions(self) -> None:
        for subscription in list(self.subscriptions):
            subscription.close()

    async def watch(self, delay: float) -> None:
        await asyncio.sleep(delay)
        await self.watcher.run()


class Registry:
    """
    The shared watchers of one event loop. Use ``registry()``; build one only in tests.

    :param restart_first: seconds before a crashed watcher is started again, doubled with each crash in a row.
    :param restart_longest: upper bound of that, and how long a watcher must run to be trusted again.
    """

    def __init__(self, *, restart_first: float = 1.0, restart_longest: float = 60.0) -> None:
        self._restarts = Backoff(first=restart_first, longest=restart_longest)
        self._slots: dict[Hashable, _Slot[Any]] = {}

    def subscribe(
        self, key: Hashable, ident: str, factory: Callable[[], Watcher[S]], *, linger: float = 5.0
    ) -> Subscription[S]:
        """
        Join the watcher of that key, starting it if there is none.

        :param key: which watcher: its kind, API and scope.
        :param ident: which of the watcher's objects. Several subscriptions to one object are fine.
        :param factory: makes the watcher; called only if the key is absent, and must not block.
        :param linger: seconds that the watcher goes on without subscribers (setting ``watcher_linger``); the one given
            by the first subscriber counts.
        """
        slot = self._slots.get(key)
        if slot is None or slot.task.done():  # done: cancelled before its first step; its callback comes next
            slot = self._enter(key, factory(), linger)
        return slot.join(ident)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._slots

    def statistics(self) -> dict[Hashable, WatcherStatistics]:
        """Every watcher by its key."""
        return {
            key: WatcherStatistics(slot.watcher.name, len(slot.subscriptions), slot.restarts, slot.watcher.statistics())
            for key, slot in self._slots.items()
        }

    async def close_all(self) -> None:
        """End every watcher and close every subscription; for workers and tests, before the event loop ends."""
        slots = list(self._slots.values())
        for slot in slots:
            slot.close_subscriptions()
            slot.stop()
        if slots:
            await asyncio.wait([slot.task for slot in slots])

    def _enter(self, key: Hashable, watcher: Watcher[S], linger: float) -> _Slot[S]:
        slot = _Slot(key, watcher, linger)
        slot.task = slot.loop.create_task(
            self._supervise(slot), name=f"asyncrun watcher {watcher.name}", context=contextvars.Context()
        )
        self._slots[key] = slot
        slot.task.add_done_callback(lambda _: self._evict(slot))
        return slot

    def _evict(self, slot: _Slot[Any]) -> None:
        if self._slots.get(slot.key) is slot:
            del self._slots[slot.key]
        slot.close_subscriptions()  # there are some only if the event loop itself is being torn down
        if slot.timer is not None:
            slot.timer.cancel()

    async def _supervise(self, slot: _Slot[Any]) -> None:
        """
        Run the watcher as a task of its own, again and again, until it was asked to stop and nobody came back.

        Two tasks, because stopping the inner one is then a plain cancellation that nobody has to swallow.
        """
        delay = 0.0
        try:
            while not slot.over:
                slot.stopping = False
                began = slot.loop.time()
                slot.attempt = slot.loop.create_task(slot.watch(delay), name=f"asyncrun watch {slot.watcher.name}")
                await asyncio.wait([slot.attempt])
                stopped = slot.stopping and slot.attempt.cancelled()
                delay = 0.0 if stopped else self._crashed(slot, slot.attempt, slot.loop.time() - began - delay)
        except asyncio.CancelledError:  # the event loop is being torn down
            if slot.attempt is not None and not slot.attempt.done():
                slot.attempt.cancel()
                await asyncio.wait([slot.attempt])
            raise
        finally:
            self._evict(slot)

    def _crashed(self, slot: _Slot[Any], attempt: asyncio.Task[None], lasted: float) -> float:
        """Say it, and for how long to wait before the next attempt."""
        slot.restarts += 1
        slot.crashes_in_a_row = 1 if lasted > self._restarts.longest else slot.crashes_in_a_row + 1
        delay = self._restarts.wait(slot.crashes_in_a_row)
        error = None if attempt.cancelled() else attempt.exception()
        log.error(
            "The shared watcher %s %s; this is a defect of asyncrun. It starts again in %.1f s, and its %d subscribers "
            "keep what they know.",
            slot.watcher.name,
            "crashed" if error else "ended though nobody stopped it",
            delay,
            len(slot.subscriptions),
            exc_info=error,
        )
        return delay


registry = PerLoop(Registry)
"""``registry()`` is the registry of the running event loop."""
