"""What a watcher knows of one object, shared by all who subscribed to it."""

from __future__ import annotations

import time
from typing import Generic, Protocol

from asyncrun.triggers.watch.news import Latest, Remark, S, Trouble


class Listener(Protocol):
    """Whoever waits for news of a feed."""

    def wake(self) -> None:
        """Look at the feed again, soon. Must not do it now."""


class Feed(Generic[S]):
    """
    The latest word on one object, and the trouble in seeing it, if any. Changed by its watcher only.

    Latest only: publishing costs nothing per slow listener, and a listener compares ``sequence`` with what it saw last.
    """

    __slots__ = ("final", "ident", "latest", "listeners", "recovered_at", "remark", "sequence", "trouble")

    def __init__(self, ident: str) -> None:
        self.ident = ident
        self.latest: Latest[S] | None = None
        self.sequence = 0
        """Grows with each change of ``latest``."""
        self.final = False
        """Whether ``latest`` is the last word."""
        self.trouble: Trouble | None = None
        self.recovered_at = 0.0
        """When the last trouble ended, seconds since the epoch."""
        self.remark: Remark | None = None
        """The latest remark."""
        self.listeners: list[Listener] = []  # mostly one: a set is three times as large

    def publish(self, latest: Latest[S], *, final: bool = False) -> None:
        """Replace the latest word, unless the last one was spoken."""
        if self.final:
            return
        self.latest, self.final = latest, final
        self.sequence += 1
        self._wake()

    def tell(self, trouble: Trouble) -> None:
        """Trouble begins or gets worse."""
        self.trouble = trouble
        self._wake()

    def recover(self) -> None:
        """The trouble is over, if there was any."""
        if self.trouble is not None:
            self.trouble, self.recovered_at = None, time.time()
            self._wake()

    def note(self, remark: Remark) -> None:
        """Tell how it is seen from now on."""
        self.remark = remark
        self._wake()

    def _wake(self) -> None:
        for listener in self.listeners:
            listener.wake()
