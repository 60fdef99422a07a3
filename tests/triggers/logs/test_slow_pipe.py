"""The end of a log where Airflow takes lines slowly: it comes late, and is not cut."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from tests.triggers.logs.fakes import Pipe, PipedSink

pytestmark = pytest.mark.looptime


async def test_finish_goes_on_while_the_pipe_moves() -> None:
    """A triggerer that took over twenty runs writes their logs again; one of them ends meanwhile."""
    pipe = Pipe(speed=4096)
    logs = [emitter().open(PipedSink(pipe), ["main"], Settings()) for _ in range(20)]
    for run_log in logs:
        run_log.add(LogLine(i * 50, "main", "info", f"line {i} {'x' * 200}") for i in range(200))
    began = asyncio.get_running_loop().time()
    assert await logs[7].finish(60)
    assert asyncio.get_running_loop().time() - began > 120
    for run_log in logs:
        run_log.close()
