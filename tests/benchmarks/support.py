"""Figures made up for tests: like those of a real measurement, and growing with the number of runs."""

from __future__ import annotations

from functools import cache

from benchmarks.figures import Figures, Lines, Loop, Spread
from benchmarks.measurement import Measurement
from benchmarks.results import Result, fingerprint
from benchmarks.series import SERIES


def spread(median: float) -> Spread:
    """Whose longest is four times its median."""
    return Spread(median, median * 2, median * 3, median * 4)


def figures(what: Measurement, **changed: object) -> Figures:
    """Of ours small, of upstream's much larger."""
    much = 1.0 if what.trigger == "ours" else 5 + what.runs / 20
    written = int(what.runs * what.lines * what.lifetime)
    fields = {
        "trigger": what.trigger,
        "runs": what.runs,
        "complete": True,
        "duration": what.lifetime + 20,
        "watched": spread(0.2 * much),
        "end_told": spread(0.3 * much),
        "detection": spread(0.5 * much),
        "event": spread(0.06 * much),
        "line_lag": spread(0.4 * much),
        "due": written,
        "lines": Lines(
            written=written, arrived=written, most_per_second=min(what.runs * what.lines, 2000 / much**0.3)
        ),
        "loop": Loop(lag=0.05, step=0.02 * much, step_cpu=0.02, step_gc=0.01, own=0.01,
                     step_who="TriggerRunner.arun", own_who="poll", airflow=0.02, most_cpu=0.02, gc=0.01),
        "cpu": 0.0003 * what.runs * much**0.5,
        "cpu_idle": 0.01,
        "cpu_per_run": 0.01 * much,
        "rss_idle": 150.0,
        "rss_peak": 160.0,
        "rss_per_run": 40.0 * much**0.7,
        "server_cpu": 0.2,
        "supervisor_cpu": 0.1,
        "machine_load": 1.1,
        "calls": {"DescribeTasks": int(what.runs * much / 4), "get pods": int(what.runs * much / 20)},
        "run_minutes": what.runs * what.lifetime / 60,
        "errors": {},
        "rates": {"DescribeTasks": (1.0, 2)},
        "most_in_1s": 5,
        "most_in_5s": {},
        "rounds": 0,
        "verdicts": {"succeeded": what.runs},
        "wrong": [],
        "log_bytes": 1000,
    }  # fmt: skip
    return Figures(**{**fields, **changed})  # type: ignore[arg-type]


def result(what: Measurement, *, code: str = "", **changed: object) -> Result:
    """
    As it is saved.

    :param code: its fingerprint; empty: that of the code of now.
    """
    return Result(what=what, code=code or _now(what.trigger), commit="abc1234", at="2026-11-22T03:00:00Z", took=100,
                  machine="2 cores, x86_64, Python 3.11.7", figures=figures(what, **changed))  # fmt: skip


@cache
def _now(trigger: str) -> str:
    return fingerprint(trigger)


def everything() -> list[Result]:
    """All that the series measure."""
    return [result(what) for _, wanted in SERIES.values() for what in wanted]
