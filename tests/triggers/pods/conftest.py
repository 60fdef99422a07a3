from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Registry, Subscription
from asyncrun.triggers.watch.news import Deleted, Seen
from asyncrun.triggers.watch.pods.reflector import PodReflector, ReflectorStatistics
from asyncrun.triggers.watch.pods.tuning import PodTuning
from tests.triggers.pods.memory_kube import SELECTOR, MemoryKube, MemoryPods, uid_of


class Reflected:
    """A registry with one reflector of a Kubernetes in memory, and what each subscriber heard, with the time."""

    namespace = "jobs"

    def __init__(self) -> None:
        self.kube, self.registry, self.settings, self.tuning = MemoryKube(), Registry(), Settings(), PodTuning()
        self.selector = SELECTOR
        self.reflector: PodReflector | None = None
        self.heard: dict[str, list[tuple[float, Any]]] = {}
        self.readers: list[asyncio.Task[None]] = []

    @property
    def pods(self) -> MemoryPods:
        return self.kube.pods(self.namespace)

    def make(self) -> PodReflector:
        self.reflector = PodReflector(
            self.kube, self.namespace, self.selector, self.settings, tuning=self.tuning
        )  # fmt: skip
        return self.reflector

    @property
    def statistics(self) -> ReflectorStatistics:
        assert self.reflector is not None
        return self.reflector.statistics()

    def subscribe(self, uid: str, name: str = "") -> Subscription[Any]:
        ident = f"{name or 'p' + str(int(uid[-12:]))}/{uid}"
        return self.registry.subscribe(("pods", "jobs"), ident, self.make, linger=self.settings.watcher_linger)

    def follow(self, *uids: str, name: str = "") -> None:
        """Subscribe, and note all news for good."""
        for uid in uids:
            self.readers.append(asyncio.create_task(self._read(self.subscribe(uid, name), uid)))

    async def _read(self, subscription: Subscription[Any], uid: str) -> None:
        notes = self.heard.setdefault(uid, [])
        with subscription:
            while True:
                notes.append((asyncio.get_running_loop().time(), await subscription.news()))

    async def healthy(self, number: int) -> list[str]:
        """Follow so many running pods, until each has been seen."""
        uids = [self.pods.put(one) for one in range(number)]
        self.follow(*uids)
        await asyncio.sleep(3)
        assert all(self.kinds(uid) == ["Seen"] for uid in uids)
        return uids

    def news(self, uid: str) -> list[Any]:
        return [news for _, news in self.heard.get(uid, [])]

    def kinds(self, uid: str) -> list[str]:
        return [type(news).__name__ for news in self.news(uid)]

    def phases(self, uid: str) -> list[str]:
        """The states that were told, the deleted one's too."""
        return [news.state.status.phase for news in self.news(uid) if isinstance(news, Seen | Deleted)]

    async def close(self) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        await self.registry.close_all()


@pytest.fixture
async def reflected(no_leaked_tasks: None) -> AsyncIterator[Reflected]:
    reflected = Reflected()
    yield reflected
    await reflected.close()


__all__ = ["Reflected", "uid_of"]
