"""Triggerers that die at random moments while runs write, and what the task logs show of it."""

from __future__ import annotations

import json
import os
import random
import signal
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from asyncrun.local.airflow import LocalAirflow, LogRecord
from tests.support.writing import Count, Writers, compare, compare_so_far

RUNNER, SUPERVISOR, SIGTERM = "kill -9 of the runner", "kill -9 of the supervisor", "SIGTERM of the supervisor"
KINDS = (RUNNER, SUPERVISOR, SIGTERM)

MOVED = ", also moved"

_TAKE_OVER_LIMIT = 240.0  # s
_END_LIMIT = 60.0  # s; a triggerer that is told to end waits about 20 s for its runner


def kinds_in_random_order(chance: random.Random, count: int) -> list[str]:
    """So many of each kind."""
    kinds = list(KINDS) * count
    chance.shuffle(kinds)
    return kinds


@dataclass
class Figures:
    """What was counted over some rounds."""

    took: defaultdict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds until another triggerer had all triggers of the dead one, by kind."""
    in_a_row: int = 0
    moved: int = 0
    """Runs that also moved away from a triggerer that was only believed to be dead."""
    shown_again: list[float] = field(default_factory=list)
    """Seconds until the other one wrote the first container line of the first run it had taken over."""
    survivors: Counter[str] = field(default_factory=Counter)
    """Processes that a dead triggerer had left behind seconds later, by what they are."""
    runs: int = 0
    containers: int = 0
    seconds: float = 0.0
    """In which lines were written."""
    end: dict[str, Count] = field(default_factory=dict)
    meanwhile: dict[str, Count] = field(default_factory=dict)
    looks: int = 0
    evidence: list[str] = field(default_factory=list)

    @property
    def kills(self) -> int:
        return sum(map(len, self.took.values()))

    def text(self, title: str) -> str:
        """For a person."""
        lines = sum(count.lines for count in self.end.values())
        out = [
            f"{title}: {self.kills} kills, {self.in_a_row} of them within 2 s of the take-over before; "
            f"{self.moved} runs also moved away from a triggerer that lived, but was believed to be dead",
            f"  written: {lines:,} lines by {self.containers} containers of {self.runs} runs, "
            f"{lines / max(self.seconds, 1):.0f} lines/s",
        ]
        out += [f"  at the end, {backend}: {count.lines:,} lines, {count}" for backend, count in self.end.items()]
        out += [
            f"  while deferred, {backend}: {self.looks} looks, {count.lines:,} lines, {count}"
            for backend, count in self.meanwhile.items()
        ]
        out += [f"  {len(took)} x {kind}: taken over after {spread(took)}" for kind, took in sorted(self.took.items())]
        if self.shown_again:
            out.append(f"  from the kill to the successor's first line of a container: {spread(self.shown_again)}")
        if self.survivors:
            out.append(f"  left behind by the dead (and then ended): {dict(self.survivors)}")
        return "\n".join([*out, *(f"  {line}" for line in dict.fromkeys(self.evidence[:60]))])


def spread(seconds: Sequence[float]) -> str:
    """Median and range."""
    return f"{statistics.median(seconds):.1f} s (median; {min(seconds):.1f} to {max(seconds):.1f})"


@dataclass(frozen=True)
class Part:
    """One task instance, and the containers of its run."""

    backend: str
    dag_id: str
    run_id: str
    map_index: int
    containers: tuple[str, ...]

    def written_as(self, container: str) -> str:
        """How its writer calls itself."""
        return f"{self.backend}-{self.map_index}-{container}"


class Stage:
    """
    One Airflow whose triggerers die.

    Invariant between kills: one triggerer has the triggers, and a second one is there or is starting.

    :param folders: gives each new triggerer the folder of its logs; None: all share Airflow's own.
    """

    def __init__(self, airflow: LocalAirflow, chance: random.Random, folders: Callable[[], Path] | None = None) -> None:
        self._airflow, self._chance, self._folders = airflow, chance, folders
        self._logs = {"triggerer": airflow.home / "logs"}
        self.figures = Figures()

    def start(self) -> None:
        """Start the next triggerer; it is ready some seconds later."""
        folder = self._folders() if self._folders else None
        env = {"AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(folder)} if folder else {}
        name = self._airflow.start_triggerer(env).name
        self._logs[name] = folder or self._airflow.home / "logs"

    def kill_one(self, kind: str, parts: Sequence[Part]) -> None:
        """Kill the triggerer that has the triggers; returns when another one has all of them."""
        before = self.owners(parts)
        jobs = {job: name for name, job in self._airflow.triggerers().items()}
        owners = [job for job in before if job in jobs]
        victim_job = max(owners, key=before.__getitem__)
        victim, began = jobs[victim_job], time.monotonic()
        if kind is RUNNER:
            self._airflow.kill_runner(victim)
        else:
            self._airflow.kill(victim, signal.SIGKILL if kind is SUPERVISOR else signal.SIGTERM)
        self.start()
        owner = self._airflow.wait_until(
            lambda: self._successor(parts, {victim_job}),
            "a successor",
            _TAKE_OVER_LIMIT,
            now=lambda: self.owners(parts),
        )
        self.figures.took[kind].append(time.monotonic() - began)
        if before[victim_job] == len(parts):
            self._shown_again(began, owner, parts[0])
        self._airflow.component(victim).wait(_END_LIMIT)
        self._bury(victim)

    def owners(self, parts: Sequence[Part]) -> Counter[int]:
        """How many of the triggers each triggerer has."""
        found: Counter[int] = Counter()
        for dag_id, run_id in sorted({(part.dag_id, part.run_id) for part in parts}):
            found.update(ti.triggerer_id or 0 for ti in self._airflow.task_instances(dag_id, run_id))
        return found

    def _successor(self, parts: Sequence[Part], dead: set[int]) -> int | None:
        owners = self.owners(parts)
        if 0 in owners or dead & owners.keys() or not owners.keys() <= set(self._airflow.triggerers().values()):
            return None
        return max(owners, key=owners.__getitem__)

    def _shown_again(self, began: float, job: int, part: Part) -> None:
        """Wait for the first line of a container in the successor's own file."""
        names = {each: name for name, each in self._airflow.triggerers().items()}
        if job not in names:
            return
        pattern = f"dag_id={part.dag_id}/run_id={part.run_id}/**/*.trigger.{job}.log"
        folder = self._logs[names[job]]
        mark = f"{part.backend}-{part.map_index}-"

        def shown() -> str | None:
            if any(mark in path.read_text(errors="replace") for path in folder.glob(pattern)):
                return "shown"
            return None if job in self.owners([part]) else "moved on"

        if self._airflow.wait_until(shown, f"a line in {pattern}", _TAKE_OVER_LIMIT) == "shown":
            self.figures.shown_again.append(time.monotonic() - began)

    def _bury(self, name: str) -> None:
        pid = self._airflow.component(name).pid
        for process in self._airflow.processes():
            words = _session_and_words(process)
            if words and words[0] == pid:
                self.figures.survivors["log server" if "serve-logs" in words[1] else "runner"] += 1
        self._airflow.bury(name)

    # --- what the logs show ---

    def look(self, parts: Sequence[Part]) -> None:
        """Read all logs while the tasks are deferred."""
        for part in parts:
            records = self._records(part)
            for container in part.containers:
                count = compare_so_far(lines_of(records, container), part.written_as(container))
                add(self.figures.meanwhile, part.backend, count)
                self._keep_evidence(part, count, "while deferred")
        self.figures.looks += 1

    def count(self, parts: Sequence[Part], writers: Writers) -> None:
        """Read all logs after the end."""
        for part in parts:
            records = self._records(part)
            moved = any("the container run was moved" in record.event for record in records)
            self.figures.moved += moved
            for container in part.containers:
                written = writers.written(part.written_as(container))
                count = compare(lines_of(records, container), written)
                add(self.figures.end, part.backend + (MOVED if moved else ""), count)
                self._keep_evidence(part, count, "at the end")
                if count.lost:
                    self.figures.evidence += [f"{part.backend}, {container}: {word}" for word in warnings(records)]
                self.figures.containers += 1
        self.figures.runs += len(parts)

    def _keep_evidence(self, part: Part, count: Count, when: str) -> None:
        """The records of each triggerer's file that hold lines which are wrong."""
        pattern = f"dag_id={part.dag_id}/run_id={part.run_id}/**/map_index={part.map_index}/*.trigger.*.log"
        doubled = [example for example in count.examples if example.startswith("doubled")]
        for example in doubled[:3]:
            line = example.partition(": ")[2]
            for name, folder in self._logs.items():
                for path in folder.glob(pattern):
                    found = [raw for raw in path.read_text(errors="replace").splitlines() if has_line(raw, line)]
                    self.figures.evidence += [f"{when}, {example}, {name}, {path.name}: {raw[:300]}" for raw in found]

    def _records(self, part: Part) -> list[LogRecord]:
        return self._airflow.logs(part.dag_id, part.run_id, "part", 1, part.map_index)


def warnings(records: Sequence[LogRecord]) -> list[str]:
    """What asyncrun says of a log that is not whole."""
    ours = [record for record in records if record.logger == "asyncrun" and record.level == "warning"]
    return [str(record) for record in ours or records[-1:]]


def add(counts: dict[str, Count], backend: str, count: Count) -> None:
    """One more count of that backend."""
    counts[backend] = counts.get(backend, Count()) + count


def lines_of(records: Sequence[LogRecord], container: str) -> list[str]:
    """What a container wrote: its records carry its name as logger, and may hold several lines."""
    return [
        line
        for record in records
        if record.logger == container
        for line in record.event.removeprefix(f"[{container}] ").split("\n")
    ]


def has_line(raw: str, line: str) -> bool:
    """Whether a record of a log file holds that line of a container."""
    try:
        text = str(json.loads(raw)["event"])
    except (ValueError, KeyError):
        return False
    return any(each.endswith(line) for each in text.split("\n"))


def _session_and_words(process: object) -> tuple[int, str] | None:
    import psutil

    assert isinstance(process, psutil.Process)
    try:
        return os.getsid(process.pid), " ".join(process.cmdline())
    except (psutil.Error, OSError):
        return None
