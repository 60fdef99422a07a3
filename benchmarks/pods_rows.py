"""What the table of a measurement with pods shows."""

from __future__ import annotations

from collections.abc import Callable

from benchmarks.analysis import Figures

LOGS = ("follow pods/log", "get pods/log")
STATES = ("get pods", "list pods", "watch pods")
EVENTS = ("list events", "watch events")


def per_minute(one: Figures, operations: tuple[str, ...]) -> float:
    """Requests of these kinds per pod and minute."""
    return sum(one.calls.get(name, 0) for name in operations) / max(one.run_minutes, 1e-9)


# Title, value, unit.
ROWS: tuple[tuple[str, Callable[[Figures], float], str], ...] = (
    ("end shown by the API -> trigger's event, median", lambda one: one.event.median, "s"),
    ("end shown by the API -> trigger's event, 95 %", lambda one: one.event.p95, "s"),
    ("end shown by the API -> trigger's event, 99 %", lambda one: one.event.p99, "s"),
    ("end shown by the API -> trigger's event, longest", lambda one: one.event.longest, "s"),
    ("end shown by the API -> Airflow's supervisor, median", lambda one: one.detection.median, "s"),
    ("end shown by the API -> Airflow's supervisor, longest", lambda one: one.detection.longest, "s"),
    ("line's stamp -> in the supervisor, median", lambda one: one.line_lag.median, "s"),
    ("line's stamp -> in the supervisor, 95 %", lambda one: one.line_lag.p95, "s"),
    ("line's stamp -> in the supervisor, 99 %", lambda one: one.line_lag.p99, "s"),
    ("line's stamp -> in the supervisor, longest", lambda one: one.line_lag.longest, "s"),
    ("lines written", lambda one: one.lines.written, ""),
    ("lines not shown by the triggerer (upstream leaves the last ones to a worker)", lambda one: one.lines.lost, ""),
    ("lines after their trigger's end (not in the task's log)", lambda one: one.lines.homeless, ""),
    ("lines doubled", lambda one: one.lines.doubled, ""),
    ("lines out of order", lambda one: one.lines.disordered, ""),
    ("runs that ended wrong", lambda one: len(one.wrong), ""),
    ("CPU, cores", lambda one: one.cpu, ""),
    ("CPU per run", lambda one: one.cpu_per_run * 1000, "ms"),
    ("memory per run, over a warm process", lambda one: one.rss_per_run, "KiB"),
    ("memory at the peak", lambda one: one.rss_peak, "MiB"),
    ("event loop held up, longest", lambda one: one.loop_longest * 1000, "ms"),
    ("event loop held up, 95 % of the seconds' longest", lambda one: one.loop_p95 * 1000, "ms"),
    ("garbage collection, longest", lambda one: one.gc_longest * 1000, "ms"),
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
    ("load of the machine (times count only below its cores)", lambda one: one.machine_load, ""),
    ("log channel", lambda one: one.log_bytes / 1024, "KiB"),
)  # fmt: skip
