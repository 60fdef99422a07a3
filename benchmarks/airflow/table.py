"""What the table of a measurement shows."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

from rich.table import Table

from benchmarks.airflow.measure import Phase, Result
from benchmarks.airflow.plan import Plan
from benchmarks.airflow.usage import WORKERS

Row = tuple[str, Callable[[Result], float], str]
"""Title, value, unit."""

_ROWS: tuple[Row, ...] = (
    ("container's end -> task's success, median", lambda one: one.to_success.median, "s"),
    ("container's end -> task's success, 95 %", lambda one: one.to_success.p95, "s"),
    ("container's end -> task's success, longest", lambda one: one.to_success.longest, "s"),
    ("last container's end -> last task's end", lambda one: one.last, "s"),
    ("line readable -> in an answer of the log endpoint, median", lambda one: one.line_lag.median, "s"),
    ("line readable -> in an answer of the log endpoint, 95 %", lambda one: one.line_lag.p95, "s"),
    ("line readable -> in an answer of the log endpoint, longest", lambda one: one.line_lag.longest, "s"),
    ("an answer of the log endpoint, median", lambda one: one.read.median, "s"),
    ("worker executions", lambda one: sum(phase.executions for phase in _phases(one)), ""),
    ("worker seconds (slots held), per task", lambda one: _per_task(one, "seconds"), "s"),
    ("of these after the first container's end", lambda one: one.ending.worker_seconds / one.runs, "s"),
    ("CPU of workers, per task", lambda one: _per_task(one, "cpu"), "s"),
    ("of this after the first container's end", lambda one: one.ending.cpu[WORKERS] / one.runs, "s"),
    ("until all are deferred", lambda one: one.deferring.seconds, "s"),
    ("CPU of the triggerer while they run, cores", lambda one: _cores(one.running, "triggerer"), ""),
    ("CPU of the triggerer while they end", lambda one: one.ending.cpu["triggerer"], "s"),
    ("CPU of the scheduler while they run, cores", lambda one: _cores(one.running, "scheduler"), ""),
    ("CPU of the scheduler while they end", lambda one: one.ending.cpu["scheduler"], "s"),
    ("CPU of API server and database while they end", lambda one: _serving(one.ending), "s"),
    ("tasks that did not succeed", lambda one: one.runs - one.states.get("success", 0), ""),
    ("lines of the checked tasks", lambda one: one.lines.written, ""),
    ("lines lost in their final logs", lambda one: one.lines.lost, ""),
    ("lines doubled in their final logs", lambda one: one.lines.doubled, ""),
    ("load of the machine (times count only below its cores)", lambda one: one.machine_load, ""),
)


def _phases(one: Result) -> tuple[Phase, ...]:
    return one.deferring, one.running, one.ending


def _per_task(one: Result, what: str) -> float:
    phases = _phases(one)
    if what == "cpu":
        return sum(phase.cpu[WORKERS] for phase in phases) / one.runs
    return sum(phase.worker_seconds for phase in phases) / one.runs


def _cores(phase: Phase, component: str) -> float:
    return phase.cpu[component] / phase.seconds


def _serving(phase: Phase) -> float:
    return phase.cpu["api-server"] + phase.cpu["postgresql"]


def table(results: Sequence[Result], plan: Plan) -> Table:
    """Of one measurement of ours and one of upstream's, or of one alone."""
    first = results[0]
    ends = f"one every {plan.apart:g} s" if first.ends == "spread" else f"all in {plan.within:g} s"
    title = f"{first.backend}: {first.runs} deferred tasks, {plan.lines:g} lines/s each, ends: {ends}"
    shown = Table(title=title, title_justify="left")
    shown.add_column("")
    for one in results:
        shown.add_column(one.operators, justify="right")
    shown.add_column("upstream / ours", justify="right")
    for text, value, unit in _ROWS:
        values = [value(one) for one in results]
        shown.add_row(text, *(_number(one, unit) for one in values), _ratio(values))
    return shown


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    text = f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _ratio(values: Sequence[float]) -> str:
    if len(values) < 2 or not values[0] or any(map(math.isnan, values)):
        return ""
    return f"{values[1] / values[0]:.1f}"
