"""From what the harness noted and what the stand-in knows to figures."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from benchmarks.endings import verdicts
from benchmarks.figures import Figures, Lines, Loop, Spread
from benchmarks.lines import Record, decoded, judged, most
from benchmarks.load import Load, Raw

__all__ = ["Figures", "Lines", "Spread", "figures"]

# Airflow's own words in the triggerer's log.
_STARTING = re.compile(r"^trigger .* starting$")
_FIRED = "Trigger fired event"
_IDLE = 4.0  # s

_Runs = Mapping[int, Mapping[str, Any]]
"""What really happened, by trigger number."""


def figures(
    load: Load, raw: Raw, truth: Sequence[Mapping[str, Any]], book: Mapping[str, Any], server_cpu: float = math.nan
) -> Figures:
    """
    Judge one measurement.

    :param truth: ``Control.truth()``.
    :param book: ``Control.calls()``.
    :param server_cpu: seconds that the server's process used.
    """
    tasks = {one["arn"]: one for one in truth}
    mine = {number: tasks[arn] for number, arn in raw.arns.items()}
    records = decoded(raw)
    lines, lags = judged(load, records, mine)
    told = {number: at for at, number, _ in reversed(raw.fired) if number in mine}
    events = {one.number: _epoch(one.stamp) for one in records if one.number in mine and one.text == _FIRED}
    endings, wrong = verdicts(raw, mine)
    began, over = raw.started, _over(raw, mine)
    idle, peak, cpu = _process(raw, began, over)
    calls = [one for one in book["calls"] if one[0] >= began - 0.5]
    times = _times(calls)
    return Figures(
        trigger=load.trigger,
        runs=load.runs,
        complete=raw.complete,
        duration=round(over - began, 2),
        watched=Spread.of(_watched(raw, records, mine, book), load.runs),
        end_told=Spread.of(_end_told(mine), load.runs),
        detection=Spread.of((at - mine[number]["ended_at"] for number, at in told.items()), load.runs),
        event=Spread.of((at - mine[number]["ended_at"] for number, at in events.items()), load.runs),
        line_lag=Spread.of(lags, len(lags) + lines.lost + lines.left),
        due=_due(load, mine),
        lines=lines,
        loop=_loop([one for one in raw.lags if one["at"] >= began]),
        cpu=round(cpu / (over - began), 3),
        cpu_idle=round(_idle(raw), 3),
        cpu_per_run=round(cpu / load.runs, 4),
        rss_idle=round(idle / 2**20, 1),
        rss_peak=round(peak / 2**20, 1),
        rss_per_run=round((peak - idle) / 1024 / load.runs, 1),
        server_cpu=round(server_cpu / (over - began), 2),
        supervisor_cpu=round(raw.supervisor_cpu / (over - began), 2),
        machine_load=raw.machine_load,
        calls={name: len(many) for name, many in times.items()},
        run_minutes=_run_minutes(load, raw, mine),
        errors=_count(f"{one[1]} {one[4]}" for one in calls if one[4]),
        rates={name: (round(len(many) / (over - began), 2), most(many, 1.0)) for name, many in times.items()},
        most_in_1s=most(sorted(one[0] for one in calls), 1.0),
        most_in_5s={name: most(many, 5.0) for name, many in times.items()},
        rounds=max((one["calls"] - math.ceil(one["tasks"] / 100) for one in book["rounds"]), default=0),
        verdicts=endings,
        wrong=wrong,
        log_bytes=sum(len(line) for _, line in raw.records),
    )


def _over(raw: Raw, mine: _Runs) -> float:
    """When the last trigger ended."""
    return max([raw.started + 1, *(at for at, number, _ in [*raw.fired, *raw.broken] if number in mine)])


def _due(load: Load, mine: _Runs) -> int:
    """Lines that were to be written. A pod that somebody deletes may write fewer."""
    specs = [spec for number, spec in enumerate(load.specs, 1) if not mine.get(number, {}).get("deleted")]
    return sum((spec.written_in(spec.lifetime) + spec.last_lines) * len(spec.containers) for spec in specs)


def _run_minutes(load: Load, raw: Raw, mine: _Runs) -> float:
    """For which containers ran and had their triggers: without a start, and without a trigger's reading to the end."""
    specs, seconds = load.specs, 0.0
    for number, task in mine.items():
        added, running = raw.added[number], task["running_at"]
        if running is None:  # not told; launched just before the trigger was added
            running = added + specs[number - 1].startup
        seconds += max(0.0, min(task["ran_until"], raw.ended) - max(added, running))
    return round(seconds / 60, 2)


def _end_told(mine: _Runs) -> Iterable[float]:
    return (task["end_described"] - task["ended_at"] for task in mine.values() if task["end_described"])


def _watched(raw: Raw, records: Iterable[Record], mine: _Runs, book: Mapping[str, Any]) -> Iterable[float]:
    """Seconds from each trigger's start until an answer covered its run; those that never were are left out."""
    starts = {one.number: _epoch(one.stamp) for one in records if one.number in mine and _STARTING.match(one.text)}
    by_name: dict[str, list[Mapping[str, Any]]] = defaultdict(list)
    for one in book.get("covering", ()):
        by_name[one["name"]].append(one)
    for number, began in starts.items():
        task = mine[number]
        if task["first_described"]:
            yield task["first_described"] - began
            continue
        answers = [*by_name[""], *by_name[raw.names[number]]] if number in raw.names else []
        since = [max(began, one["from"]) for one in answers if one["until"] >= began]
        if since:
            yield min(since) - began


def _loop(seconds: Sequence[Mapping[str, Any]]) -> Loop:
    """The worst of the seconds' reports."""
    if not seconds:
        return Loop()
    step, own = max(seconds, key=lambda one: one["step"]), max(seconds, key=lambda one: one["own"])
    return Loop(
        lag=round(max(one["lag"] for one in seconds), 3),
        step=round(step["step"], 3),
        step_cpu=round(step["step_cpu"], 3),
        step_gc=round(step["step_gc"], 3),
        step_who=step["step_who"],
        own=round(own["own"], 3),
        own_who=own["own_who"],
        airflow=round(max(one["airflow"] for one in seconds), 3),
        most_cpu=round(max(one["most_cpu"] for one in seconds), 3),
        gc=round(max(one["gc"] for one in seconds), 3),
    )


def _process(raw: Raw, begin: float, end: float) -> tuple[float, float, float]:
    """RSS when idle and at the peak, CPU seconds in between."""
    before = [one for one in raw.samples if one[0] <= begin] or raw.samples[:1]
    during = [one for one in raw.samples if begin <= one[0] <= end + 1] or raw.samples[-1:]
    return before[-1][2], max(one[2] for one in during), during[-1][1] - before[-1][1]


def _idle(raw: Raw) -> float:
    """CPU, in cores, in the last seconds before the runs."""
    before = [one for one in raw.samples if raw.started - _IDLE <= one[0] <= raw.started]
    return (before[-1][1] - before[0][1]) / (before[-1][0] - before[0][0]) if len(before) > 1 else math.nan


def _times(calls: Sequence[Sequence[Any]]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = defaultdict(list)
    for one in calls:
        out[one[1]].append(one[0])
    return {name: sorted(times) for name, times in out.items()}


def _count(values: Iterable[str]) -> dict[str, int]:
    out: dict[str, int] = defaultdict(int)
    for value in values:
        out[value] += 1
    return dict(out)


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
