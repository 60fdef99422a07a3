"""Logs of containers, for the API server: how far the file has been written, and where its present part begins."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path


class _File:
    """An open file, closed when nobody refers to it any more, so that readers outlive the pod."""

    def __init__(self, path: Path) -> None:
        self.fd = os.open(path, os.O_RDONLY)

    def __del__(self) -> None:
        os.close(self.fd)


class InstanceLog:
    """The log of one instance, as its supervisor writes it."""

    def __init__(self, container_id: str, path: Path) -> None:
        self.container_id, self.path = container_id, path
        self.size = 0
        self.start = 0
        self.dropped = False
        self._ended = False
        self._file: _File | None = None
        self._waiters: list[asyncio.Future[None]] = []

    def grew(self, size: int, start: int) -> None:
        """It has that many bytes now, and the present part of it begins there."""
        self.size, self.start = max(self.size, size), max(self.start, start)
        self._wake()

    def end(self) -> None:
        """Nothing more will come."""
        self._ended = True
        self._wake()

    def drop(self) -> None:
        """Forget it; who reads it reads on."""
        self.dropped = True
        self._file = None

    def open(self) -> LogView:
        """What a request made now is shown."""
        if self._file is None:
            self._file = _File(self.path)
        return LogView(self, self._file)

    async def grown(self, offset: int) -> bool:
        """Wait until there are more bytes than that (True), or never will be (False)."""
        while self.size <= offset:
            if self._ended:
                return False
            waiter = asyncio.get_running_loop().create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            finally:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
        return True

    def _wake(self) -> None:
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)


class LogView:
    """
    The log from where the present part begins when it was opened: a ``ContainerLog``.

    A plain reader of a rotated log gets the present part only; who followed it before reads on (trace q_log_rotation).
    """

    def __init__(self, log: InstanceLog, file: _File) -> None:
        self._log, self._file = log, file
        self._start = log.start

    @property
    def container_id(self) -> str:
        """Of the instance."""
        return self._log.container_id

    def size(self) -> int:
        """Bytes by now."""
        return self._log.size - self._start

    def read(self, offset: int, size: int) -> bytes:
        """Some of them; empty at the end."""
        size = min(size, self.size() - offset)
        return os.pread(self._file.fd, size, self._start + offset) if size > 0 else b""

    async def grown(self, offset: int) -> bool:
        """See ``ContainerLog``."""
        return await self._log.grown(self._start + offset)
