"""What the table of a measurement shows: of ECS tasks, and of pods."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import Generic, NamedTuple, TypeVar

from benchmarks.figures import Figures

T = TypeVar("T")

FOLLOWS = ("follow pods/log",)
STATES = ("get pods", "list pods", "watch pods")
EVENTS = ("list events", "watch events")
MEMORY = "memory per run, over a warm process"
OUTDATED = "†"
"""Mark of a figure that was measured of other code than that of now."""
CALLS = ("DescribeTasks", "FilterLogEvents", "GetLogEvents")


class Row(NamedTuple, Generic[T]):
    """
    One row of a table of measurements.

    :param docs: it is in the documentation, too.
    :param exact: a count that should be 0: it has no ratio.
    :param logs: it is about logs: nothing where only states are watched.
    """

    title: str
    value: Callable[[T], float]
    unit: str = ""
    docs: bool = False
    exact: bool = False
    logs: bool = False


def _spread(title: str, name: str, *shown: str, docs: str = "") -> tuple[Row[Figures], ...]:
    """
    :param name: of the figure.
    :param shown: of its spread; ``docs``: which of them is in the documentation.
    """
    words = {"p95": "95 %", "p99": "99 %"}
    return tuple(
        Row(
            f"{title}, {words.get(part, part)}",
            partial(_part, name, part),
            "s",
            docs=part in docs.split(),
            logs=name == "line_lag",
        )
        for part in shown
    )


def _part(name: str, part: str, one: Figures) -> float:
    value: float = getattr(getattr(one, name), part)
    return value


def _count(operation: str, one: Figures) -> float:
    return one.calls.get(operation, 0)


def _calls(title: str, *operations: str, docs: bool = False) -> Row[Figures]:
    return Row(title, lambda one: one.per_minute(*operations), docs=docs)


_TIMES = ("median", "p99", "longest")
_DOCS = "median p99"

_LINES: tuple[Row[Figures], ...] = (
    Row("lines written", lambda one: one.lines.written, logs=True),
    Row("lines lost", lambda one: one.lines.lost, docs=True, exact=True, logs=True),
    Row("lines doubled", lambda one: one.lines.doubled, docs=True, exact=True, logs=True),
    Row("lines out of order", lambda one: one.lines.disordered, exact=True, logs=True),
    Row(
        "lines after their trigger's end (not in the task's log)", lambda one: one.lines.homeless, exact=True, logs=True
    ),
    Row("lines/s at the supervisor, most in 10 s", lambda one: one.lines.most_per_second, docs=True, logs=True),
    Row("runs failed or ended wrong", lambda one: len(one.wrong), docs=True, exact=True),
)
_PROCESS: tuple[Row[Figures], ...] = (
    Row("CPU, cores", lambda one: one.cpu, docs=True),
    Row("  idle before, with the harness's own timer", lambda one: one.cpu_idle),
    Row("CPU per run", lambda one: one.cpu_per_run * 1000, "ms", docs=True),
    Row(MEMORY, lambda one: one.rss_per_run, "KiB", docs=True),
    Row("memory at the peak", lambda one: one.rss_peak, "MiB"),
    Row("event loop: longest step", lambda one: one.loop.step * 1000, "ms", docs=True),
    Row("  garbage collection in that step", lambda one: one.loop.step_gc * 1000, "ms"),
    Row("  CPU time in that step", lambda one: one.loop.step_cpu * 1000, "ms"),
    Row(
        "event loop: longest step of triggers, less garbage collection",
        lambda one: one.loop.own * 1000,
        "ms",
        docs=True,
    ),
    Row("event loop: longest step of Airflow's own", lambda one: one.loop.airflow * 1000, "ms", docs=True),
    Row("event loop: most CPU time in one step", lambda one: one.loop.most_cpu * 1000, "ms"),
    Row("event loop: longest turn (delay of a timer)", lambda one: one.loop.lag * 1000, "ms"),
    Row("garbage collection, longest", lambda one: one.loop.gc * 1000, "ms"),
)
_LAST: tuple[Row[Figures], ...] = (
    Row("log channel", lambda one: one.log_bytes / 1024, "KiB"),
    Row("server's own CPU, cores", lambda one: one.server_cpu),
    Row("supervisor's CPU, cores", lambda one: one.supervisor_cpu),
    Row("load of the machine (times count only below its cores)", lambda one: one.machine_load),
)

TASKS: tuple[Row[Figures], ...] = (
    *_spread("start -> watched (first DescribeTasks answer)", "watched", *_TIMES, docs=_DOCS),
    *_spread("end of containers -> told by ECS", "end_told", *_TIMES, docs=_DOCS),
    *_spread("end of containers -> event (ours: log read to its end)", "event", *_TIMES, docs=_DOCS),
    *_spread("line readable -> in the supervisor", "line_lag", *_TIMES, docs=_DOCS),
    *_LINES,
    *_PROCESS,
    _calls("DescribeTasks + log calls per run-minute", *CALLS, docs=True),
    *(Row(f"{name} calls", partial(_count, name)) for name in CALLS),
    Row("DescribeTasks calls/s, most in a second", lambda one: one.rates.get("DescribeTasks", (0, 0))[1]),
    Row("calls refused", lambda one: sum(one.errors.values())),
    *_LAST,
)

PODS: tuple[Row[Figures], ...] = (
    *_spread("start -> watched (list, open watch or GET)", "watched", *_TIMES, docs=_DOCS),
    *_spread("end shown by the API -> trigger's event", "event", *_TIMES, docs=_DOCS),
    *_spread("end shown by the API -> Airflow's supervisor", "detection", "median", "longest"),
    *_spread("line's stamp -> in the supervisor", "line_lag", *_TIMES, docs=_DOCS),
    *_LINES,
    Row(
        "lines not shown by the triggerer, left to a worker",
        lambda one: one.lines.left,
        docs=True,
        exact=True,
        logs=True,
    ),
    *_PROCESS,
    _calls("requests for states per pod-minute", *STATES, docs=True),
    Row("follows of logs per pod", lambda one: one.calls.get("follow pods/log", 0) / one.runs, docs=True, logs=True),
    Row("readings of logs per pod", lambda one: one.calls.get("get pods/log", 0) / one.runs, docs=True, logs=True),
    Row("lists of pods", lambda one: one.calls.get("list pods", 0)),
    Row("watches of pods", lambda one: one.calls.get("watch pods", 0)),
    Row("gets of a pod", lambda one: one.calls.get("get pods", 0)),
    Row("lists and watches of events", lambda one: sum(one.calls.get(name, 0) for name in EVENTS)),
    Row("requests/s, most in a second", lambda one: one.most_in_1s),
    Row("requests refused", lambda one: sum(one.errors.values())),
    *_LAST,
)


def rows(platform: str, *, logs: bool = True) -> tuple[Row[Figures], ...]:
    """
    :param platform: ``ecs`` or ``pods``.
    :param logs: the runs write lines.
    """
    return tuple(row for row in (PODS if platform == "pods" else TASKS) if logs or not row.logs)


def number(value: float, unit: str = "") -> str:
    """As people read it; ``-`` where there is none."""
    if math.isnan(value):
        return "-"
    text = f"{value:,.0f}" if abs(value) >= 9.95 or float(value).is_integer() else f"{value:.2g}"
    return f"{text} {unit}".strip()


def shown(value: float, unit: str, *, outdated: bool) -> str:
    """A number as the documentation shows it."""
    return number(value, unit) + (f" {OUTDATED}" if outdated else "")


def ratio(row: Row[T], ours: T, upstream: T) -> str:
    """Upstream's over ours, where that means something."""
    mine, other = row.value(ours), row.value(upstream)
    if row.exact or not mine or math.isnan(mine) or math.isnan(other):
        return ""
    return number(other / mine)
