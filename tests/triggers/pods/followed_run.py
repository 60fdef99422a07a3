"""A followed run of a pod in memory, and what its task log shows."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from asyncrun.model.refs import PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.pods.source import PodLog
from asyncrun.triggers.logs.source import Drained
from tests.triggers.logs.fakes import MemorySink
from tests.triggers.pods.log_server import UID, LogServer

SETTINGS = Settings()
REF = PodRef(namespace="jobs", name="etl", uid=UID)


class Run:
    """One followed pod, and what its task log shows."""

    def __init__(
        self, server: LogServer, *names: str, settings: Settings = SETTINGS, sink: MemorySink | None = None
    ) -> None:
        self.server, self.settings = server, settings
        self.names = names or tuple(server.containers)
        self.sink = sink or MemorySink()
        self.said: list[tuple[str, str]] = []
        self.run_log = emitter().open(self.sink, self.names, settings)
        self.log = PodLog(
            server, REF, self.names, self.run_log, lambda level, text: self.said.append((level, text)), settings
        )
        server.watch_by(self.log.look)

    @property
    def lines(self) -> list[str]:
        return self.sink.lines

    @property
    def texts(self) -> str:
        return "\n".join(text for _, text in self.said)

    async def end(self) -> Drained:
        drained = await self.log.drain()
        assert await self.run_log.finish(600)
        await self.close()
        return drained

    async def close(self) -> None:
        await self.log.close()
        self.run_log.close()

    async def __aenter__(self) -> Run:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await self.close()


async def lives(server: LogServer, number: int, *, lines: int, every: float, down: Callable[[int], float]) -> list[str]:
    """
    A container that writes, fails, and is started again.

    :param number: of its instances that fail; one more follows, which writes nothing.
    :param down: seconds from the end of an instance to the next one.
    """
    written: list[str] = []
    server.start()
    for life in range(number):
        for line in range(lines):
            written.append(f"run {life} line {line}")
            server.write(written[-1])
            await asyncio.sleep(every)
        server.end(exit_code=1)
        await asyncio.sleep(down(life))
        server.start()
    return written


async def written(server: LogServer, count: int = 10, pause: float = 0.5, begin: int = 0) -> list[str]:
    lines = [f"line {number}" for number in range(begin, begin + count)]
    for line in lines:
        server.write(line)
        await asyncio.sleep(pause)
    return lines
