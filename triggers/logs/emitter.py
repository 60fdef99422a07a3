"""
The one emitter of an event loop: takes all runs' records to Airflow, as fast as the log socket drains and no faster.

A triggerer moves 65-340 KiB/s of log in all, and a full socket blocks every trigger of the process. So runs hand in
records without waiting, and one task writes them in a fair order while the socket's fill level is low, and no faster
than ``log_emit_rate``.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
from collections.abc import Iterable, Mapping, Sequence

import msgspec

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import Sink
from asyncrun.triggers.logs.fairness import FairQueue, TokenBucket
from asyncrun.triggers.logs.records import JOINED_BYTES, Record
from asyncrun.triggers.logs.run_log import FIRST_SLEEP, LONGEST_SLEEP, RunLog, lines_in

log = logging.getLogger(__name__)

_AFTER_ERROR = 1.0
_BURST = 0.5  # s of log_emit_rate that may go out at once
_TICK = 0.001  # s; asyncio runs a timer a little too early: who waits in a loop must not spin until then
_YIELD_EVERY = 8
# What a run is taken to have had when its log begins, bytes: more than one has that writes a line a second all the
# time, or a thousand logs that are written again would all come before each of its lines.
_NEWCOMER = 8192


class EmitterStatistics(msgspec.Struct, frozen=True):
    """
    :param waited: seconds spent waiting for the socket, in all.
    :param longest_wait: seconds, for one record.
    :param bytes: text of the records, and RECORD_COST each.
    :param queued_bytes: what waits, of all runs, counted like that.
    :param queued_lines: lines that wait, of all runs.
    :param skipped: lines that the limits kept out of the task logs.
    :param failed: records that could not be written: the supervisor is gone.
    """

    runs: int
    records: int
    lines: int
    bytes: int
    waited: float
    longest_wait: float
    queued_bytes: int
    queued_lines: int
    skipped: int
    failed: int


class Emitter:
    """Writes the records of all runs of one event loop in turn. Get it by ``emitter()``."""

    def __init__(self) -> None:
        self._clock = asyncio.get_running_loop().time
        self._open: set[RunLog] = set()
        self._turns: FairQueue[RunLog] = FairQueue(
            self._clock, self._open
        )  # each run with records stands here exactly once
        self._pace = TokenBucket(_BURST, self._clock)
        self._task: asyncio.Task[None] | None = None
        self._memory, self._rate = 0, 1.0
        self.queued_bytes = self._queued_lines = self._skipped = 0
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
        whole: bool = False,
        prefixed: bool = True,
    ) -> RunLog:
        """
        Begin the log of a run.

        :param containers: the followed ones, always in the same order.
        :param where: for a container, where its full log can be read; told where lines are skipped.
        :param prefixed: with several containers, lines begin with the name of their container.
        :param keep: how many last lines of each container ``last_lines`` can give, and 64 KiB of them at most.
        :param whole: keep the very last line of each container as it wrote it, for ``last_line``.
        """
        run_log = RunLog(self, sink, containers, settings, where, keep, whole, prefixed=prefixed)
        self._open.add(run_log)
        self._turns.charge(run_log, _NEWCOMER)
        self._memory, self._rate = settings.log_memory, settings.log_emit_rate
        return run_log

    @property
    def queue_limit(self) -> int:
        """
        For run logs: bytes that one of them may let wait.

        Half of ``log_memory`` is for whoever needs it, the other half is shared evenly; beyond it only those are read
        of whom nothing waits, a small page each.
        """
        half = self._memory // 2
        if self.queued_bytes >= self._memory:
            return 0
        return half // max(1, len(self._open)) if self.sparing else half

    @property
    def sparing(self) -> bool:
        """For run logs: whether memory is short."""
        return self.queued_bytes >= self._memory // 2

    @property
    def written(self) -> int:
        """For run logs: records that were written so far, of all runs."""
        return self._records

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
            queued_lines=self._queued_lines,
            skipped=self._skipped + sum(run_log.skipped for run_log in self._open),
            failed=self._failed,
        )

    def ready(self, run_log: RunLog, records: Iterable[Record], size: int) -> None:
        """For run logs: these records, of that many bytes, wait."""
        self.queued_bytes += size
        self._queued_lines += lines_in(records)
        if not run_log.in_turn:
            run_log.in_turn = True
            self._turns.push(run_log)
        if self._task is None or self._task.done():
            # An empty context: the task must not log into the task log of whoever came first. It ends with its work.
            self._task = asyncio.get_running_loop().create_task(
                self._run(), name="asyncrun-log-emitter", context=contextvars.Context()
            )

    def taken(self, records: Iterable[Record], size: int) -> None:
        """For run logs: these records, of that many bytes, left a queue."""
        self.queued_bytes -= size
        self._queued_lines -= lines_in(records)

    def leave(self, run_log: RunLog) -> None:
        """For run logs: it is closed."""
        self._open.discard(run_log)
        self._skipped += run_log.skipped

    async def _run(self) -> None:
        written = 0
        while self._turns:
            await self._wait_for_room()
            run_log = self._turns.pop()
            if run_log.has_records():
                await self._emit(run_log)
                written += 1
                if written % _YIELD_EVERY == 0:
                    await asyncio.sleep(0)  # a socket that is read fast never makes us wait
            if run_log.has_records():
                self._turns.push(run_log)
            else:
                run_log.in_turn = False

    async def _emit(self, run_log: RunLog) -> None:
        try:
            records, lines, size = await run_log.emit_some()
        except Exception as error:
            self._failed += 1
            if self._failed == 1:
                log.exception("Container output could not be written to Airflow's log; this is said once")
            self._turns.charge(run_log, JOINED_BYTES)  # or it would come first again, and keep all others waiting
            if isinstance(error, OSError):  # the supervisor is gone
                await asyncio.sleep(_AFTER_ERROR)
            return
        self._turns.charge(run_log, size)
        self._pace.take(size, self._rate)
        self._records += records
        self._lines += lines
        self._bytes += size

    async def _wait_for_room(self) -> None:
        """Until whoever comes first may write. Who that is may change meanwhile: a loud run does not book the room."""
        began, pause = self._clock(), FIRST_SLEEP
        while self._turns.first.has_records():
            if self._turns.first.backlog_over():
                await asyncio.sleep(pause)
                pause = min(pause * 2, LONGEST_SLEEP)
            elif (rest := self._pace.wait) > _TICK:
                await asyncio.sleep(rest)
            else:
                break
        waited = self._clock() - began
        self._waited += waited
        self._longest = max(self._longest, waited)


emitter = PerLoop(Emitter)
"""``emitter()`` is the emitter of the running event loop."""
