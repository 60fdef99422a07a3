"""The changes of the embedded cluster's objects: a linked list per kind, which watches and nodes read at their pace."""

from __future__ import annotations

import asyncio
import bisect
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

Json = dict[str, Any]
ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


class StoreError(Exception):
    """Base class of what the store refuses."""


class AlreadyExists(StoreError):
    """An object of that name is there."""


class NotFound(StoreError):
    """No such object, or it has another uid by now."""


class TooOld(StoreError):
    """
    The history does not reach back that far.

    :param revision: that was asked for.
    :param oldest: the first one that can be asked for.
    """

    def __init__(self, revision: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {revision} ({oldest})")
        self.revision, self.oldest = revision, oldest


class Change:
    """One change of one object; a linked list, so that a slow reader keeps what it has not read, and no more."""

    __slots__ = ("_encoded", "next", "object", "previous", "revision", "type")

    def __init__(self, revision: int, type: ChangeType, object: Json, previous: Json | None) -> None:  # noqa: A002
        self.revision, self.type, self.object, self.previous = revision, type, object, previous
        self.next: Change | None = None
        self._encoded: bytes | None = None

    def encoded(self) -> bytes:
        """The object as JSON, encoded once for all watchers."""
        if self._encoded is None:
            self._encoded = msgspec.json.encode(self.object)
        return self._encoded


class Subscription:
    """
    A place in the changes of one kind. Changes are never missed, however slow the reader is.

    :param topic: wait only for changes of objects of that name, and of events about them; empty: for all.
    """

    def __init__(self, log: KindLog, at: Change, topic: str = "") -> None:
        self._log, self._at, self._topic = log, at, topic

    async def next(self) -> tuple[ChangeType, Json]:
        """Wait for the next change: its type and the object (as it was last, if it is ``DELETED``)."""
        await self.wait()
        change = self._at.next
        assert change is not None
        self._at = change
        return change.type, change.object

    @property
    def behind(self) -> bool:
        """Whether there are changes that have not been taken."""
        return self._at.next is not None

    async def wait(self) -> None:
        """Return as soon as there is something new."""
        while self._at.next is None:
            await self._log.wait(self._topic)

    def take(self, limit: int = 1000) -> list[Change]:
        """What is new, without waiting; at most ``limit`` changes, of any topic."""
        found: list[Change] = []
        while self._at.next is not None and len(found) < limit:
            self._at = self._at.next
            found.append(self._at)
        return found


class KindLog:
    """Objects and changes of one kind. ``history`` holds those changes that a new watch can still begin with."""

    def __init__(self, revision: int) -> None:
        self.objects: dict[tuple[str, str], Json] = {}
        self.tail = Change(revision, "ADDED", {}, None)
        self.history: list[Change] = []
        self._waiters: dict[str, list[asyncio.Future[None]]] = {}

    def append(self, change: Change) -> None:
        """Add a change, and wake who waits for it: of hundreds of watches for one pod each, that is one."""
        self.tail.next = change
        self.tail = change
        self.history.append(change)
        about = (change.object.get("involvedObject") or {}).get("name", "")
        for topic in {"", change.object["metadata"]["name"], about}:
            for waiter in self._waiters.pop(topic, ()):
                if not waiter.done():
                    waiter.set_result(None)

    async def wait(self, topic: str) -> None:
        """Return at the next change."""
        waiter = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(topic, []).append(waiter)
        try:
            await waiter
        finally:
            rest = self._waiters.get(topic, [])
            if waiter in rest:
                rest.remove(waiter)
                if not rest:
                    del self._waiters[topic]

    def trim(self, revision: int) -> None:
        """Forget the changes up to there; those who have not read them yet keep them."""
        self.history = self.history[bisect.bisect_right(self.history, revision, key=revision_of) :]


def revision_of(change: Change) -> int:
    """For sorting."""
    return change.revision


def now() -> str:
    """This second, as Kubernetes writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def now_micro() -> str:
    """This microsecond, as ``eventTime`` and leases have it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
