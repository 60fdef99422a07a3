"""What the subscribers of a shared watcher hear."""

from __future__ import annotations

import asyncio
from typing import Any

from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Registry, Subscription


class Heard:
    """A registry, and what each subscriber heard, with the time."""

    def __init__(self) -> None:
        self.registry, self.settings = Registry(), Settings()
        self.heard: dict[str, list[tuple[float, Any]]] = {}
        self.readers: list[asyncio.Task[None]] = []

    def note(self, ident: str, subscription: Subscription[Any]) -> None:
        """Note all news of that subscription for good."""
        notes = self.heard.setdefault(ident, [])
        self.readers.append(asyncio.create_task(self._read(subscription, notes)))

    async def _read(self, subscription: Subscription[Any], notes: list[tuple[float, Any]]) -> None:
        with subscription:
            while True:
                news = await subscription.news()
                notes.append((asyncio.get_running_loop().time(), news))

    def news(self, ident: str) -> list[Any]:
        return [news for _, news in self.heard[ident]]

    def kinds(self, ident: str) -> list[str]:
        return [type(news).__name__ for news in self.news(ident)]

    async def close(self) -> None:
        for reader in self.readers:
            reader.cancel()
        await asyncio.gather(*self.readers, return_exceptions=True)
        await self.registry.close_all()
