"""
The way into Airflow's task log: all that asyncrun knows of Airflow's private log channel stands here.

In the triggerer structlog's logger factory holds an unbuffered binary file on a socket to the supervisor, which
routes each line of JSON by its ``trigger_id`` (airflow 3.3.2: ``sdk/execution_time/supervisor.py``
``_configure_logs_over_json_channel`` and ``jobs/triggerer_job_runner.py`` ``_process_log_messages_from_subprocess``).
A full socket blocks every trigger of the process, so its fill level is what the emitter steers by. Where any of this
is not as expected (a worker, ``dag.test()``, another Airflow) records take structlog's public way, in a thread.
"""

from __future__ import annotations

import asyncio
import contextlib
import fcntl
import io
import os
import select
import socket
import stat
import struct
import termios
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from typing import Any, Protocol

import structlog

from asyncrun.triggers.logs.records import Record, compact

# Written from the event loop only if the socket takes it at once: a quarter of its buffer. Linux's default is 208 KiB.
_INLINE_SHARE = 4
_NO_DEBUG = {"debug": "info"}


class Sink(Protocol):
    """Takes records of one run to its task log."""

    def fill(self) -> int | None:
        """Bytes of kernel memory that wait for Airflow's supervisor, of all runs; None where it cannot be known."""

    def has_passed(self) -> bool:
        """
        Whether the supervisor has taken all that was written here; True where that cannot be known.

        What it has not taken when it hears that the trigger has ended it writes elsewhere: of a short run, everything.
        """

    def new(self, records: list[Record]) -> list[Record]:
        """Those that ``emit`` would write: what stands in the log already need not wait for its turn."""

    async def emit(self, records: Sequence[Record]) -> None:
        """
        Write the records, whole and in order, without blocking the event loop.

        :raises OSError: the supervisor is gone.
        """


def open_sink(trigger_id: int | None) -> Sink:
    """
    The best way to the task log that this process has.

    :param trigger_id: of the trigger whose task log it is; None in a worker and in ``dag.test()``.
    """
    if trigger_id is not None and (channel := _channel()) is not None:
        return _ChannelSink(trigger_id, *channel)
    return _PlainSink(trigger_id)


def _channel() -> tuple[io.RawIOBase, AbstractContextManager[Any]] | None:
    """The socket file and the lock under which structlog writes to it; None where there is no such thing."""
    factory = structlog.get_config()["logger_factory"]
    file = getattr(factory, "io", None)
    if not isinstance(file, io.RawIOBase):
        return None
    try:
        if not stat.S_ISSOCK(os.fstat(file.fileno()).st_mode):
            return None
        lock: Any = getattr(factory("asyncrun"), "_lock", None)
    except (OSError, TypeError, ValueError):
        return None
    return (file, lock) if hasattr(lock, "__enter__") else None


class _Written:
    """How much kernel memory all sinks of this process have filled so far; less where it was emptied meanwhile."""

    total = 0


class _ChannelSink:
    """Compact records, written straight to the socket: 2.2 times the lines per second of structlog."""

    __slots__ = ("_before_us", "_blocking", "_file", "_inline", "_lock", "_looked", "_rename", "_trigger_id")

    def __init__(self, trigger_id: int, file: io.RawIOBase, lock: AbstractContextManager[Any]) -> None:
        self._trigger_id, self._file, self._lock = trigger_id, file, lock
        self._rename = {} if _shows_debug() else _NO_DEBUG
        fd = file.fileno()
        with socket.socket(fileno=os.dup(fd)) as twin:
            self._inline = twin.getsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF) // _INLINE_SHARE
        self._blocking = os.get_blocking(fd)
        self._before_us = 0  # that much at most was to be read when we last looked, until our last record was
        self._looked = (0, 0)  # ``fill()`` and ``_Written.total``, when we last looked

    def has_passed(self) -> bool:
        # Nothing overtakes in the socket. What other writers added since the last look hides what was read meanwhile,
        # never the other way round; several looks find out all the same.
        fill, total = self.fill() or 0, _Written.total
        self._before_us -= max(0, self._looked[0] + total - self._looked[1] - fill)
        self._looked = (fill, total)
        return fill == 0 or self._before_us <= 0

    def fill(self) -> int | None:
        try:
            answer = fcntl.ioctl(self._file.fileno(), termios.TIOCOUTQ, b"\0\0\0\0")
        except (OSError, ValueError):  # not Linux, or closed
            return None
        return int(struct.unpack("i", answer)[0])

    def new(self, records: list[Record]) -> list[Record]:
        return records

    async def emit(self, records: Sequence[Record]) -> None:
        for record in records:
            shown = self._rename.get(record.level)
            data = compact(_with_level(record, shown) if shown else record, self._trigger_id) + b"\n"
            if self._blocking and len(data) <= self._inline and self.fill() is not None:
                self._write(data)
            else:
                await asyncio.to_thread(self._write, data)

    def _write(self, data: bytes) -> None:
        """All of it, or an error: an unbuffered file may take less than it was given (a signal, a non-blocking fd)."""
        rest = memoryview(data)
        with self._lock:  # nobody else's record may come in between
            before = self.fill() or 0
            while rest:
                taken = self._file.write(rest)
                if taken is None:  # non-blocking and full
                    _wait_writable(self._file.fileno())
                else:
                    rest = rest[taken:]
            after = self.fill() or 0
            _Written.total += max(0, after - before)
            self._before_us, self._looked = after, (after, _Written.total)


class _PlainSink:
    """Plain structlog: keeps the source's time where structlog is configured for it, as Airflow's is."""

    def __init__(self, trigger_id: int | None) -> None:
        # An explicit trigger_id routes a record from any context, should this be a triggerer of another release.
        self._fields: dict[str, Any] = {} if trigger_id is None else {"trigger_id": trigger_id}

    def has_passed(self) -> bool:
        return True

    def fill(self) -> int | None:
        return None

    def new(self, records: list[Record]) -> list[Record]:
        return records

    async def emit(self, records: Sequence[Record]) -> None:
        # One thread hop at a time and per batch: order is kept, and the loop goes on where the log is slow.
        await asyncio.to_thread(self._write, list(records))

    def _write(self, records: Sequence[Record]) -> None:
        for record in records:
            log = structlog.get_logger(record.logger)
            level = record.level if record.level != "debug" or _shows_debug(log) else "info"
            write: Callable[..., Any] = getattr(log, level)
            write(record.text, timestamp=record.timestamp, **self._fields)


def _shows_debug(log: Any = None) -> bool:
    """
    Whether Airflow's configured level lets DEBUG through.

    A container's output is the task's output: where DEBUG is filtered such lines go out as INFO and are not lost.
    """
    enabled = getattr(structlog.get_logger() if log is None else log, "is_enabled_for", None)
    return bool(enabled(10)) if enabled is not None else True


def _with_level(record: Record, level: str) -> Record:
    return Record(record.stamp_ms, level, record.logger, record.text, record.lines)


def _wait_writable(fd: int) -> None:
    poller = select.poll()
    poller.register(fd, select.POLLOUT)
    with contextlib.suppress(InterruptedError):
        poller.poll(1000)
