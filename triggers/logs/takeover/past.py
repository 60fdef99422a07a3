"""What the earlier files of an attempt hold, kept small: 16 bytes for a record, whatever its length."""

from __future__ import annotations

import re
import sys
import threading
from array import array
from bisect import bisect_left
from collections.abc import Iterable

from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.takeover.files import Written

# Airflow puts it in the place of a secret (3.3.2, ``_shared/secrets_masker``).
_MASK = "***"
_MASKS = re.compile(r"\*{3,}")  # asterisks of the text's own may stand beside it
# With fewer characters of a masked line left, another line may look the same.
_SEEN_ENOUGH = 8
_ENTRY = 16
_OBJECT = 150
_CLAIM = 1 << 12


class Memory:
    """How much of the past all runs together may keep; in several threads."""

    def __init__(self, size: int) -> None:
        self._left = size
        self._lock = threading.Lock()

    def take(self, size: int) -> bool:
        """Whether that much was left, which is now taken."""
        with self._lock:
            if size > self._left:
                return False
            self._left -= size
            return True

    def give(self, size: int) -> None:
        """Give back what was taken."""
        with self._lock:
            self._left += size


class Crowded(Exception):
    """There is no memory left for the past."""


class _Part:
    """The records of one logger in one file, in the order of their stamps."""

    __slots__ = ("masked", "stamps", "sums")

    def __init__(self) -> None:
        self.stamps = array("q")
        self.sums = array("q")
        self.masked: dict[int, str] = {}


class Past:
    """
    The records that stand in earlier files.

    A record is known by its stamp, its logger and its text (by a hash of 64 bits). The level adds nothing, since every
    record of a run has a millisecond of its own, and it may differ: where Airflow filters DEBUG such a record went out
    as INFO.

    A text in which Airflow masked a secret is not ours any more: see ``could_be``. A record that is not recognized is
    written again, and is masked again, so that Airflow's reader finds it equal and drops it, where the two meet.
    """

    def __init__(self, memory: Memory) -> None:
        self._memory, self._taken = memory, 0
        self._lock = threading.Lock()  # of what follows, while a thread that nobody waits for any more may be learning
        self._closed = False
        self._parts: dict[str, list[_Part]] = {}
        self.count = 0

    def learn(self, records: Iterable[tuple[int, Written]]) -> None:
        """
        Take in one whole file; in a thread. Nothing of it is taken in if reading it fails.

        :raises Crowded: there is no memory left.
        """
        parts: dict[str, _Part] = {}
        claim = _Claim(self._memory)
        count = 0
        try:
            for stamp, record in records:
                part = parts.get(record.logger)
                if part is None:
                    claim.need(_OBJECT)
                    part = parts[record.logger] = _Part()
                # One life of a trigger writes them in order; what stands behind is somebody else's.
                if part.stamps and stamp <= part.stamps[-1]:
                    continue
                claim.need(_ENTRY)
                part.stamps.append(stamp)
                part.sums.append(hash(record.event))
                count += 1
                if _MASK in record.event:
                    claim.need(_OBJECT + sys.getsizeof(record.event))
                    part.masked[stamp] = record.event
        except BaseException:
            claim.give_back()
            raise
        with self._lock:
            if self._closed:
                claim.give_back()
                return
            self._taken += claim.settle()
            self.count += count
            for logger, part in parts.items():
                self._parts.setdefault(logger, []).append(part)

    def holds(self, record: Record) -> bool:
        """Whether an earlier file shows this record."""
        parts = self._parts.get(record.logger)
        return parts is not None and any(_holds(part, record) for part in parts)

    def forget(self, logger: str, stamp_ms: int) -> None:
        """Nothing of that logger up to that stamp will be asked for any more."""
        parts = self._parts.get(logger)
        if parts is None or all(part.stamps[-1] > stamp_ms for part in parts):
            return
        self._parts[logger] = [part for part in parts if part.stamps[-1] > stamp_ms]
        if not self._parts[logger]:
            del self._parts[logger]
        if not self._parts:
            self.close()

    def close(self) -> None:
        """Forget everything. Harmless when repeated."""
        with self._lock:
            self._closed = True
            self._parts.clear()
            taken, self._taken = self._taken, 0
            self._memory.give(taken)


class _Claim:
    """Memory for one file, taken in larger pieces than a record."""

    def __init__(self, memory: Memory) -> None:
        self._memory, self._left, self._taken = memory, 0, 0

    def need(self, size: int) -> None:
        if size > self._left:
            piece = max(size, _CLAIM)
            if not self._memory.take(piece):
                raise Crowded
            self._taken += piece
            self._left += piece
        self._left -= size

    def settle(self) -> int:
        """What was needed; the rest goes back."""
        self._memory.give(self._left)
        self._taken -= self._left
        self._left = 0
        return self._taken

    def give_back(self) -> None:
        self._memory.give(self._taken)


def _holds(part: _Part, record: Record) -> bool:
    at = bisect_left(part.stamps, record.stamp_ms)
    if at == len(part.stamps) or part.stamps[at] != record.stamp_ms:
        return False
    if part.sums[at] == hash(record.text):
        return True
    masked = part.masked.get(record.stamp_ms)
    return masked is not None and could_be(masked, record)


def could_be(masked: str, record: Record) -> bool:
    """
    Whether the record's text, its secrets masked, may be ``masked``.

    It has as many lines, and in each of them stands all that is left of it, in order. Where that is next to nothing
    the answer is no: rather twice than never. A secret of several lines never matches.
    """
    prefix = f"[{record.logger}] "
    seen, whole = masked.split("\n"), record.text.split("\n")
    if len(seen) != len(whole):
        return False
    if seen[0].startswith(prefix) and whole[0].startswith(prefix):
        seen[0], whole[0] = seen[0][len(prefix) :], whole[0][len(prefix) :]
    return all(_line_could_be(one, other) for one, other in zip(seen, whole, strict=True))


def _line_could_be(masked: str, text: str) -> bool:
    if masked == text:  # asterisks of its own, or nothing masked in this line
        return True
    first, *others = _MASKS.split(masked)
    if not others or sum(len(piece.strip()) for piece in (first, *others)) < _SEEN_ENOUGH:
        return False
    *middle, last = others
    end = len(text) - len(last)
    at = len(first)
    if at > end or not text.startswith(first) or not text.endswith(last):
        return False
    for piece in middle:
        at = text.find(piece, at, end)
        if at < 0:
            return False
        at += len(piece)
    return True
