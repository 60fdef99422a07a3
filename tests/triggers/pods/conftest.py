from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.watch.news import Deleted, Seen
from asyncrun.triggers.watch.pods.reflector import PodReflector, ReflectorStatistics
from asyncrun.triggers.watch.pods.tuning import PodTuning
from tests.triggers.pods.memory_kube import SELECTOR, MemoryKube, MemoryPods, uid_of
from tests.triggers.watch.heard import Heard


class Reflected(Heard):
    """A registry with one reflector of a Kubernetes in memory, and what each subscriber heard, with the time."""

    namespace = "jobs"

    def __init__(self) -> None:
        super().__init__()
        self.kube, self.tuning = MemoryKube(), PodTuning()
        self.selector = SELECTOR
        self.reflector: PodReflector | None = None

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
            self.note(uid, self.subscribe(uid, name))

    async def healthy(self, number: int) -> list[str]:
        """Follow so many running pods, until each has been seen."""
        uids = [self.pods.put(one) for one in range(number)]
        self.follow(*uids)
        await asyncio.sleep(3)
        assert all(self.kinds(uid) == ["Seen"] for uid in uids)
        return uids

    def phases(self, uid: str) -> list[str]:
        """The states that were told, the deleted one's too."""
        return [news.state.status.phase for news in self.news(uid) if isinstance(news, Seen | Deleted)]


@pytest.fixture
async def reflected(no_leaked_tasks: None) -> AsyncIterator[Reflected]:
    reflected = Reflected()
    yield reflected
    await reflected.close()


__all__ = ["Reflected", "uid_of"]
