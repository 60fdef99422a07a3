"""No content of a log stops the event loop for long; measured in CPU time, for the machine may be busy."""

from __future__ import annotations

import asyncio
import gc
import time
from dataclasses import replace

import pytest

from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import SETTINGS, STREAM, Run, clock

pytestmark = [pytest.mark.looptime]
MEGABYTE = 1 << 20
LONGEST_STEP = 0.05


@pytest.mark.parametrize(
    "message",
    [
        "\n" * MEGABYTE,
        "\r" * MEGABYTE,
        "\x01" * MEGABYTE,
        "\x1b[31m" * (MEGABYTE // 5),
        "\x1b" * MEGABYTE,
        "::group::" * (MEGABYTE // 9),
        "é" * (MEGABYTE // 2),
        "\n".join(["\x01\x1b[0m::group::" * 1000] * 60),
        "x" * MEGABYTE,
    ],
    ids=["newlines", "returns", "control", "colours", "escapes", "groups", "letters", "lines", "plain"],
)
async def test_one_event_of_a_megabyte_is_taken_in_small_steps(message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START, message)
    longest, run_step = 0.0, asyncio.Handle._run

    def timed(handle: asyncio.Handle) -> None:
        nonlocal longest
        began = time.thread_time()
        run_step(handle)
        longest = max(longest, time.thread_time() - began)

    gc.collect()
    with Run(api, settings=replace(SETTINGS, log_rate=10_000_000)) as run:
        monkeypatch.setattr(asyncio.Handle, "_run", timed)
        await asyncio.sleep(10)
        monkeypatch.undo()
        assert run.sink.records
    assert longest < LONGEST_STEP
