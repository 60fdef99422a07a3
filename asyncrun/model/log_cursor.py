"""
A place in the log of one container, and what a line that is read again is to it.

Kubernetes resumes a log by whole seconds only (trace l3: the fraction of ``sinceTime`` is ignored), so lines of the
last second come twice. They are told apart by their stamps: the latest one seen, and how many lines were seen at it.
"""

from __future__ import annotations

import enum
from datetime import UTC, datetime

import msgspec

SECOND = 10**9
"""Nanoseconds."""

# In no trace stamps are unsorted. But containerd reads stdout and stderr in two threads, and each takes the time
# before it writes, so two neighbours might be. A line that is that much older than one before it is not missed.
_UNSORTED = 10**7  # ns


class LogCursor(msgspec.Struct, frozen=True):
    """
    Up to where one instance of a container (a container id) was read.

    :param first: stamp of the first line that was read, ns since the epoch; tells the logs of two instances apart.
    :param stamp: the latest stamp that was read, None if nothing was read yet.
    :param seen: lines read from the first one with that stamp on. Where stamps are not sorted, later lines with an
        earlier stamp count, but for those that the server leaves out when it resumes.
    """

    first: int | None = None
    stamp: int | None = None
    seen: int = 0

    @property
    def since(self) -> str:
        """Where the next request begins, RFC 3339; empty: with the first line."""
        if self.stamp is None:
            return ""
        return f"{datetime.fromtimestamp(_since(self.stamp), UTC):%Y-%m-%dT%H:%M:%SZ}"


class Fate(enum.Enum):
    """What to do with a line that was read."""

    NEW = "it goes into the task log"
    SEEN = "it is there already"
    GAP = "the cursor's own line is no longer there: lines between it and this one may be missing"


class Resumption:
    """
    Goes on with a log from a cursor: one connection's lines, in order.

    The cursor's own line is read again; what comes after it is new. If it is gone, each line's fate is ``GAP`` until
    ``accept_gap``: they may be another instance's, if the container was restarted meanwhile.

    :param cursor: where the connections before ended.
    :param other: the cursor of the instance before, if it may really be this one's: a connection that was meant for the
        instance before, of which nothing had been read, may have been answered with this one's log. It is, if both
        begin with the same stamp.
    """

    __slots__ = ("_first", "_found", "_left", "_other", "_seen", "_stamp")

    def __init__(self, cursor: LogCursor, other: LogCursor | None = None) -> None:
        self._first, self._stamp, self._seen = cursor.first, cursor.stamp, cursor.seen
        self._other = other if cursor.stamp is None else None
        self._found = cursor.stamp is None
        self._left = 0

    @property
    def cursor(self) -> LogCursor:
        """Where the log was read to."""
        return LogCursor(self._first, self._stamp, self._seen)

    @property
    def found(self) -> bool:
        """Whether the cursor's own line was read again: what comes now is the log that was read before."""
        return self._found

    @property
    def caught_up(self) -> bool:
        """Whether all that was seen was read again."""
        return self._found and self._left <= 0

    def take(self, stamp: int) -> Fate:
        """The fate of the next line. A ``NEW`` one moves the cursor."""
        if self._other is not None:
            self._adopt(stamp, self._other)
        if not self._found:
            # Sorted or not: the cursor's stamp is the latest of all lines up to its own.
            if stamp != self._stamp:
                return Fate.SEEN if self._stamp is not None and stamp < self._stamp else Fate.GAP
            self._found, self._left = True, self._seen
        if self._left > 0:
            self._left -= 1
            return Fate.SEEN
        self._move(stamp)
        return Fate.NEW

    def accept_gap(self) -> None:
        """It is the same instance, so the lines in between were rotated away."""
        self._found, self._left = True, 0

    def _adopt(self, stamp: int, other: LogCursor) -> None:
        self._other = None
        if stamp == other.first:
            self._first, self._stamp, self._seen = other.first, other.stamp, other.seen
            self._found = False

    def _move(self, stamp: int) -> None:
        if self._first is None:
            self._first = stamp
        if self._stamp is None or stamp > self._stamp:
            self._stamp, self._seen = stamp, 1
        elif stamp >= _since(self._stamp) * SECOND:
            self._seen += 1


def _since(stamp: int) -> int:
    return (stamp - _UNSORTED) // SECOND
