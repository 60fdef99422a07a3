"""What was aimed at (issue 5), and whether the saved measurements meet it."""

from __future__ import annotations

from collections.abc import Callable, Container, Iterable
from functools import partial
from typing import NamedTuple

from benchmarks.figures import Figures, Spread
from benchmarks.measurement import Measurement
from benchmarks.results import Result
from benchmarks.rows import CALLS, STATES, number, shown


class Goal(NamedTuple):
    """
    A figure of ours that must not be more than a limit.

    :param runs: of which measurement of the series.
    :param value: in ``unit``.
    :param times: name of the figure whose 99 % that is: the goal is missed where one of these times is missing.
    """

    text: str
    series: str
    runs: int
    value: Callable[[Figures], float]
    limit: float
    unit: str = ""
    below: bool = False
    times: str = ""

    def met(self, one: Figures) -> bool:
        """By that measurement."""
        kept = self.value(one) < self.limit if self.below else self.value(one) <= self.limit
        return kept and not self.missing(one)

    def missing(self, one: Figures) -> int:
        """Runs or lines of which there is no time, since what was waited for never came."""
        return _spread(self.times, one).missing if self.times else 0


def _spread(name: str, one: Figures) -> Spread:
    found: Spread = getattr(one, name)
    return found


def _p99(name: str, one: Figures) -> float:
    return _spread(name, one).p99


def _time(text: str, series: str, runs: int, name: str, limit: float) -> Goal:
    """That 99 % of these times are not longer, and none is missing."""
    return Goal(f"{text}, 99 %", series, runs, partial(_p99, name), limit, "s", times=name)


def _flaws(one: Figures) -> float:
    return one.flaw_count()


def _step(one: Figures) -> float:
    return one.loop.step * 1000


def _beside_follows(one: Figures) -> float:
    return (sum(one.calls.values()) - min(one.runs, one.calls.get("follow pods/log", 0))) / max(one.run_minutes, 1e-9)


_ECS = "ECS, N=500: "
_PODS = "pods, N=500: "
_ASKED = "DescribeTasks + all reading of logs per run-minute"

GOALS = (
    _time(_ECS + "start to watched", "ecs", 500, "watched", 2),
    _time(_ECS + "detection (ECS's answer that tells the end)", "ecs", 500, "end_told", 2),
    _time("ECS, N=500, status only: detection (the trigger's event)", "ecs-status", 500, "event", 2),
    _time(_ECS + "log lag after the line is readable", "ecs", 500, "line_lag", 5),
    Goal(_ECS + "CPU", "ecs", 500, lambda one: one.cpu, 0.15, "cores"),
    Goal(_ECS + "memory per run", "ecs", 500, lambda one: one.rss_per_run, 50, "KiB"),
    Goal("ECS, N=100, runs of 5 minutes: " + _ASKED, "ecs-long", 100, lambda one: one.per_minute(*CALLS), 0.6),
    Goal("ECS, N=100, runs of a minute: " + _ASKED, "ecs", 100, lambda one: one.per_minute(*CALLS), 0.6),
    _time(_PODS + "detection (the trigger's event)", "pods", 500, "event", 0.2),
    _time(_PODS + "log lag", "pods", 500, "line_lag", 1),
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


def table(results: Iterable[Result], outdated: Container[Measurement] = ()) -> list[str]:
    """
    Rows of Markdown: goal, measured beside upstream, met or not and what of it is not ours.

    :param results: of all series.
    :param outdated: those of other code than that of now, which are marked.
    """
    found = {(one.what.series, one.what.runs, one.what.trigger): one for one in results}
    lines = ["| goal | at most | measured | upstream | met |", "|---|---|---|---|---|"]
    for goal in GOALS:
        ours = found.get((goal.series, goal.runs, "ours"))
        upstream = found.get((goal.series, goal.runs, "upstream"))
        cells = [
            shown(goal.value(one.figures), goal.unit, outdated=one.what in outdated) if one else "not yet"
            for one in (ours, upstream)
        ]
        if upstream is None:
            cells[1] = "" if goal.runs > 1000 else cells[1]
        limit = ("less than " if goal.below else "") + number(goal.limit, goal.unit)
        lines.append(
            f"| {goal.text} | {limit} | {cells[0]} | {cells[1]} | {_verdict(goal, ours.figures if ours else None)} |"
        )
    return lines


def _verdict(goal: Goal, ours: Figures | None) -> str:
    if ours is None:
        return ""
    if goal.met(ours):
        return "yes"
    why = _reason(goal, ours)
    return f"**no**: {why}" if why else "**no**"


def _reason(goal: Goal, ours: Figures) -> str:
    """What stands in its way, where the measurement can tell."""
    if missing := goal.missing(ours):
        return f"{missing:,} of them never came"
    if goal.value is _flaws:
        return "; ".join(ours.flaws())
    if goal.value is _beside_follows:
        ends = [ours.calls.get(name, 0) / ours.runs for name in ("get pods/log", "delete pods")]
        return f"at each pod's end {number(ends[0])} readings of its log and {number(ends[1])} deletions"
    if goal.value is not _step:
        return ""
    loop = ours.loop
    return (
        f"{loop.step_gc * 1000:.0f} ms of it garbage collection; the longest step of triggers less that "
        f"{loop.own * 1000:.0f} ms, of Airflow's own {loop.airflow * 1000:.0f} ms"
    )
