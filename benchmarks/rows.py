"""What the table of a measurement shows: of ECS tasks, and of pods."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.analysis import Figures

LOGS = ("follow pods/log", "get pods/log")
STATES = ("get pods", "list pods", "watch pods")
EVENTS = ("list events", "watch events")

Row = tuple[str, Callable[[Figures], float], str]
"""Title, value, unit."""


def per_minute(one: Figures, operations: tuple[str, ...]) -> float:
    """Requests of these kinds per pod and minute."""
    return sum(one.calls.get(name, 0) for name in operations) / max(one.run_minutes, 1e-9)


def _spread(title: str, name: str, *shown: str) -> tuple[Row, ...]:
    """
    :param name: of the figure.
    :param shown: of its spread.
    """
    words = {"p95": "95 %", "p99": "99 %"}
    return tuple(
        (f"{title}, {words.get(part, part)}", lambda one, part=part: getattr(getattr(one, name), part), "s")
        for part in shown
    )


_LINES: tuple[Row, ...] = (
    ("lines after their trigger's end (not in the task's log)", lambda one: one.lines.homeless, ""),
    ("lines doubled", lambda one: one.lines.doubled, ""),
    ("lines out of order", lambda one: one.lines.disordered, ""),
    ("runs that ended wrong", lambda one: len(one.wrong), ""),
    ("CPU, cores", lambda one: one.cpu, ""),
    ("CPU per run", lambda one: one.cpu_per_run * 1000, "ms"),
)
_PROCESS: tuple[Row, ...] = (
    ("memory at the peak", lambda one: one.rss_peak, "MiB"),
    ("event loop held up, longest", lambda one: one.loop_longest * 1000, "ms"),
    ("event loop held up, 95 % of the seconds' longest", lambda one: one.loop_p95 * 1000, "ms"),
    ("garbage collection, longest", lambda one: one.gc_longest * 1000, "ms"),
)
_LAST: tuple[Row, ...] = (
    ("load of the machine (times count only below its cores)", lambda one: one.machine_load, ""),
    ("log channel", lambda one: one.log_bytes / 1024, "KiB"),
)

TASKS: tuple[Row, ...] = (
    *_spread("start -> first DescribeTasks answer", "first_answer", "median", "longest"),
    *_spread("end of container -> told by ECS", "end_told", "longest"),
    *_spread("end of container -> event (log read to its end)", "detection", "median", "longest"),
    *_spread("line readable -> in the supervisor", "line_lag", "median", "p95", "longest"),
    ("lines written", lambda one: one.lines.written, ""),
    ("lines lost", lambda one: one.lines.lost, ""),
    *_LINES,
    ("memory per run", lambda one: one.rss_per_run, "KiB"),
    *_PROCESS,
    ("DescribeTasks calls", lambda one: one.calls.get("DescribeTasks", 0), ""),
    ("DescribeTasks calls/s, most in a second", lambda one: one.rates.get("DescribeTasks", (0, 0))[1], ""),
    ("FilterLogEvents calls", lambda one: one.calls.get("FilterLogEvents", 0), ""),
    ("GetLogEvents calls", lambda one: one.calls.get("GetLogEvents", 0), ""),
    ("GetLogEvents calls/s, most in a second", lambda one: one.rates.get("GetLogEvents", (0, 0))[1], ""),
    ("calls refused", lambda one: sum(one.errors.values()), ""),
    *_LAST,
)

PODS: tuple[Row, ...] = (
    *_spread("end shown by the API -> trigger's event", "event", "median", "p95", "p99", "longest"),
    *_spread("end shown by the API -> Airflow's supervisor", "detection", "median", "longest"),
    *_spread("line's stamp -> in the supervisor", "line_lag", "median", "p95", "p99", "longest"),
    ("lines written", lambda one: one.lines.written, ""),
    ("lines not shown by the triggerer (upstream leaves the last ones to a worker)", lambda one: one.lines.lost, ""),
    *_LINES,
    ("memory per run, over a warm process", lambda one: one.rss_per_run, "KiB"),
    *_PROCESS,
    ("requests for states per pod-minute", lambda one: per_minute(one, STATES), ""),
    ("requests for logs per pod-minute", lambda one: per_minute(one, LOGS), ""),
    ("lists of pods", lambda one: one.calls.get("list pods", 0), ""),
    ("watches of pods", lambda one: one.calls.get("watch pods", 0), ""),
    ("gets of a pod", lambda one: one.calls.get("get pods", 0), ""),
    ("lists and watches of events", lambda one: sum(one.calls.get(name, 0) for name in EVENTS), ""),
    ("logs followed", lambda one: one.calls.get("follow pods/log", 0), ""),
    ("logs read", lambda one: one.calls.get("get pods/log", 0), ""),
    ("requests/s, most in a second", lambda one: one.most_in_1s, ""),
    ("requests refused", lambda one: sum(one.errors.values()), ""),
    *_LAST,
)
