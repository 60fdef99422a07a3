"""What became of each line that a container wrote."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import msgspec

from benchmarks.figures import Lines
from benchmarks.load import Load, Raw

# As the stand-ins write them: whose it is (the task's id, cut; the pod's container), the container, the line's number.
_FORMS = {
    "ecs": re.compile(r"(?P<run>[0-9a-f]{12}):(?P<container>[\w-]+):(?P<position>\d{6}) "),
    "pods": re.compile(r"(?P<run>(?P<container>r\d{5})) (?P<position>\d+)\."),
}
_EXAMPLES = 20
_WINDOW = 10.0  # s


class Record(NamedTuple):
    """
    One record of the log channel.

    :param home: the task's log still takes it.
    """

    number: int
    stamp: str
    arrival: float
    text: str
    home: bool


def decoded(raw: Raw) -> list[Record]:
    """All of them, in the order of their arrival."""
    out = []
    for arrival, line in raw.records:
        record = msgspec.json.decode(line)
        number = record.get("trigger_id") or 0
        home = arrival <= raw.finished.get(number, math.inf)
        out.append(Record(number, record.get("timestamp", ""), arrival, str(record.get("event", "")), home))
    return out


def judged(load: Load, records: Iterable[Record], mine: Mapping[int, Mapping[str, Any]]) -> tuple[Lines, list[float]]:
    """
    Compare what arrived with what was written.

    :param mine: what really happened, by trigger number.
    :return: the counts, and of each line that arrived its lag in seconds.
    """
    told, lags, arrivals = Lines(), list[float](), list[float]()
    numbers = {task.get("mark") or task["arn"].rsplit("/", 1)[-1][:12]: number for number, task in mine.items()}
    seen: dict[tuple[int, str], list[int]] = defaultdict(list)
    stamps: dict[tuple[int, str], str] = {}
    for record in records:
        for match in _FORMS[load.platform].finditer(record.text):
            task, container, position = numbers.get(match["run"]), match["container"], int(match["position"])
            if task is None:
                continue
            key = task, container
            told.arrived += 1
            told.homeless += not record.home
            told.elsewhere += task != record.number
            if seen[key] and position < seen[key][-1]:
                _note(told, "disordered", f"{match[0]} after line {seen[key][-1]}")
            elif record.stamp < stamps.get(key, ""):
                _note(told, "disordered", f"{match[0]} is stamped {record.stamp}, before {stamps[key]}")
            seen[key].append(position)
            stamps[key] = record.stamp
            lags.append(record.arrival - mine[task]["lines"][container][position][1])
            arrivals.append(record.arrival)
    leaves = (load.platform, load.trigger) == ("pods", "upstream")
    for number, truth in mine.items():
        for container, written in truth["lines"].items():
            _compare(told, f"run {number} {container}", len(written), seen[number, container], leaves=leaves)
    told.most_per_second = most(arrivals, _WINDOW) / _WINDOW
    return told, lags


def _compare(told: Lines, what: str, written: int, seen: list[int], *, leaves: bool) -> None:
    """
    :param leaves: the last ones are left to a worker, and not lost.
    """
    told.written += written
    distinct = set(seen)
    missing = sorted(set(range(written)) - distinct)
    if leaves:
        last = max(distinct, default=-1)
        told.left += sum(position > last for position in missing)
        missing = [position for position in missing if position < last]
    told.lost += len(missing)
    told.doubled += len(seen) - len(distinct)
    if missing:
        _note(told, "", f"{what}: {len(missing)} of {written} lost, from {missing[0]} on")
    if len(seen) > len(distinct):
        _note(told, "", f"{what}: {len(seen) - len(distinct)} doubled")


def _note(told: Lines, what: str, example: str) -> None:
    if what:
        setattr(told, what, getattr(told, what) + 1)
    if len(told.examples) < _EXAMPLES:
        told.examples.append(example)


def most(times: Sequence[float], width: float) -> int:
    """
    Most of them in any window of that many seconds.

    :param times: ascending.
    """
    found = first = 0
    for index, at in enumerate(times):
        while at - times[first] >= width:
            first += 1
        found = max(found, index - first + 1)
    return found
