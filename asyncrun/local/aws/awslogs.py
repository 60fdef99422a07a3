"""The awslogs log driver: one thread reads the output of every container and flushes it to CloudWatch.

As in Docker's driver a line is stamped when it is read, empty lines make no event, the partial last line is delivered
at the end, and what is longer than `MAX_EVENT_BYTES` is split there (Docker's 16 KiB splitting does not concern this
driver: it asks for a buffer of the event's size). A stream comes into being with its first flush.
"""

from __future__ import annotations

import contextlib
import os
import selectors
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field

MAX_EVENT_BYTES = 262_144 - 26
"""CloudWatch's 256 KiB less the 26 bytes that it counts per event."""

_BATCH_EVENTS = 10_000
_BATCH_BYTES = 1 << 20
_CHUNK = 1 << 16

Sink = Callable[[list[tuple[int, str]]], None]


@dataclass(slots=True, eq=False)
class _Source:
    sink: Sink
    partial: bytearray = field(default_factory=bytearray)
    events: list[tuple[int, str]] = field(default_factory=list)
    size: int = 0
    closed: threading.Event = field(default_factory=threading.Event)
    flush_at: float = 0.0


class LogPump:
    """Reads the pipes that are given to `follow` and passes their lines to a sink, in batches.

    :param flush_interval: seconds between two flushes of a container's lines.
    """

    def __init__(self, flush_interval: float) -> None:
        self._interval = flush_interval
        self._selector = selectors.DefaultSelector()
        self._new: list[tuple[int, _Source]] = []
        self._abandoned: list[int] = []
        self._dirty: set[_Source] = set()  # those with lines that are not flushed yet
        self._next_look = 0.0
        self._closing = False
        self._lock = threading.Lock()
        self._wake_read, self._wake_write = os.pipe()
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread = threading.Thread(target=self._run, name="awslogs", daemon=True)
        self._thread.start()

    def follow(self, fd: int, sink: Sink) -> Callable[[float], None]:
        """Reads ``fd`` to its end and closes it.

        :param sink: gets ``(milliseconds, message)`` pairs; called in the pump's thread; must not raise.
        :returns: a function that waits for the end and the last flush, at most the given seconds, then gives ``fd`` up
            (a daemon that left the container's process group may hold it open).
        """
        source = _Source(sink)
        os.set_blocking(fd, False)
        with self._lock:
            self._new.append((fd, source))
        self._wake()

        def finish(timeout: float) -> None:
            if not source.closed.wait(timeout):
                with self._lock:
                    self._abandoned.append(fd)
                self._wake()
                source.closed.wait(timeout)

        return finish

    def close(self) -> None:
        """Ends the thread and gives its own descriptors up; pipes that are still followed are left alone."""
        self._closing = True
        self._wake()
        self._thread.join()
        self._selector.close()
        os.close(self._wake_read)
        os.close(self._wake_write)

    def _wake(self) -> None:
        os.write(self._wake_write, b"x")

    def _run(self) -> None:
        while not self._closing:
            for key, _ in self._selector.select(self._timeout()):
                if key.data is None:
                    os.read(self._wake_read, _CHUNK)
                    self._admit()
                else:
                    self._read(key.fd, key.data)
            self._flush_due()

    def _timeout(self) -> float | None:
        return max(0.0, self._next_look - time.monotonic()) if self._dirty else None

    def _admit(self) -> None:
        with self._lock:
            new, self._new = self._new, []
            abandoned, self._abandoned = self._abandoned, []
        for fd, source in new:
            source.flush_at = time.monotonic() + self._interval
            self._selector.register(fd, selectors.EVENT_READ, source)
        for fd in abandoned:
            with contextlib.suppress(KeyError):
                self._close(fd, self._selector.get_key(fd).data)

    def _read(self, fd: int, source: _Source) -> None:
        try:
            chunk = os.read(fd, _CHUNK)
        except BlockingIOError:
            return
        now = int(time.time() * 1000)
        if not chunk:
            self._close(fd, source)
            return
        *lines, rest = (source.partial + chunk).split(b"\n") if b"\n" in chunk else (source.partial + chunk,)
        for line in lines:
            self._add(source, now, line)
        while len(rest) > MAX_EVENT_BYTES:
            cut = _boundary(rest, MAX_EVENT_BYTES)
            self._add(source, now, rest[:cut])
            rest = rest[cut:]
        source.partial = rest
        if source.size >= _BATCH_BYTES or len(source.events) >= _BATCH_EVENTS:
            self._flush(source)

    def _add(self, source: _Source, now: int, line: bytearray) -> None:
        if line:
            self._dirty.add(source)
        while line:
            cut = _boundary(line, MAX_EVENT_BYTES)
            source.events.append((now, line[:cut].decode("utf-8", "replace")))
            source.size += cut
            line = line[cut:]

    def _close(self, fd: int, source: _Source) -> None:
        self._selector.unregister(fd)
        os.close(fd)
        self._add(source, int(time.time() * 1000), source.partial)
        self._flush(source)
        source.closed.set()

    def _flush_due(self) -> None:
        now = time.monotonic()
        if now < self._next_look:
            return
        self._next_look = now + self._interval / 10  # not at each line: hundreds of containers may write at once
        for source in [source for source in self._dirty if source.flush_at <= now]:
            self._flush(source)

    def _flush(self, source: _Source) -> None:
        if source.events:
            source.sink(source.events)
        source.events, source.size = [], 0
        self._dirty.discard(source)
        source.flush_at = time.monotonic() + self._interval


def _boundary(line: bytearray, limit: int) -> int:
    """Where to cut ``line`` so that at most ``limit`` bytes stand before it and no UTF-8 character is torn."""
    if len(line) <= limit:
        return len(line)
    cut = limit
    while cut > limit - 4 and line[cut] & 0xC0 == 0x80:
        cut -= 1
    return cut
