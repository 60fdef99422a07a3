"""
From lines to the records of Airflow's task log: a pure function of what each container wrote.

After a triggerer died the next one writes the whole log again, and Airflow's reader drops records that are equal. So
the same lines must give the same records, whatever the chunks they arrive in and however containers interleave: no
wall clock, no pressure, no state across containers. Every record owns its millisecond, because the reader cuts
stamps to milliseconds and collapses equal neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta

import msgspec

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.governor import Governor, Shown
from asyncrun.triggers.logs.text import shown, size_of

JOINED_LINES = 100
JOINED_BYTES = 8192

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_LAST_MS = 253_402_300_799_999  # 9999-12-31: what a datetime can hold


class Record(msgspec.Struct, frozen=True, gc=False):
    """
    One entry of the task log: lines of one container that belong together.

    :param stamp_ms: its own millisecond; no other record of the run has it.
    :param lines: how many lines of the container it holds.
    """

    stamp_ms: int
    level: str
    logger: str
    text: str
    lines: int

    @property
    def timestamp(self) -> str:
        """The stamp as Airflow's log files spell it."""
        moment = _EPOCH + timedelta(milliseconds=min(max(self.stamp_ms, 0), _LAST_MS))
        return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


class _Compact(msgspec.Struct, frozen=True, gc=False):
    timestamp: str
    level: str
    event: str
    logger: str
    trigger_id: int


def compact(record: Record, trigger_id: int) -> bytes:
    """
    The record as one line of the triggerer's log channel, without the line's end.

    Exactly these fields: the file, line and ids that structlog would add make records of two releases unequal, and
    cost half of the throughput.
    """
    return msgspec.json.encode(_Compact(record.timestamp, record.level, record.text, record.logger, trigger_id))


class RecordBuilder:
    """
    Joins the lines of one run into records.

    Consecutive lines of one container, time slot, level and batch form one record, so order within a container is kept.
    A record goes out when it can grow no more: another slot, level or batch began, it is full, the source has read the
    batch to its end (``settle``), or the log is over (``flush``). Lines that come after their slot went out take the
    next stamps.

    :param containers: the followed ones, always in the same order (that of the definition).
    :param where: for a container, where its full log can be read; ends the notice of skipped lines.
    :param prefixed: with several containers, a record's text begins with the name of its container.
    """

    __slots__ = ("_governors", "_joiners", "_limit")

    def __init__(
        self,
        containers: Sequence[str],
        settings: Settings,
        *,
        where: Mapping[str, str] | None = None,
        prefixed: bool = True,
    ) -> None:
        count = max(1, len(containers))
        slot = -(-settings.log_slot // count) * count
        prefixed = prefixed and len(containers) > 1
        self._limit = settings.log_line_limit
        self._joiners = {
            name: _Joiner(name, index, count, slot, f"[{name}] " if prefixed else "")
            for index, name in enumerate(containers)
        }
        self._governors = {name: Governor(settings, count, (where or {}).get(name, ""), name) for name in containers}

    def add(self, lines: Iterable[LogLine], heard: Callable[[str, str], None] | None = None) -> list[Record]:
        """
        Take lines, each container's in the order it wrote them, and return the records that are complete.

        :param heard: told of every line: its container, and its text as it is shown if it is not skipped.
        :raises KeyError: a line of a container that is not followed.
        """
        out: list[Record] = []
        for line in lines:
            joiner, text = self._joiners[line.container], shown(line.text, self._limit)
            if heard is not None:
                heard(line.container, text)
            for one in self._governors[line.container].admit(line.time_ms, line.level, text, line.batch):
                joiner.add(one, out)
        return out

    def settle(self, container: str) -> list[Record]:
        """What is complete because the source has read all of what it took in together, up to now."""
        out: list[Record] = []
        self._joiners[container].close(out)
        return out

    def flush(self) -> list[Record]:
        """What is left at the end of the log, with the last lines that were held back."""
        out: list[Record] = []
        for name, joiner in self._joiners.items():
            for one in self._governors[name].finish():
                joiner.add(one, out)
            joiner.close(out)
        return out

    @property
    def skipped(self) -> int:
        """Lines that no record shows, so far."""
        return sum(governor.skipped for governor in self._governors.values())


class _Joiner:
    """The open record of one container."""

    __slots__ = (
        "_batch",
        "_bytes",
        "_index",
        "_last",
        "_level",
        "_lines",
        "_name",
        "_prefix",
        "_slot",
        "_slot_ms",
        "_step",
    )

    def __init__(self, name: str, index: int, count: int, slot_ms: int, prefix: str) -> None:
        self._name, self._index, self._step, self._slot_ms, self._prefix = name, index, count, slot_ms, prefix
        self._last = -count
        self._slot, self._level, self._batch, self._bytes = 0, "", 0, 0
        self._lines: list[str] = []

    def add(self, line: Shown, out: list[Record]) -> None:
        slot, size = max(line.time_ms, 0) // self._slot_ms, size_of(line.text) + 1
        if self._lines and (
            line.notice
            or slot != self._slot
            or line.level != self._level
            or line.batch != self._batch
            or len(self._lines) >= JOINED_LINES
            or self._bytes + size > JOINED_BYTES
        ):
            self.close(out)
        self._slot, self._level, self._batch = slot, line.level, line.batch
        self._bytes += size
        self._lines.append(line.text)
        if line.notice:
            self.close(out)

    def close(self, out: list[Record]) -> None:
        if not self._lines:
            return
        # index + a multiple of the number of containers: no two containers ever share a millisecond.
        self._last = max(self._slot * self._slot_ms + self._index, self._last + self._step)
        text = self._prefix + "\n".join(self._lines)
        out.append(Record(self._last, self._level, self._name, text, len(self._lines)))
        self._lines, self._bytes = [], 0
