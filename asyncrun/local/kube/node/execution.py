"""A command that runs in a container: the server's side of ``host/execs.py``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import Any, BinaryIO


class Execution:
    """A ``Started``: the command with its streams."""

    def __init__(
        self,
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        stdin: asyncio.StreamWriter | None,
        outputs: tuple[asyncio.StreamReader, asyncio.StreamReader],
    ) -> None:
        self._reader, self._writer = link
        self._stdin = stdin
        self._stdout, self._stderr = outputs

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """What it reads, if it was asked for."""
        return self._stdin

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Its output."""
        return self._stdout

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """Its other output."""
        return self._stderr

    async def wait(self) -> int:
        """Wait for its end: its exit code, 128 + signal if one ended it. Once only."""
        code = 137  # its container has ended, and it with it
        with contextlib.suppress(ConnectionError):
            if line := await self._reader.readline():
                code = int(json.loads(line)["exit"])
        if self._stdin is not None:
            await _closed(self._stdin)
        await _closed(self._writer)
        return code

    def kill(self) -> None:
        """End it."""
        if not self._writer.is_closing():
            self._writer.write(b"K")


async def execute(supervisor: socket.socket, spec: dict[str, Any], *, stdin: bool) -> Execution:
    """
    Run a command.

    :param supervisor: the link to the container's supervisor.
    :param spec: ``argv``, ``env``, ``cwd``.
    :raises OSError: it cannot be started; the text is the runtime's.
    """
    ours, theirs = socket.socketpair()
    pipes = [os.pipe() for _ in range(3)]
    (child_in, parent_in), (parent_out, child_out), (parent_err, child_err) = pipes
    try:
        socket.send_fds(supervisor, [b"X"], [theirs.fileno(), child_in, child_out, child_err])
    except BaseException:
        ours.close()
        for fd in (parent_in, parent_out, parent_err):
            os.close(fd)
        raise
    finally:
        theirs.close()
        for fd in (child_in, child_out, child_err):
            os.close(fd)
    reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
    outputs = (await _reader(parent_out), await _reader(parent_err))
    into = await _writer(parent_in)
    if not stdin:
        await _closed(into)
    started = Execution((reader, writer), into if stdin else None, outputs)
    line = b""
    with contextlib.suppress(ConnectionError):
        writer.write(json.dumps(spec).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    news = json.loads(line) if line else {"message": "the container has ended"}
    if "started" not in news:
        await _closed(into)
        await _closed(writer)
        raise OSError(news["message"])
    return started


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _file(fd: int, mode: str) -> BinaryIO:
    return open(fd, mode, buffering=0)  # type: ignore[return-value]


async def _reader(fd: int) -> asyncio.StreamReader:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), _file(fd, "rb"))
    return reader


async def _writer(fd: int) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    # The mere flow control of asyncio.streams cannot be waited for at its close.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), _file(fd, "wb")
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
