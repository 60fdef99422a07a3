"""From what the harness noted and what the stand-in knows to figures."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import msgspec

from benchmarks.runner import Load, Raw

# As the stand-ins write them: whose it is (the task's id, cut; the pod's container), the container, the line's number.
_LINES = {
    "ecs": re.compile(r"(?P<run>[0-9a-f]{12}):(?P<container>[\w-]+):(?P<position>\d{6}) "),
    "pods": re.compile(r"(?P<run>(?P<container>r\d{5})) (?P<position>\d+)\."),
}
# Upstream's triggers tell only that the task is over, a pod's whether it failed; its operators ask again what became of
# it.
_UPSTREAM = "over"
_UPSTREAM_FAILED = "over, failed"
# Airflow's own words in the triggerer's log.
_STARTING = re.compile(r"^trigger .* starting$")
_FIRED = "Trigger fired event"


class Spread(msgspec.Struct, frozen=True):
    """Of a number of times in seconds."""

    median: float
    p95: float
    p99: float
    longest: float

    @classmethod
    def of(cls, values: Iterable[float]) -> Spread:
        """Not-a-number where there are none."""
        ranked = sorted(values)
        if not ranked:
            return cls(math.nan, math.nan, math.nan, math.nan)
        at = (len(ranked) // 2, *(min(len(ranked) - 1, int(len(ranked) * share)) for share in (0.95, 0.99)), -1)
        return cls(*(round(ranked[index], 3) for index in at))


class Lines(msgspec.Struct, kw_only=True):
    """
    What became of the containers' lines.

    :param lost: never arrived.
    :param doubled: arrived more than once.
    :param disordered: arrived after a later line of their container, or with an older stamp than the one before.
    :param homeless: arrived after their trigger was finished: in Airflow they miss the task's log.
    :param elsewhere: arrived in the log of another task.
    """

    written: int = 0
    arrived: int = 0
    lost: int = 0
    doubled: int = 0
    disordered: int = 0
    homeless: int = 0
    elsewhere: int = 0
    examples: list[str] = []


class Figures(msgspec.Struct, kw_only=True):
    """
    One measurement.

    :param first_answer: from a trigger's start to the first DescribeTasks answer with its task.
    :param end_told: from a container's end to the first DescribeTasks answer that tells it.
    :param detection: from a container's end (of pods: from when the API shows it) to when the supervisor has the event,
        which includes reading the log to its end.
    :param event: from there to the trigger's event: the triggerer hands events to its supervisor only once a second.
    :param line_lag: from when a line could be read to its arrival at the supervisor.
    :param cpu: share of one core, of the whole runner process, while runs were under way.
    :param cpu_per_run: CPU seconds for one run, start and end included.
    :param rss_idle: MiB, before the runs.
    :param rss_per_run: KiB at the peak, over the idle process, for each run.
    :param loop_longest: longest delay of a timer in the event loop, s; ``loop_cpu``: CPU time used in that gap.
    :param gc_longest: longest garbage collection, s: what our objects cost all others in a process of this size.
    :param machine_load: 1 min load average at the end; above the number of cores, times say little.
    :param calls: per operation.
    :param run_minutes: sum of the times from each run's start to its end, minutes.
    :param errors: answers that were errors, per operation and code.
    :param rates: per operation the mean calls per second, and the most in any one second.
    :param most_in_1s: most calls of all kinds in any one second.
    :param rounds: of DescribeTasks: most calls that one round needed beyond ceil(tasks/100).
    :param verdicts: how often each ending came.
    """

    trigger: str
    runs: int
    complete: bool
    duration: float
    first_answer: Spread
    end_told: Spread
    detection: Spread
    event: Spread
    line_lag: Spread
    lines: Lines
    cpu: float
    cpu_per_run: float
    rss_idle: float
    rss_peak: float
    rss_per_run: float
    loop_longest: float
    loop_cpu: float
    loop_p95: float
    gc_longest: float
    machine_load: float
    calls: dict[str, int]
    run_minutes: float
    errors: dict[str, int]
    rates: dict[str, tuple[float, int]]
    most_in_1s: int
    most_in_5s: dict[str, int]
    rounds: int
    verdicts: dict[str, int]
    wrong: list[str]
    log_bytes: int


def figures(load: Load, raw: Raw, truth: Sequence[Mapping[str, Any]], book: Mapping[str, Any]) -> Figures:
    """
    Judge one measurement.

    :param truth: ``Control.truth()``.
    :param book: ``Control.calls()``.
    """
    tasks = {one["arn"]: one for one in truth}
    mine = {number: tasks[arn] for number, arn in raw.arns.items()}
    records = _decoded(raw)
    starts = {number: at for number, at, _, event, _ in records if number in mine and _STARTING.match(event)}
    starts = {number: _epoch(at) for number, at in starts.items()}
    events = {number: _epoch(at) for number, at, _, event, _ in records if number in mine and event == _FIRED}
    lines, lags = _lines(records, mine, _LINES[load.platform])
    verdicts, wrong = _verdicts(raw, mine)
    ended = {number: at for at, number, _ in reversed(raw.fired) if number in mine}
    calls = [one for one in book["calls"] if one[0] >= raw.started - 0.5]
    busy_from, busy_to = raw.started, max([*ended.values(), raw.started + 1])
    idle, peak, cpu = _process(raw, busy_from, busy_to)
    return Figures(
        trigger=load.trigger,
        runs=load.runs,
        complete=raw.complete,
        duration=round(busy_to - busy_from, 2),
        first_answer=Spread.of(
            mine[number]["first_described"] - at for number, at in starts.items() if mine[number]["first_described"]
        ),
        end_told=Spread.of(task["end_described"] - task["ended_at"] for task in mine.values() if task["end_described"]),
        detection=Spread.of(ended[number] - task["ended_at"] for number, task in mine.items() if number in ended),
        event=Spread.of(at - mine[number]["ended_at"] for number, at in events.items()),
        line_lag=Spread.of(lags),
        lines=lines,
        cpu=round(cpu / (busy_to - busy_from), 3),
        cpu_per_run=round(cpu / load.runs, 4),
        rss_idle=round(idle / 2**20, 1),
        rss_peak=round(peak / 2**20, 1),
        rss_per_run=round((peak - idle) / 1024 / load.runs, 1),
        **_loop([one for one in raw.lags if one["at"] >= raw.started]),
        machine_load=raw.machine_load,
        calls=_count(one[1] for one in calls),
        run_minutes=round(sum(ended[number] - raw.added.get(number, raw.started) for number in ended) / 60, 2),
        errors=_count(f"{one[1]} {one[4]}" for one in calls if one[4]),
        rates=_rates(calls, busy_to - busy_from),
        most_in_1s=_most(sorted(one[0] for one in calls), 1.0),
        most_in_5s={name: _most(times, 5.0) for name, times in _times(calls).items()},
        rounds=max((one["calls"] - math.ceil(one["tasks"] / 100) for one in book["rounds"]), default=0),
        verdicts=verdicts,
        wrong=wrong,
        log_bytes=sum(len(line) for _, line in raw.records),
    )


def _loop(lags: Sequence[Mapping[str, float]]) -> dict[str, float]:
    """How the event loop was held up, by the names in ``Figures``."""
    worst = max(lags, key=lambda one: one["lag"], default={"lag": math.nan, "cpu": math.nan})
    return {
        "loop_longest": round(worst["lag"], 3),
        "loop_cpu": round(worst["cpu"], 3),
        "loop_p95": Spread.of(one["lag"] for one in lags).p95,
        "gc_longest": round(max((one.get("gc", 0.0) for one in lags), default=0.0), 3),
    }


_Decoded = tuple[int, str, float, str, bool]


def _decoded(raw: Raw) -> list[_Decoded]:
    """(trigger, stamp, arrival, text, whether the task's log still takes it)."""
    out = []
    for arrival, line in raw.records:
        record = msgspec.json.decode(line)
        number = record.get("trigger_id") or 0
        home = arrival <= raw.finished.get(number, math.inf)
        out.append((number, record.get("timestamp", ""), arrival, str(record.get("event", "")), home))
    return out


def _lines(
    records: list[_Decoded], mine: Mapping[int, Mapping[str, Any]], form: re.Pattern[str]
) -> tuple[Lines, list[float]]:
    told, lags = Lines(), list[float]()
    numbers = {task.get("mark") or task["arn"].rsplit("/", 1)[-1][:12]: number for number, task in mine.items()}
    seen: dict[tuple[int, str], list[int]] = defaultdict(list)
    stamps: dict[tuple[int, str], str] = {}
    for number, stamp, arrival, text, home in records:
        for match in form.finditer(text):
            task, container, position = numbers.get(match["run"]), match["container"], int(match["position"])
            if task is None:
                continue
            key = task, container
            told.arrived += 1
            told.homeless += not home
            told.elsewhere += task != number
            if seen[key] and position < seen[key][-1]:
                _note(told, "disordered", f"{match[0]} after line {seen[key][-1]}")
            elif stamp < stamps.get(key, ""):
                _note(told, "disordered", f"{match[0]} is stamped {stamp}, before {stamps[key]}")
            seen[key].append(position)
            stamps[key] = stamp
            lags.append(arrival - mine[task]["lines"][container][position][1])
    for number, task in mine.items():
        for container, written in task["lines"].items():
            _compare(told, number, container, len(written), seen[number, container])
    return told, lags


def _compare(told: Lines, number: int, container: str, written: int, seen: list[int]) -> None:
    told.written += written
    distinct = set(seen)
    missing = sorted(set(range(written)) - distinct)
    told.lost += len(missing)
    told.doubled += len(seen) - len(distinct)
    if missing:
        _note(told, "", f"run {number} {container}: {len(missing)} of {written} lost, from {missing[0]} on")
    if len(seen) > len(distinct):
        _note(told, "", f"run {number} {container}: {len(seen) - len(distinct)} doubled")


def _note(told: Lines, what: str, example: str) -> None:
    if what:
        setattr(told, what, getattr(told, what) + 1)
    if len(told.examples) < 20:
        told.examples.append(example)


def _verdicts(raw: Raw, mine: Mapping[int, Mapping[str, Any]]) -> tuple[dict[str, int], list[str]]:
    """Endings, and those that do not fit the container's exit code, with the reason."""
    ends: dict[int, list[str]] = defaultdict(list)
    for _, number, event in raw.fired:
        if number in mine:
            ends[number].append(_ending(event))
    for _, number, text in raw.broken:
        if number in mine:
            ends[number].append("trigger failed: " + text.strip().rsplit("\n", 1)[-1][:200])
    wrong = []
    for number, task in mine.items():
        failed = task["exit_codes"][0] != 0
        expected = f"failed {task['exit_codes'][0]}" if failed else "succeeded"
        if task.get("deleted"):
            expected = f"stopped {task['exit_codes'][0]}"
        if ends[number] not in ([expected], [_UPSTREAM], [_UPSTREAM_FAILED] if failed else []):
            wrong.append(f"run {number}: {ends[number]}, not {expected}")
    return _count(one for many in ends.values() for one in many), wrong


def _ending(event: Mapping[str, Any]) -> str:
    payload = event["payload"]
    if event["kind"] == "TaskSuccessEvent":
        return "succeeded"
    if isinstance(payload, dict) and "outcome" in payload:
        outcome = payload["outcome"]
        decider = outcome.get("decided_by")
        codes = [one.get("exit_code") for one in outcome.get("containers") or () if one.get("name") == decider]
        return str(outcome["verdict"]).lower() + "".join(f" {code}" for code in codes if code)
    told = {"success": _UPSTREAM, "failed": _UPSTREAM_FAILED}
    return told.get(payload.get("status"), f"event {payload}") if isinstance(payload, dict) else f"event {payload}"


def _process(raw: Raw, begin: float, end: float) -> tuple[float, float, float]:
    """RSS when idle and at the peak, CPU seconds in between."""
    before = [one for one in raw.samples if one[0] <= begin] or raw.samples[:1]
    during = [one for one in raw.samples if begin <= one[0] <= end + 1] or raw.samples[-1:]
    return before[-1][2], max(one[2] for one in during), during[-1][1] - before[-1][1]


def _times(calls: Sequence[Sequence[Any]]) -> dict[str, list[float]]:
    out: dict[str, list[float]] = defaultdict(list)
    for one in calls:
        out[one[1]].append(one[0])
    return {name: sorted(times) for name, times in out.items()}


def _rates(calls: Sequence[Sequence[Any]], duration: float) -> dict[str, tuple[float, int]]:
    return {name: (round(len(times) / max(duration, 1), 2), _most(times, 1.0)) for name, times in _times(calls).items()}


def _most(times: list[float], width: float) -> int:
    """Most calls in any window of that many seconds."""
    most = first = 0
    for index, at in enumerate(times):
        while at - times[first] >= width:
            first += 1
        most = max(most, index - first + 1)
    return most


def _count(values: Iterable[str]) -> dict[str, int]:
    out: dict[str, int] = defaultdict(int)
    for value in values:
        out[value] += 1
    return dict(out)


def _epoch(stamp: str) -> float:
    return datetime.fromisoformat(stamp).timestamp()
