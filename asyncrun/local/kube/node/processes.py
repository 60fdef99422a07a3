"""Containers as processes: the server's side of ``host/``."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from asyncrun.local.kube.node.execution import Execution, execute

_BOOT = "import sys; sys.path.insert(0, sys.argv.pop(1)); from host.server import main; main()"


class StartFailed(Exception):
    """
    A container could not be started; the text is the runtime's.

    :param created: whether it was created before (``StartError``), or not even that (``CreateContainerError``).
    """

    def __init__(self, message: str, *, created: bool) -> None:
        super().__init__(message)
        self.created = created


@dataclass(frozen=True, slots=True)
class Ended:
    """
    How a container ended.

    :param exit_code: 128 + signal, if one ended it.
    :param at: nanoseconds since the epoch.
    :param message: its termination message.
    """

    exit_code: int
    oom: bool
    at: int
    message: str | None


class ProcessLink:
    """
    One container's supervisor.

    :ivar started_at: nanoseconds since the epoch.
    """

    def __init__(
        self,
        news: dict[str, Any],
        spec: dict[str, Any],
        link: socket.socket,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
    ) -> None:
        self.started_at: int = news["at"]
        self._surroundings = {"env": spec["env"], "cwd": spec["cwd"]}
        self._link, self._reader, self._writer = link, reader, writer

    async def execute(self, argv: Sequence[str], *, stdin: bool) -> Execution:
        """
        Run one more command in the container.

        :raises OSError: it cannot be started.
        """
        return await execute(self._link, {**self._surroundings, "argv": list(argv)}, stdin=stdin)

    def terminate(self) -> None:
        """SIGTERM to its first process."""
        self._writer.write(b"T")

    def kill(self) -> None:
        """SIGKILL to all of it."""
        self._writer.write(b"K")

    async def ended(self, on_log: Callable[[int, int], None]) -> Ended:
        """
        Wait for the end; all of the output is in the log by then.

        :param on_log: called with the size of the log and where its present part begins, whenever they have changed.
        """
        try:
            while line := await self._reader.readline():
                news = json.loads(line)
                if "log" in news:
                    on_log(*news["log"])
                if "exit" in news:
                    return Ended(news["exit"], news["oom"], news["at"], news["message"])
        except ConnectionError:
            pass
        # Somebody killed the supervisor, and with it the container.
        return Ended(137, False, time.time_ns(), None)

    async def close(self) -> None:
        """Give the link up; a container that still runs is killed by that."""
        self._writer.close()
        with contextlib.suppress(ConnectionError):
            await self._writer.wait_closed()


class Processes:
    """
    Starts containers; all of them end with this process, however it ends.

    :param folder: removed when this process ends without `stop`.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process: asyncio.subprocess.Process | None = None
        self._requests: socket.socket | None = None

    async def start(self) -> None:
        """Start the fork server."""
        ours, theirs = socket.socketpair()
        ours.setblocking(False)
        self._requests = ours
        with theirs:
            # A session of its own: a terminal's Ctrl-C is for the server, which then ends the containers in order.
            self._process = await asyncio.create_subprocess_exec(
                *(sys.executable, "-I", "-S", "-c", _BOOT, str(Path(__file__).parent), str(self._folder)),
                stdin=theirs.fileno(),
                stdout=asyncio.subprocess.DEVNULL,  # the server's may be a pipe whose end somebody waits for
                start_new_session=True,
            )

    def close(self) -> None:
        """Have all that is left killed."""
        if self._requests is not None:
            self._requests.close()
            self._requests = None

    async def stop(self) -> None:
        """Kill all that is left, and return when nothing is."""
        self.close()
        if self._process is not None:
            await self._process.wait()
            self._process = None

    async def run(self, spec: dict[str, Any]) -> ProcessLink:
        """
        Start a container.

        :param spec: see ``host/supervisor.py``.
        :raises StartFailed: it could not be started.
        """
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                await self._hand_over(theirs)
        except BaseException:
            ours.close()
            raise
        reader, writer = await asyncio.open_unix_connection(sock=ours, limit=1 << 20)
        try:
            return await _begin(spec, ours, reader, writer)
        except BaseException:
            writer.close()
            raise

    async def _hand_over(self, theirs: socket.socket) -> None:
        while True:
            if self._requests is None:
                raise StartFailed("the node stops", created=False)
            try:
                socket.send_fds(self._requests, [b"c"], [theirs.fileno()])
                return
            except BlockingIOError:
                await asyncio.sleep(0.01)
            except OSError as error:
                raise StartFailed(f"the process that starts containers is gone: {error}", created=False) from error


async def _begin(
    spec: dict[str, Any], link: socket.socket, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> ProcessLink:
    line = b""
    with contextlib.suppress(ConnectionError):
        writer.write(json.dumps(spec).encode() + b"\n")
        await writer.drain()
        line = await reader.readline()
    if not line:
        raise StartFailed("the process that was to start it was killed", created=False)
    news = json.loads(line)
    if "started" in news:
        return ProcessLink(news, spec, link, reader, writer)
    raise StartFailed(news["message"], created=news["failed"] == "start")
