"""What the table of a measurement shows."""

from __future__ import annotations

from collections.abc import Sequence

from rich.table import Table

from benchmarks.airflow.measure import Phase, Result
from benchmarks.airflow.plan import Plan
from benchmarks.airflow.usage import WORKERS
from benchmarks.rows import Row, number, ratio

_ROWS: tuple[Row[Result], ...] = (
    Row("container's end -> task's success, median", lambda one: one.to_success.median, "s"),
    Row("container's end -> task's success, 95 %", lambda one: one.to_success.p95, "s"),
    Row("container's end -> task's success, longest", lambda one: one.to_success.longest, "s"),
    Row("last container's end -> last task's end", lambda one: one.last, "s"),
    Row("line readable -> in an answer of the log endpoint, median", lambda one: one.line_lag.median, "s"),
    Row("line readable -> in an answer of the log endpoint, 95 %", lambda one: one.line_lag.p95, "s"),
    Row("line readable -> in an answer of the log endpoint, longest", lambda one: one.line_lag.longest, "s"),
    Row("  lines on which that stands", lambda one: one.lines_seen),
    Row("  lines of the tasks whose logs were read", lambda one: one.lines_written),
    Row("an answer of the log endpoint, median", lambda one: one.read.median, "s"),
    Row("reads of a log without an answer", lambda one: one.reads_failed, exact=True),
    Row("worker executions", lambda one: sum(phase.executions for phase in _phases(one))),
    Row("worker seconds (slots held), per task", lambda one: _per_task(one, "seconds"), "s"),
    Row("of these after the first container's end", lambda one: one.ending.worker_seconds / one.runs, "s"),
    Row("CPU of workers, per task", lambda one: _per_task(one, "cpu"), "s"),
    Row("of this after the first container's end", lambda one: one.ending.cpu[WORKERS] / one.runs, "s"),
    Row("until all are deferred", lambda one: one.deferring.seconds, "s"),
    Row("CPU of the triggerer while they run, cores", lambda one: _cores(one.running, "triggerer")),
    Row("CPU of the triggerer while they end", lambda one: one.ending.cpu["triggerer"], "s"),
    Row("CPU of the scheduler while they run, cores", lambda one: _cores(one.running, "scheduler")),
    Row("CPU of the scheduler while they end", lambda one: one.ending.cpu["scheduler"], "s"),
    Row("CPU of API server and database while they end", lambda one: _serving(one.ending), "s"),
    Row("tasks that did not succeed", lambda one: one.runs - one.states.get("success", 0), exact=True),
    Row("lines of the checked tasks", lambda one: one.lines.written),
    Row("checked tasks without a log: all their lines are lost", lambda one: one.logs_missing, exact=True),
    Row("lines lost in their final logs", lambda one: one.lines.lost, exact=True),
    Row("lines doubled in their final logs", lambda one: one.lines.doubled, exact=True),
    Row("load of the machine (times count only below its cores)", lambda one: one.machine_load),
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
    results = sorted(results, key=lambda one: one.operators)  # whichever was measured first: upstream's over ours
    for one in results:
        shown.add_column(one.operators, justify="right")
    if len(results) == 2:
        shown.add_column("upstream / ours", justify="right")
    for row in _ROWS:
        cells = [number(row.value(one), row.unit) for one in results]
        shown.add_row(row.title, *cells, *([ratio(row, *results)] if len(results) == 2 else []))
    return shown
