"""
The one emitter of an event loop: takes all runs' records to Airflow, as fast as the log socket drains and no faster.

A triggerer moves 65-340 KiB/s of log in all, and a full socket blocks every trigger of the process. So runs hand in
records without waiting, and one task writes them in turn while the socket's fill level is low.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import time
from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from weakref import WeakKeyDictionary

import msgspec

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import Sink
from asyncrun.triggers.logs.records import Record, RecordBuilder
from asyncrun.triggers.logs.text import clean, cut, size_of
from asyncrun.triggers.signal import Signal

log = logging.getLogger(__name__)

# A run's reader pauses above the first; above the second when all runs together hold more than the third.
RUN_QUEUE = 1 << 20
RUN_QUEUE_TIGHT = 1 << 16
ALL_QUEUES = 64 << 20
# The supervisor reads about 50 times a second: looking more often than every few milliseconds is of no use.
_FIRST_SLEEP, _LONGEST_SLEEP = 0.002, 0.05
_AFTER_ERROR = 1.0
# Where the fill level is not known, one thread hop takes that many records.
_BATCH = 32
_YIELD_EVERY = 8


class EmitterStatistics(msgspec.Struct, frozen=True):
    """
    :param waited: seconds spent waiting for the socket, in all.
    :param longest_wait: seconds, for one record.
    :param queued_bytes: text that waits, of all runs.
    :param failed: records that could not be written: the supervisor is gone.
    """

    runs: int
    records: int
    lines: int
    bytes: int
    waited: float
    longest_wait: float
    queued_bytes: int
    failed: int


class RunLog:
    """One run's way into its task log. Made by ``Emitter.open``; belongs to that event loop."""

    def __init__(
        self,
        owner: Emitter,
        sink: Sink,
        containers: Sequence[str],
        settings: Settings,
        where: Mapping[str, str] | None,
        keep: int,
    ) -> None:
        self._owner, self._sink, self._backlog = owner, sink, settings.log_backlog
        self._limit = settings.log_line_limit
        self._builder = RecordBuilder(containers, settings, where=where)
        self._last: dict[str, deque[str]] = {name: deque(maxlen=max(1, keep)) for name in containers}
        self._final: dict[str, str] = {}
        self._queue: deque[Record] = deque()
        self._queued = 0
        self._written = Signal()  # something left the queue for good
        self._writing = False
        self.closed = False
        self.in_turn = False  # the emitter's: whether it stands in the queue of turns
        self.lines = 0

    def add(self, lines: Iterable[LogLine]) -> None:
        """Take lines, each container's in its order. Never waits; look at ``full`` before reading more."""
        taken = list(lines)
        for line in taken:
            text = line.text
            self._last[line.container].append(text if len(text) <= self._limit else cut(clean(text), self._limit))
            self._final[line.container] = text
        self.lines += len(taken)
        self._enqueue(self._builder.add(taken))

    def advance(self, time_ms: int, container: str | None = None) -> None:
        """The source has nothing more from before ``time_ms``: what waited for company goes out."""
        self._enqueue(self._builder.advance(time_ms, container))

    def settle(self, container: str) -> None:
        """The source has read to its end what it took in together: what waited for company goes out."""
        self._enqueue(self._builder.settle(container))

    @property
    def full(self) -> bool:
        """Whether the reader should pause until records went out. Memory is bounded by it and one page of lines."""
        return self._queued > RUN_QUEUE or (self._queued > RUN_QUEUE_TIGHT and self._owner.queued_bytes > ALL_QUEUES)

    @property
    def skipped(self) -> int:
        """Lines that the limits kept out of the task log."""
        return self._builder.skipped

    def last_lines(self, container: str, count: int) -> list[str]:
        """The last lines of a container, at most as many as ``keep``, cut and cleaned as the task log shows them."""
        kept = list(self._last[container])
        return [clean(text) for text in kept[len(kept) - min(count, len(kept)) :]]

    def last_line(self, container: str) -> str | None:
        """The last line of a container as it wrote it, None if it wrote nothing: what ``do_xcom_push`` stores."""
        return self._final.get(container)

    async def finish(self, timeout: float) -> bool:
        """
        Write the rest, and wait until the log socket is at or below ``log_backlog``.

        What is still in the socket when a trigger ends lands in the triggerer's own output.

        :param timeout: seconds.
        :return: False if the time was not enough; the rest may not show in the task log.
        """
        self._enqueue(self._builder.flush())
        loop = asyncio.get_running_loop()
        give_up_at, pause = loop.time() + timeout, _FIRST_SLEEP
        while self._queue or self._writing or (self._sink.fill() or 0) > self._backlog:
            if loop.time() >= give_up_at:
                return False
            # Not asyncio.timeout: see asyncrun.triggers.signal.
            if self._queue or self._writing:
                await self._written.wait(give_up_at - loop.time())
            else:
                await asyncio.sleep(pause)
                pause = min(pause * 2, _LONGEST_SLEEP)
        return True

    def close(self) -> None:
        """Leave the emitter; what still waits is dropped. Harmless when repeated."""
        if not self.closed:
            self.closed = True
            self._owner.leave(self)
            self._owner.taken(self._queued)
            self._queue.clear()
            self._queued = 0
            self._written.set()

    def _enqueue(self, records: list[Record]) -> None:
        if not records or self.closed:
            return
        size = sum(map(_weight, records))
        self._queue.extend(records)
        self._queued += size
        self._owner.ready(self, size)

    def has_records(self) -> bool:
        """For the emitter: whether something waits."""
        return bool(self._queue)

    async def emit_some(self) -> tuple[int, int, int]:
        """For the emitter: write the next records; how many, their lines and their bytes."""
        count = 1 if self._sink.fill() is not None else _BATCH
        batch = [self._queue.popleft() for _ in range(min(count, len(self._queue)))]
        size = sum(map(_weight, batch))
        self._queued -= size
        self._owner.taken(size)
        self._writing = True
        try:
            await self._sink.emit(batch)
        finally:
            self._writing = False
            self._written.set()
        return len(batch), sum(record.lines for record in batch), size

    def backlog_over(self) -> bool:
        """For the emitter: whether the socket must drain before this run may write."""
        return (self._sink.fill() or 0) > self._backlog


class Emitter:
    """Writes the records of all runs of one event loop in turn. Get it by ``emitter()``."""

    def __init__(self) -> None:
        self._open: set[RunLog] = set()
        self._turns: deque[RunLog] = deque()  # each run with records stands here exactly once
        self._task: asyncio.Task[None] | None = None
        self.queued_bytes = 0
        self._records = self._lines = self._bytes = self._failed = 0
        self._waited = self._longest = 0.0

    def open(
        self,
        sink: Sink,
        containers: Sequence[str],
        settings: Settings,
        *,
        where: Mapping[str, str] | None = None,
        keep: int = 100,
    ) -> RunLog:
        """
        Begin the log of a run.

        :param containers: the followed ones, always in the same order.
        :param where: for a container, where its full log can be read; told where lines are skipped.
        :param keep: how many last lines of each container ``last_lines`` can give.
        """
        run_log = RunLog(self, sink, containers, settings, where, keep)
        self._open.add(run_log)
        return run_log

    def statistics(self) -> EmitterStatistics:
        """Counts since the loop began."""
        return EmitterStatistics(
            runs=len(self._open),
            records=self._records,
            lines=self._lines,
            bytes=self._bytes,
            waited=self._waited,
            longest_wait=self._longest,
            queued_bytes=self.queued_bytes,
            failed=self._failed,
        )

    def ready(self, run_log: RunLog, size: int) -> None:
        """For run logs: records of that many bytes wait."""
        self.queued_bytes += size
        if not run_log.in_turn:
            run_log.in_turn = True
            self._turns.append(run_log)
        if self._task is None or self._task.done():
            # An empty context: the task must not log into the task log of whoever came first. It ends with its work.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name="asyncrun-log-emitter", context=contextvars.Context()
            )

    def taken(self, size: int) -> None:
        """For run logs: that many bytes left a queue."""
        self.queued_bytes -= size

    def leave(self, run_log: RunLog) -> None:
        """For run logs: it is closed."""
        self._open.discard(run_log)

    async def _run(self) -> None:
        written = 0
        while self._turns:
            run_log = self._turns.popleft()
            await self._wait_for_room(run_log)
            if run_log.has_records():
                await self._emit(run_log)
                written += 1
                if written % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)  # a socket that is read fast never makes us wait
            if run_log.has_records():
                self._turns.append(run_log)
            else:
                run_log.in_turn = False

    async def _emit(self, run_log: RunLog) -> None:
        try:
            records, lines, size = await run_log.emit_some()
        except Exception:
            self._failed += 1
            if self._failed == 1:
                log.exception("Container output could not be written to Airflow's log; this is said once")
            await asyncio.sleep(_AFTER_ERROR)
            return
        self._records += records
        self._lines += lines
        self._bytes += size

    async def _wait_for_room(self, run_log: RunLog) -> None:
        if not run_log.backlog_over():
            return
        began, pause = time.monotonic(), _FIRST_SLEEP
        while run_log.has_records() and run_log.backlog_over():
            await asyncio.sleep(pause)
            pause = min(pause * 2, _LONGEST_SLEEP)
        waited = time.monotonic() - began
        self._waited += waited
        self._longest = max(self._longest, waited)


def _weight(record: Record) -> int:
    return size_of(record.text)


_EMITTERS: WeakKeyDictionary[asyncio.AbstractEventLoop, Emitter] = WeakKeyDictionary()


def emitter() -> Emitter:
    """The emitter of the running event loop."""
    return _EMITTERS.setdefault(asyncio.get_running_loop(), Emitter())
