"""One run's way into its task log: its lines become records, which wait for their turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Protocol

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import Sink
from asyncrun.triggers.logs.records import Record, RecordBuilder
from asyncrun.triggers.logs.text import size_of
from asyncrun.triggers.wakeup import Wakeup

# A run's reader pauses above it, and earlier where memory is short: see ``Emitter.queue_limit``.
RUN_QUEUE = 1 << 20
# What is kept of a container's last lines for the exception; each may have 16 KiB.
_LAST_BYTES = 1 << 16
# What a record costs beyond its text, in our memory and, as JSON, in Airflow's log channel; bytes, roughly.
RECORD_COST = 128
# The supervisor reads about 50 times a second: looking more often than every few milliseconds is of no use.
FIRST_SLEEP, LONGEST_SLEEP = 0.002, 0.05
# Where the fill level is not known, one thread hop takes that many records.
_BATCH = 32


class Owner(Protocol):
    """Who writes the records of all runs: the emitter."""

    @property
    def queue_limit(self) -> int:
        """Bytes that one run may let wait."""

    @property
    def sparing(self) -> bool:
        """Whether memory is short."""

    @property
    def written(self) -> int:
        """Records that were written so far, of all runs."""

    def ready(self, run_log: RunLog, records: Iterable[Record], size: int) -> None:
        """These records, of that many bytes, wait."""

    def taken(self, records: Iterable[Record], size: int) -> None:
        """These records, of that many bytes, left a queue."""

    def leave(self, run_log: RunLog) -> None:
        """It is closed."""


class RunLog:
    """One run's way into its task log. Made by ``Emitter.open``; belongs to that event loop."""

    __slots__ = (
        "_backlog",
        "_builder",
        "_final",
        "_keep",
        "_last",
        "_last_bytes",
        "_owner",
        "_queue",
        "_queued",
        "_sink",
        "_writing",
        "_written",
        "closed",
        "in_turn",
        "served",
    )

    def __init__(
        self,
        owner: Owner,
        sink: Sink,
        containers: Sequence[str],
        settings: Settings,
        where: Mapping[str, str] | None,
        keep: int,
        whole: bool,
        *,
        prefixed: bool = True,
    ) -> None:
        self._owner, self._sink, self._backlog = owner, sink, settings.log_backlog
        self._builder = RecordBuilder(containers, settings, where=where, prefixed=prefixed)
        # Lists, though they are used as queues: an empty deque has 0.7 KiB, and a run had six of them.
        self._keep = max(1, keep)
        self._last: dict[str, list[str]] = {name: [] for name in containers}
        self._last_bytes = dict.fromkeys(containers, 0)
        self._final: dict[str, tuple[int, str]] | None = {} if whole else None
        self._queue: list[Record] = []
        self._queued = 0
        self._written = Wakeup()  # something left the queue for good
        self._writing = False
        self.closed = False
        self.in_turn = False  # the emitter's: whether it stands in the queue of turns
        self.served = 0.0  # the emitter's: what it has had so far

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take lines, each container's in its order. Never waits; look at ``full`` before reading more."""
        taken = list(lines)
        if self._final is not None:
            for line in taken:
                # By its time: CloudWatch may show a line after later ones.
                if line.container not in self._final or line.time_ms >= self._final[line.container][0]:
                    self._final[line.container] = (line.time_ms, line.text)
        self._enqueue(self._builder.add(taken, self._heard))

    def _heard(self, container: str, text: str) -> None:
        last = self._last[container]
        last.append(text)
        self._last_bytes[container] += len(text)
        while len(last) > self._keep or (self._last_bytes[container] > _LAST_BYTES and len(last) > 1):
            self._last_bytes[container] -= len(last.pop(0))

    def settle(self, container: str) -> None:
        """The source has read to its end what it took in together: what waited for company goes out."""
        self._enqueue(self._builder.settle(container))

    @property
    def full(self) -> bool:
        """Whether the reader should pause until records went out. What waits is bounded by it and a page of lines."""
        return self._queued > min(RUN_QUEUE, self._owner.queue_limit)

    @property
    def sparing(self) -> bool:
        """Whether the reader should take small pages: memory is short."""
        return self._owner.sparing

    @property
    def skipped(self) -> int:
        """Lines that the limits kept out of the task log."""
        return self._builder.skipped

    def last_lines(self, container: str, count: int) -> list[str]:
        """The last lines of a container, at most as many as ``keep``, cut and cleaned as the task log shows them."""
        kept = self._last[container]
        return kept[len(kept) - min(count, len(kept)) :]

    def last_line(self, container: str) -> str | None:
        """The last line of a container as it wrote it, None if it wrote nothing or whole ones are not kept."""
        return self._final[container][1] if self._final and container in self._final else None

    async def finish(self, timeout: float) -> bool:
        """
        Write the rest, and wait until the supervisor has taken it.

        What is still in the socket when a trigger ends lands in the triggerer's own output.

        :param timeout: seconds in which nothing was written, of no run: where Airflow is slow, as when a triggerer has
            taken over many runs and writes their logs again, the rest only comes later.
        :return: False if the log channel is stuck; the rest may not show in the task log.
        """
        self._enqueue(self._builder.flush())
        loop = asyncio.get_running_loop()
        give_up_at, pause, written = loop.time() + timeout, FIRST_SLEEP, self._owner.written
        while self._queue or self._writing or not self._sink.has_passed():
            if self._owner.written != written:
                give_up_at, written = loop.time() + timeout, self._owner.written
            if loop.time() >= give_up_at:
                return False
            # Not asyncio.timeout: see asyncrun.triggers.wakeup.
            if self._queue or self._writing:
                await self._written.wait(give_up_at - loop.time())
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_SLEEP)
        return True

    def close(self) -> None:
        """Leave the emitter; what still waits is dropped. Harmless when repeated."""
        if not self.closed:
            self.closed = True
            self._owner.leave(self)
            self._owner.taken(self._queue, self._queued)
            self._queue.clear()
            self._queued = 0
            self._written.set()

    def _enqueue(self, records: list[Record]) -> None:
        if self.closed or not (records := self._sink.new(records)):
            return
        size = sum(map(_weight, records))
        self._queue.extend(records)
        self._queued += size
        self._owner.ready(self, records, size)

    def has_records(self) -> bool:
        """For the emitter: whether something waits."""
        return bool(self._queue)

    async def emit_some(self) -> tuple[int, int, int]:
        """For the emitter: write the next records; how many, their lines and their bytes."""
        count = 1 if self._sink.fill() is not None else _BATCH
        batch = self._queue[:count]
        del self._queue[:count]
        size = sum(map(_weight, batch))
        self._queued -= size
        self._owner.taken(batch, size)
        self._writing = True
        try:
            await self._sink.emit(batch)
        finally:
            self._writing = False
            self._written.set()
        return len(batch), lines_in(batch), size

    def backlog_over(self) -> bool:
        """For the emitter: whether the socket must drain before this run may write."""
        return (self._sink.fill() or 0) > self._backlog


def lines_in(records: Iterable[Record]) -> int:
    """How many lines these records show."""
    return sum(record.lines for record in records)


def _weight(record: Record) -> int:
    return size_of(record.text) + RECORD_COST
