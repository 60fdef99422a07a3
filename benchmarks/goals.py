"""What was aimed at (issue 5), and whether the saved measurements meet it."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from benchmarks.figures import Figures
from benchmarks.results import Result
from benchmarks.rows import STATES, number


class Goal(NamedTuple):
    """
    A figure of ours that must not be more than a limit.

    :param runs: of which measurement of the series.
    :param value: in ``unit``.
    """

    text: str
    series: str
    runs: int
    value: Callable[[Figures], float]
    limit: float
    unit: str = ""
    below: bool = False

    def met(self, one: Figures) -> bool:
        """By that measurement."""
        return self.value(one) < self.limit if self.below else self.value(one) <= self.limit


def _flaws(one: Figures) -> float:
    """Lines lost, doubled, out of order or outside of their log, and runs that ended wrong."""
    lines = one.lines
    return lines.lost + lines.doubled + lines.disordered + lines.homeless + lines.elsewhere + len(one.wrong)


def _step(one: Figures) -> float:
    return one.loop.step * 1000


def _beside_follows(one: Figures) -> float:
    return (sum(one.calls.values()) - min(one.runs, one.calls.get("follow pods/log", 0))) / max(one.run_minutes, 1e-9)


_ECS = "ECS, N=500: "
_PODS = "pods, N=500: "

GOALS = (
    Goal(_ECS + "start to watched, 99 %", "ecs", 500, lambda one: one.watched.p99, 2, "s"),
    Goal(_ECS + "detection, 99 %", "ecs", 500, lambda one: one.end_told.p99, 2, "s"),
    Goal(_ECS + "log lag after the line is readable, 99 %", "ecs", 500, lambda one: one.line_lag.p99, 5, "s"),
    Goal(_ECS + "CPU", "ecs", 500, lambda one: one.cpu, 0.15, "cores"),
    Goal(_ECS + "memory per run", "ecs", 500, lambda one: one.rss_per_run, 50, "KiB"),
    Goal(
        "ECS, N=100: DescribeTasks + FilterLogEvents per run-minute",
        "ecs",
        100,
        lambda one: one.per_minute("DescribeTasks", "FilterLogEvents"),
        0.6,
    ),
    Goal(_PODS + "detection, 99 %", "pods", 500, lambda one: one.event.p99, 0.2, "s"),
    Goal(_PODS + "log lag, 99 %", "pods", 500, lambda one: one.line_lag.p99, 1, "s"),
    Goal(_PODS + "requests per pod-minute, beside one follow per container", "pods", 500, _beside_follows, 0.1),
    Goal(_PODS + "of these for the pods' states", "pods", 500, lambda one: one.per_minute(*STATES), 0.1),
    Goal(_PODS + "CPU", "pods", 500, lambda one: one.cpu, 0.25, "cores"),
    Goal("ECS, N=1,000 with AWS's quotas: lines lost or doubled, runs failed", "ecs", 1000, _flaws, 0),
    Goal("pods, N=1,000: lines lost or doubled, runs failed", "pods", 1000, _flaws, 0),
    Goal("ECS, N=10,000, status only: runs failed", "ecs-status", 10_000, _flaws, 0),
    Goal("pods, N=10,000, status only: runs failed", "pods-status", 10_000, _flaws, 0),
    Goal("ECS, 1,000 ending in one second: lines lost or doubled, runs failed", "ecs-stampede", 1000, _flaws, 0),
    Goal("pods, 1,000 ending in one second: lines lost or doubled, runs failed", "pods-stampede", 1000, _flaws, 0),
    Goal("ECS, N=1,000: longest step of the event loop", "ecs", 1000, _step, 50, "ms", below=True),
    Goal("pods, N=1,000: longest step of the event loop", "pods", 1000, _step, 50, "ms", below=True),
)


def table(results: Iterable[Result]) -> list[str]:
    """
    Rows of Markdown: goal, measured beside upstream, met or not and what of it is not ours.

    :param results: of all series.
    """
    found = {(one.what.series, one.what.runs, one.what.trigger): one.figures for one in results}
    lines = ["| goal | at most | measured | upstream | met |", "|---|---|---|---|---|"]
    for goal in GOALS:
        ours = found.get((goal.series, goal.runs, "ours"))
        upstream = found.get((goal.series, goal.runs, "upstream"))
        cells = [number(goal.value(one), goal.unit) if one else "not yet" for one in (ours, upstream)]
        if upstream is None:
            cells[1] = "" if goal.runs > 1000 else cells[1]
        limit = ("less than " if goal.below else "") + number(goal.limit, goal.unit)
        lines.append(f"| {goal.text} | {limit} | {cells[0]} | {cells[1]} | {_verdict(goal, ours)} |")
    return lines


def _verdict(goal: Goal, ours: Figures | None) -> str:
    if ours is None:
        return ""
    if goal.met(ours):
        return "yes"
    if goal.value is _beside_follows:
        ends = [ours.calls.get(name, 0) / ours.runs for name in ("get pods/log", "delete pods")]
        return f"**no**: at each pod's end {number(ends[0])} readings of its log and {number(ends[1])} deletions"
    if goal.value is not _step:
        return "**no**"
    loop = ours.loop
    return (
        f"**no**: {loop.step_gc * 1000:.0f} ms of it garbage collection; the longest step of triggers less that "
        f"{loop.own * 1000:.0f} ms, of Airflow's own {loop.airflow * 1000:.0f} ms"
    )
