"""Renewing credentials that are refused: not too often, and within a time limit."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from asyncrun.model.backoff import Backoff
from asyncrun.model.errors import RemoteError

log = logging.getLogger(__name__)


class Renewals:
    """
    :param name: whose, for the log.
    :param renew: looks up connection and credentials anew; raises a RemoteError if that fails.
    :param waits: between attempts, until a request is not refused.
    :param limit: seconds for one, at most.
    """

    def __init__(self, name: str, renew: Callable[[], Awaitable[None]], waits: Backoff, limit: float) -> None:
        self._name, self._renew, self._waits, self._limit = name, renew, waits, limit
        self._due_at = float("-inf")
        self._useless = 0  # since the last request that was not refused
        self._lock = asyncio.Lock()
        self.count = 0

    def helped(self) -> None:
        """A request was not refused."""
        self._useless = 0

    async def attempt(self) -> bool:
        """Whether they could be looked up anew, now; several calls at the same time share one attempt."""
        count = self.count
        async with self._lock:
            if self.count != count:
                return True  # somebody else did it meanwhile; where that failed, the next call tells
            if asyncio.get_running_loop().time() < self._due_at:
                return False
            self.count += 1
            return await self._attempt()

    async def _attempt(self) -> bool:
        try:
            async with asyncio.timeout(self._limit):
                await self._renew()
        except (RemoteError, TimeoutError) as error:
            log.warning("%s: the credentials cannot be renewed: %s", self._name, str(error) or "it took too long")
            return False
        finally:
            self._useless += 1
            self._due_at = asyncio.get_running_loop().time() + self._waits.wait(self._useless)
        return True
