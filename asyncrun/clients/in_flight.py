"""What must end before something may be closed."""

from __future__ import annotations

import asyncio


class InFlight:
    """Counts it."""

    def __init__(self) -> None:
        self._count = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def begin(self) -> None:
        """One more is under way."""
        self._count += 1
        self._idle.clear()

    def end(self) -> None:
        """One of them has ended."""
        self._count -= 1
        if not self._count:
            self._idle.set()

    async def none_left(self) -> None:
        """Wait until none is under way."""
        await self._idle.wait()
