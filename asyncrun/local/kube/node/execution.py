"""A command that runs in a container: the server's side of ``host/execs.py``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
from typing import Any, BinaryIO

_Output = tuple[asyncio.StreamReader, asyncio.ReadTransport]


class Execution:
    """
    A ``Started``: the command with its streams.

    :param outputs: its output and its other output, each with the pipe that it comes through.
    """

    def __init__(
        self,
        link: tuple[asyncio.StreamReader, asyncio.StreamWriter],
        stdin: asyncio.StreamWriter | None,
        outputs: tuple[_Output, _Output],
    ) -> None:
        self._reader, self._writer = link
        self._stdin = stdin
        self._outputs = outputs

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """What it reads, if it was asked for."""
        return self._stdin

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Its output."""
        return self._outputs[0][0]

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """Its other output."""
        return self._outputs[1][0]

    async def wait(self) -> int:
        """Wait for its end: its exit code, 128 + signal if one ended it. Only the first call is told it."""
        code = 137  # its container has ended, and it with it
        with contextlib.suppress(ConnectionError):
            if line := await self._reader.readline():
                code = int(json.loads(line)["exit"])
        if self._stdin is not None:
            await _closed(self._stdin)
        await _closed(self._writer)
        return code

    def kill(self) -> None:
        """End it. What it still writes is not read, and neither is what its children do that survive it."""
        if not self._writer.is_closing():
            self._writer.write(b"K")
        for _, pipe in self._outputs:
            pipe.close()


async def execute(supervisor: socket.socket, spec: dict[str, Any], *, stdin: bool) -> Execution:
    """
    Run a command.

    :param supervisor: the link to the container's supervisor.
    :param spec: ``argv``, ``env``, ``cwd``.
    :raises OSError: it cannot be started; the text is the runtime's.
    """
    # Whoever asked for it may go at any moment. A pipe that is half connected then could not be closed
    # (``connect_read_pipe`` of Python 3.11), so the start goes on to its end.
    starting = asyncio.create_task(_start(supervisor, spec, stdin=stdin), name="command: start")
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        with contextlib.suppress(OSError):
            started = await starting
            started.kill()
            await started.wait()
        raise


async def _start(supervisor: socket.socket, spec: dict[str, Any], *, stdin: bool) -> Execution:
    async with contextlib.AsyncExitStack() as undo:
        ours, parent_in, parent_out, parent_err = _hand_over(supervisor)
        for one in (ours, parent_in, parent_out, parent_err):
            undo.callback(one.close)
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        undo.push_async_callback(_closed, writer)
        outputs = (await _reader(parent_out), await _reader(parent_err))
        for _, pipe in outputs:
            undo.callback(pipe.close)
        into = await _writer(parent_in)
        undo.push_async_callback(_closed, into)
        if not stdin:
            await _closed(into)
        line = b""
        with contextlib.suppress(ConnectionError):
            writer.write(json.dumps(spec).encode() + b"\n")
            await writer.drain()
            line = await reader.readline()
        news = json.loads(line) if line else {"message": "the container has ended"}
        if "started" not in news:
            raise OSError(news["message"])
        undo.pop_all()
        return Execution((reader, writer), into if stdin else None, outputs)


def _hand_over(supervisor: socket.socket) -> tuple[socket.socket, BinaryIO, BinaryIO, BinaryIO]:
    """Our ends of the link and of standard input and outputs; the supervisor has got the others."""
    ours, theirs = socket.socketpair()
    (child_in, parent_in), (parent_out, child_out), (parent_err, child_err) = (os.pipe() for _ in range(3))
    ends = _file(parent_in, "wb"), _file(parent_out, "rb"), _file(parent_err, "rb")
    try:
        socket.send_fds(supervisor, [b"X"], [theirs.fileno(), child_in, child_out, child_err])
    except BaseException:
        for one in (ours, *ends):
            one.close()
        raise
    finally:
        theirs.close()
        for fd in (child_in, child_out, child_err):
            os.close(fd)
    return ours, *ends


async def _closed(writer: asyncio.StreamWriter) -> None:
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()


def _file(fd: int, mode: str) -> BinaryIO:
    return open(fd, mode, buffering=0)  # type: ignore[return-value]


async def _reader(file: BinaryIO) -> _Output:
    loop = asyncio.get_running_loop()
    reader = asyncio.StreamReader()
    pipe, _ = await loop.connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), file)
    return reader, pipe


async def _writer(file: BinaryIO) -> asyncio.StreamWriter:
    loop = asyncio.get_running_loop()
    # The mere flow control of asyncio.streams cannot be waited for at its close.
    transport, protocol = await loop.connect_write_pipe(
        lambda: asyncio.StreamReaderProtocol(asyncio.StreamReader()), file
    )
    return asyncio.StreamWriter(transport, protocol, None, loop)
