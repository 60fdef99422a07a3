"""A trigger of the harness's own: measures how long the triggerer's event loop was held up by others."""

from __future__ import annotations

import asyncio
import json
import sys
import threading
import time
import traceback
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
from airflow.triggers.base import BaseTrigger, TriggerEvent

from benchmarks.steps import Steps

_TICK = 0.01  # s; each costs some 100 us of the measured process, ours and upstream's alike
_REPORT = 1.0  # s


class LoopLag(BaseTrigger):
    """
    Writes, once a second, the longest delay of a 10 ms timer and the longest steps of the loop.

    :param path: file that gets one JSON object a line: ``at`` (epoch seconds), ``lag`` (s: a turn of the loop, all
        steps that were ready), what ``steps.Worst`` has, and ``asyncrun``: whether that is imported in this process.
    :param blocked_after: seconds after which a standing loop's stack is written, too; None: never.
    """

    def __init__(self, path: str, blocked_after: float | None = None) -> None:
        super().__init__()
        self.path, self.blocked_after = path, blocked_after

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As every trigger."""
        return f"{type(self).__module__}.LoopLag", {"path": self.path, "blocked_after": self.blocked_after}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Never ends by itself."""
        beat = [time.monotonic()]
        if self.blocked_after:
            arguments = (beat, self.blocked_after, Path(self.path + ".stacks"), threading.get_ident())
            threading.Thread(target=_watch, args=arguments, name="bench-stacks", daemon=True).start()
        steps = Steps()
        steps.install()
        with Path(self.path).open("a", buffering=1) as out:  # noqa: ASYNC230 - one short line a second, to a local file
            while True:
                worst = await self._second(beat)
                figures = {"at": time.time(), "lag": worst, "asyncrun": "asyncrun" in sys.modules}
                out.write(json.dumps(figures | msgspec.structs.asdict(steps.report())) + "\n")
        yield TriggerEvent({})

    @staticmethod
    async def _second(beat: list[float]) -> float:
        worst = 0.0
        until = time.monotonic() + _REPORT
        while beat[0] < until:
            before = time.monotonic()
            await asyncio.sleep(_TICK)
            beat[0] = time.monotonic()
            worst = max(worst, beat[0] - before - _TICK)
        return worst


def _watch(beat: list[float], limit: float, path: Path, loop_thread: int) -> None:
    said = 0.0
    while True:
        time.sleep(limit / 4)
        stood = time.monotonic() - beat[0]
        if stood > limit + _TICK and said != beat[0]:
            said = beat[0]
            frame = sys._current_frames().get(loop_thread)  # noqa: SLF001 - there is no public way
            stack = "".join(traceback.format_stack(frame, 25)) if frame else ""
            with path.open("a") as out:
                out.write(f"--- stands for {stood * 1000:.0f} ms\n{stack}\n")
