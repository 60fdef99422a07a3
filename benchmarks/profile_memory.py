"""What runs keep in memory: allocations by line, and objects by type."""

from __future__ import annotations

import gc
import os
import sys
import tracemalloc
from collections import Counter
from typing import Any

import psutil

_FRAMES = 7  # each costs time at every allocation
_SHOWN = 60
_OURS = ("/asyncrun/", "/triggers/", "/main/triggers")


class MemoryLook:
    """Differences between the idle triggerer and one with runs; ``tracemalloc`` is on in between."""

    def begin(self) -> None:
        """Note what is there."""
        gc.collect()
        self._types, self._sizes = _objects()
        self._rss = psutil.Process(os.getpid()).memory_info().rss
        tracemalloc.start(_FRAMES)

    def end(self, runs: int) -> dict[str, Any]:
        """What is there more."""
        rss = psutil.Process(os.getpid()).memory_info().rss
        gc.collect()
        current, peak = tracemalloc.get_traced_memory()
        snapshot = tracemalloc.take_snapshot().filter_traces([tracemalloc.Filter(False, tracemalloc.__file__),
                                                              tracemalloc.Filter(False, __file__)])  # fmt: skip
        types, sizes = _objects()
        types.subtract(self._types)
        sizes.subtract(self._sizes)
        return {
            "what": "memory",
            "runs": runs,
            "traced_per_run": current / runs,
            "traced_peak_per_run": peak / runs,
            "rss_per_run": (rss - self._rss) / runs,
            "objects_per_run": sum(types.values()) / runs,
            "types": [(name, count / runs, sizes[name] / runs) for name, count in types.most_common(_SHOWN)],
            "lines": _by_line(snapshot, runs),
            "ours": _by_our_line(snapshot, runs),
            "files": [
                (one.traceback[0].filename, one.size / runs, one.count / runs)
                for one in snapshot.statistics("filename")[:_SHOWN]
            ],
        }


class GarbageLook:
    """
    What ended runs leave behind that only the garbage collector can free: those cycles cost its time.

    It is off in between; looked at before the ends there should be next to nothing.
    """

    def begin(self) -> None:
        """From now on."""
        gc.collect()
        gc.disable()

    def end(self, runs: int) -> dict[str, Any]:
        """What is there now; it is freed."""
        gc.set_debug(gc.DEBUG_SAVEALL)
        gc.collect()
        gc.set_debug(0)
        types = Counter(f"{type(one).__module__}.{type(one).__qualname__}" for one in gc.garbage)
        count = len(gc.garbage)
        gc.garbage.clear()
        gc.collect()
        rows = [(name, number / runs) for name, number in types.most_common(_SHOWN)]
        return {"what": "garbage", "runs": runs, "garbage_per_run": count / runs, "types": rows}


def _objects() -> tuple[Counter[str], Counter[str]]:
    """Of those that the garbage collector knows: how many, and their bytes."""
    count, size = Counter[str](), Counter[str]()
    for one in gc.get_objects():
        kind = type(one)
        name = f"{kind.__module__}.{kind.__qualname__}"
        count[name] += 1
        size[name] += sys.getsizeof(one)
    return count, size


def _by_line(snapshot: tracemalloc.Snapshot, runs: int) -> list[tuple[str, float, float]]:
    return [
        (f"{one.traceback[0].filename}:{one.traceback[0].lineno}", one.size / runs, one.count / runs)
        for one in snapshot.statistics("lineno")[:_SHOWN]
    ]


def _by_our_line(snapshot: tracemalloc.Snapshot, runs: int) -> list[tuple[str, float, float]]:
    """By the innermost line of ours on the way to the allocation, whatever library made it."""
    sizes, counts = Counter[str](), Counter[str]()
    for trace in snapshot.traces:
        place = next(
            (f"{one.filename}:{one.lineno}" for one in reversed(trace.traceback) if is_ours(one.filename)),
            f"(others) {trace.traceback[-1].filename}",
        )
        sizes[place] += trace.size
        counts[place] += 1
    return [(place, size / runs, counts[place] / runs) for place, size in sizes.most_common(_SHOWN)]


def is_ours(path: str) -> bool:
    """Whether a file is asyncrun's."""
    return "site-packages" not in path and any(part in path for part in _OURS)
