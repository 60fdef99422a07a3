"""Logs as users read them: some tasks' logs are asked for again and again, to see when each line appears."""

from __future__ import annotations

import re
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import httpx
import msgspec

from asyncrun.local.airflow import ApiError, LocalAirflow, LogRecord
from benchmarks.airflow.plan import TASK


class Counted(msgspec.Struct, frozen=True):
    """
    A finished task's log beside what its container wrote.

    :param lost: lines that it does not have.
    :param doubled: lines that it has more than once, each further time.
    :param example: which ones; empty where all is well.
    :param missing: there is no log at all: every line is lost.
    """

    written: int
    lost: int
    doubled: int
    example: str = ""
    missing: bool = False


def numbers(records: Sequence[LogRecord], line: re.Pattern[str]) -> Counter[int]:
    """How often each line of the container is in the log, by its number."""
    return Counter(int(number) for record in records for number in line.findall(record.event))


class Watcher:
    """
    Reads the logs of some mapped tasks in turn, one read at a time.

    :param indexes: their map indexes.
    :param interval: seconds between two reads of one log.
    """

    def __init__(
        self,
        airflow: LocalAirflow,
        dag: str,
        run_id: str,
        indexes: Sequence[int],
        line: re.Pattern[str],
        interval: float,
    ) -> None:
        self._airflow, self._dag, self._run_id, self._line = airflow, dag, run_id, line
        self._due = {index: time.monotonic() + interval * place / len(indexes) for place, index in enumerate(indexes)}
        self._interval = interval
        self._began = time.time()
        self.seen: dict[int, dict[int, float]] = {index: {} for index in indexes}
        """By map index and number of the line: when it was first in an answer, seconds since the epoch."""
        self.reads: list[float] = []
        """Seconds that each read took."""
        self.failed = 0

    def turn(self) -> None:
        """Read what is due; returns at the latest when the next read is due, or after a quarter of a second."""
        index = min(self._due, key=self._due.__getitem__)
        wait = self._due[index] - time.monotonic()
        if wait > 0:
            time.sleep(min(wait, 0.25))
            return
        began = time.monotonic()
        self._due[index] = began + self._interval
        try:
            records = self._airflow.logs(self._dag, self._run_id, TASK, 1, index)
        except (httpx.TransportError, ApiError):  # no answer in 30 s, or an error: counted, and read again
            self.failed += 1
            return
        found = numbers(records, self._line)
        self.reads.append(time.monotonic() - began)
        for number in found:
            self.seen[index].setdefault(number, time.time())

    def lags(self, readable: dict[int, list[float]]) -> list[float]:
        """Seconds from when a line could be read at its source to the answer that has it, of all lines seen that could
        not be read before somebody looked.

        :param readable: by map index, the lines of that container.
        """
        return [
            at - readable[index][number]
            for index, lines in self.seen.items()
            for number, at in lines.items()
            if number < len(readable[index]) and readable[index][number] >= self._began
        ]


def count(
    airflow: LocalAirflow, dag: str, run_id: str, index: int, line: re.Pattern[str], written: int, evidence: Path
) -> Counted:
    """The final log of one task.

    :param written: lines that its container wrote.
    :param evidence: folder that gets the log if a line is missing or doubled.
    """
    try:
        records = airflow.logs(dag, run_id, TASK, 1, index)
    except ApiError:
        return Counted(written, written, 0, f"{dag}[{index}]: no log", missing=True)
    found = numbers(records, line)
    lost = [number for number in range(written) if number not in found]
    doubled = {number: times - 1 for number, times in sorted(found.items()) if times > 1}
    example = ""
    if lost or doubled:
        example = f"{dag}[{index}]: lost {lost}, doubled {[*doubled]} of {written}"
        evidence.mkdir(parents=True, exist_ok=True)
        (evidence / f"{dag}-{index}.log").write_text("".join(f"{record}\n" for record in records))
    return Counted(written, len(lost), sum(doubled.values()), example)


def total(counted: Sequence[Counted]) -> Counted:
    """Of several logs, with some of the examples; ``missing``: at least one has none."""
    examples = [one.example for one in counted if one.example]
    return Counted(
        sum(one.written for one in counted),
        sum(one.lost for one in counted),
        sum(one.doubled for one in counted),
        "; ".join(examples[:3]),
        missing=any(one.missing for one in counted),
    )
