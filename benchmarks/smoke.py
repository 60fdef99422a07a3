"""The short mode of ``make check``: no line lost or doubled, no run failed. Never about times."""

from __future__ import annotations

import time
from concurrent.futures import ThreadPoolExecutor

import msgspec

from benchmarks.analysis import figures
from benchmarks.figures import Figures
from benchmarks.measurement import Measurement, server
from benchmarks.runner import measure

_LOADS = (
    Measurement(platform="ecs", trigger="ours", runs=10, lifetime=8.0, lines=2.0, quotas=True, warm=False),
    Measurement(platform="pods", trigger="ours", runs=10, lifetime=8.0, lines=2.0, warm=False),
)
_QUIET = {"logs_quiet_period": "6"}  # s; the stand-in's lines are readable after 5.2 s at the latest


def check() -> int:
    """Say on one line whether all was right, on more what was not; 0 or 1."""
    began = time.monotonic()
    with ThreadPoolExecutor(len(_LOADS)) as pool:
        found = list(pool.map(_measured, _LOADS))
    runs, lines = sum(one.runs for one in found), sum(one.lines.written for one in found)
    flaws = [f"{what.platform}: {flaw}" for what, one in zip(_LOADS, found, strict=True) for flaw in one.flaws()]
    if not flaws:
        print(f"bench: {runs} runs, {lines} lines: every line once, every run as it should "
              f"({time.monotonic() - began:.0f} s)")  # fmt: skip
        return 0
    print(f"bench: {'; '.join(flaws)}")
    for one in found:
        for example in [*one.lines.examples, *one.wrong]:
            print(f"  {example}")
    return 1


def _measured(what: Measurement) -> Figures:
    load = msgspec.structs.replace(what.load(), settings=_QUIET if what.platform == "ecs" else {})
    with server(what) as one:
        raw = measure(load, one)
        return figures(load, raw, one.truth(), one.calls())
