"""
The log file of a container, as a kubelet gives it out with ``timestamps=true``.

containerd reads both pipes line by line, drops the ``\r`` before a ``\n``, stamps a line when it has read it, cuts what
is longer than 16 KiB into pieces, and keeps a partial line until it is completed or its pipe ends (traces l_odd_output,
l2_slow_partial_line). The kubelet puts the pieces together again: what follows a piece has no stamp of its own.
"""

# ruff: noqa: PTH123
# Paths are strings here: this runs once for every container.

from __future__ import annotations

import os
import time

PIECE = 16_384
"""Bytes after which containerd cuts a line."""


class CriLog:
    """
    Writes the file at ``path``. Stamps are unique and sorted, over both streams.

    A kubelet begins a new file now and then, and gives out that one only, while who follows the log from before reads
    on (trace q_log_rotation). Here it stays one file, and ``start`` is where the present part of it begins.

    :param limit: bytes after which a new part begins.
    """

    def __init__(self, path: str, limit: int) -> None:
        self._limit = limit
        self._fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o640)
        self._partial: dict[int, bytearray] = {}
        self._buffer: list[bytes] = []
        self._buffered = 0
        self._line_begins = True
        self._last = 0
        self._second, self._second_text = -1, b""
        self.size = 0
        self.start = 0

    def feed(self, stream: int, data: bytes, now: int) -> None:
        """Take what was read from ``stream`` at ``now`` (nanoseconds since the epoch)."""
        partial = self._partial.setdefault(stream, bytearray())
        *lines, rest = data.split(b"\n")
        for line in lines:
            if partial:
                partial += line
                text = bytes(partial)
                partial.clear()
            else:
                text = line
            if text.endswith(b"\r"):
                text = text[:-1]
            self._line(text, now)
        partial += rest
        while len(partial) > PIECE:
            self._piece(bytes(partial[:PIECE]), now)
            del partial[:PIECE]

    def end(self, stream: int, now: int) -> None:
        """The stream ended: a partial line is written as it is."""
        partial = self._partial.pop(stream, None)
        if partial:
            self._piece(bytes(partial), now)

    def flush(self) -> None:
        """Write what was taken to the file."""
        if self._buffer:
            data = memoryview(b"".join(self._buffer))
            while data:
                data = data[os.write(self._fd, data) :]
            self._buffer.clear()
            self._buffered = 0

    def close(self) -> None:
        """Write the rest."""
        self.flush()
        os.close(self._fd)

    def _line(self, text: bytes, now: int) -> None:
        while len(text) > PIECE:
            self._piece(text[:PIECE], now)
            text = text[PIECE:]
        self._write(text + b"\n", now)
        self._line_begins = True

    def _piece(self, text: bytes, now: int) -> None:
        self._write(text, now)
        self._line_begins = False

    def _write(self, text: bytes, now: int) -> None:
        if self._line_begins:
            if self.size - self.start >= self._limit:
                self.start = self.size
            text = self._stamp(now) + text
        self._buffer.append(text)
        self.size += len(text)
        self._buffered += len(text)
        if self._buffered >= 1 << 20:
            self.flush()

    def _stamp(self, now: int) -> bytes:
        self._last = max(now, self._last + 1)
        second, rest = divmod(self._last, 1_000_000_000)
        if second != self._second:
            self._second = second
            self._second_text = time.strftime("%Y-%m-%dT%H:%M:%S.", time.gmtime(second)).encode()
        return self._second_text + b"%09dZ " % rest


def tail(path: str, lines: int, size: int) -> bytes:
    """The last lines of such a file without their stamps, and of them the last ``size`` bytes."""
    with open(path, "rb") as file:
        end = file.seek(0, os.SEEK_END)
        # A line that is longer than this has its last `size` bytes in it, which is all that is asked for.
        file.seek(max(0, end - lines * 1024 - size))
        if file.tell():
            file.readline()
        texts = [line[31:] for line in file.read().splitlines(keepends=True)[-lines:]]
    return b"".join(texts)[-size:]
