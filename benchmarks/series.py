"""The full series: what the documentation shows. ``python -m benchmarks --series``."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path

from benchmarks import results
from benchmarks.measurement import Measurement, made
from benchmarks.upstream import interpreter

_SIZES = (10, 100, 500, 1000)
# Runs handed over in a second. More would measure Airflow's log pipe, which ends fill as well: what 1,000 within 10 s
# do is seen in the largest size and in the stampedes.
_PER_SECOND, _STAMPEDE = 25, 100
_LATENCY = {"ecs": 20.0, "pods": 5.0}  # ms; AWS's answers within a region, an API server's near by


def _both(series: str, platform: str, runs: int, **more: object) -> list[Measurement]:
    """Ours and upstream's, one after the other."""
    usual = {
        "stagger": runs / (_PER_SECOND if runs <= 500 else _STAMPEDE),
        "latency": _LATENCY[platform],
        "quotas": platform == "ecs",
        "series": series,
    }
    return [Measurement(platform=platform, trigger=trigger, runs=runs, **{**usual, **more})  # type: ignore[arg-type]
            for trigger in ("ours", "upstream")]  # fmt: skip


def _sizes(series: str, platform: str, **more: object) -> list[Measurement]:
    return [one for runs in _SIZES for one in _both(series, platform, runs, **more)]


def _many(series: str, platform: str, *sizes: int) -> list[Measurement]:
    """Status only: these and 1,000 of both, 10,000 of ours."""
    some = [one for runs in (*sizes, 1000) for one in _both(series, platform, runs, lines=0.0)]
    return [*some, *_both(series, platform, 10_000, lines=0.0, lifetime=120.0)[:1]]


SERIES: dict[str, tuple[str, list[Measurement]]] = {
    "ecs": ("ECS tasks with AWS's quotas enforced, 1 line/s each", _sizes("ecs", "ecs")),
    "pods": ("Pods, 1 line/s each", _sizes("pods", "pods")),
    "ecs-status": ("ECS tasks, status only", _many("ecs-status", "ecs", 500)),
    "pods-status": ("Pods, status only", _many("pods-status", "pods")),
    "ecs-unlimited": (
        "ECS tasks without any quota, 1 line/s each",
        [one for runs in (500, 1000) for one in _both("ecs-unlimited", "ecs", runs, quotas=False)],
    ),
    "ecs-long": (
        "100 ECS tasks that run for five minutes, 1 line/s each: what a start and an end cost counts less",
        _both("ecs-long", "ecs", 100, lifetime=300.0),
    ),
    "ecs-stampede": (
        "1,000 ECS tasks that are handed over within 10 s and end in the same second",
        _both("ecs-stampede", "ecs", 1000, end_together=True, lifetime=50.0),
    ),
    "pods-stampede": (
        "1,000 pods that are handed over within 10 s and end in the same second",
        _both("pods-stampede", "pods", 1000, end_together=True, lifetime=50.0),
    ),
    "pipe": (
        "100 pods that write more and more",
        [one for lines in (1.0, 3.0, 10.0, 30.0) for one in _both("pipe", "pods", 100, lines=lines, lifetime=45.0)],
    ),
}
"""By name: what it is, and its measurements."""


def run(names: Sequence[str], say: Callable[[str], None], folder: Path = results.FOLDER) -> None:
    """
    Make what is not there yet, and save each as soon as it is made.

    :param names: of series.
    :raises RuntimeError: a measurement could not be made; what was made before is saved.
    """
    todo = results.missing((one for name in names for one in SERIES[name][1]), folder)
    if any(what.trigger == "upstream" for what in todo):
        interpreter()  # say what is missing now, not after an hour
    for index, what in enumerate(todo):
        left = sum(map(expected, todo[index:])) / 60
        say(f"[{index + 1}/{len(todo)}, about {left:.0f} min left] {what.series}: {what.trigger}: {what.title}")
        began = time.monotonic()
        found = made(what)
        results.save(results.result(what, found, time.monotonic() - began), folder)
        say("    " + ("; ".join(found.flaws()) or "every line once, every run as it should"))


def expected(what: Measurement) -> float:
    """Seconds that it takes, roughly: processes, warming up, the runs, and the reading of what is left."""
    fixed = 45.0 if (what.platform, what.trigger) == ("ecs", "ours") else 25.0
    behind = what.runs * (0.1 if what.trigger == "upstream" else 0.01)
    return fixed + what.stagger + what.lifetime + behind
