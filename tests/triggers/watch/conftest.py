from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.triggers.registry import Subscription
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from asyncrun.triggers.watch.news import Seen
from tests.triggers.watch.heard import Heard
from tests.triggers.watch.scripted_ecs import Renewal, ScriptedEcs


class Watch(Heard):
    """A registry with one poller of a scripted ECS, and what each subscriber heard, with the time."""

    def __init__(self) -> None:
        super().__init__()
        self.api, self.renewal = ScriptedEcs(), Renewal()
        self.poller: EcsTaskPoller | None = None

    def make(self) -> EcsTaskPoller:
        self.poller = EcsTaskPoller(self.api, "jobs", self.settings, self.renewal)  # type: ignore[arg-type]
        return self.poller

    async def healthy(self, number: int) -> list[str]:
        """Follow so many running tasks, until each has been seen."""
        idents = [self.api.put(one) for one in range(number)]
        self.follow(*idents)
        await asyncio.sleep(3)
        assert all(self.kinds(ident) == ["Seen"] for ident in idents)
        return idents

    def subscribe(self, ident: str) -> Subscription[Any]:
        return self.registry.subscribe(("ecs", "jobs"), ident, self.make, linger=self.settings.watcher_linger)

    def follow(self, *idents: str) -> None:
        """Subscribe, and note all news for good."""
        for ident in idents:
            self.note(ident, self.subscribe(ident))

    def statuses(self, ident: str) -> list[str]:
        """The states that were told."""
        return [news.state.status for news in self.news(ident) if isinstance(news, Seen)]


@pytest.fixture
async def watch(no_leaked_tasks: None) -> AsyncIterator[Watch]:
    watch = Watch()
    yield watch
    await watch.close()
