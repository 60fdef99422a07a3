"""Where the event loop's thread spends its CPU time."""

from __future__ import annotations

import cProfile
import pstats
import time
from typing import Any

_SHOWN = 70


class CpuLook:
    """``cProfile`` of the event loop's thread. It counts exactly, and makes small functions look dear."""

    def begin(self) -> None:
        """From now on."""
        self._profile = cProfile.Profile(time.thread_time)
        self._at, self._thread, self._process = time.time(), time.thread_time(), time.process_time()
        self._profile.enable()

    def end(self, runs: int) -> dict[str, Any]:
        """What was done; looked at again later, it goes on from here."""
        self._profile.disable()
        lasted = time.time() - self._at
        thread, process = time.thread_time() - self._thread, time.process_time() - self._process
        stats: Any = pstats.Stats(self._profile)
        rows = [
            (f"{file}:{line}({name})", calls, own, total)
            for (file, line, name), (_, calls, own, total, _) in stats.stats.items()
        ]
        report = {
            "what": "cpu",
            "runs": runs,
            "seconds": lasted,
            "loop_ms_per_run": thread * 1000 / runs,
            "process_ms_per_run": process * 1000 / runs,
            "own": sorted(rows, key=lambda row: -row[2])[:_SHOWN],
            "total": sorted(rows, key=lambda row: -row[3])[:_SHOWN],
        }
        self.begin()
        return report
