"""A followed run, under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from asyncrun.model.errors import AccessDenied
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.source import Drained, EcsLog, LogStream
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink

SETTINGS = Settings()
STREAM = "p/main/1"


def clock() -> float:
    return START + asyncio.get_running_loop().time()


class Run:
    """One followed run and what its task log says."""

    def __init__(
        self,
        api: CloudWatch,
        *streams: str,
        group: str = "/ecs/etl",
        settings: Settings = SETTINGS,
        sink: MemorySink | None = None,
    ) -> None:
        names = streams or ("main",)
        self.sink = sink or MemorySink()
        self.said: list[tuple[str, str]] = []
        self.log = emitter().open(self.sink, names, settings, whole=True)
        self.source = EcsLog(
            [LogStream(name, group, api, f"p/{name}/1" if not streams else name) for name in names],
            self.log,
            lambda level, text: self.said.append((level, text)),
            settings,
            since_ms=int(START * 1000) - 600_000,
            clock=clock,
        )

    async def end(self, ended_at: float | None) -> Drained:
        drained = await self.source.drain(ended_at)
        assert await self.log.finish(600)
        self.close()
        return drained

    def close(self) -> None:
        self.source.close()
        self.log.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def denied(*operations: str) -> Callable[[str, Sequence[str]], Exception | None]:
    """For ``CloudWatch.refuse``: these operations are denied."""
    return lambda operation, streams: AccessDenied(f"not allowed: {operation}") if operation in operations else None
