"""Triggerers that are started and die while programs write lines."""

from __future__ import annotations

import signal
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Protocol

from asyncrun.local.airflow import LocalAirflow, TaskInstance

PARTS = range(5)
# A line five times a second, until it is told to end. What follows here is Python, up to a line "END".
STREAM = """exec python -u - <<'END'
import itertools, os, time
part = os.environ.get("PART", "0")
for number in itertools.count():
    if os.path.exists("%s"):
        break
    print(f"line {number} of part {part}")
    time.sleep(0.2)
print(f"{number} lines")
"""


class Run(Protocol):
    """Task instances of one DAG run."""

    airflow: LocalAirflow

    def ti(self, task_id: str, map_index: int) -> TaskInstance: ...


def streamed(lines: int, part: int) -> list[str]:
    return [*(f"line {number} of part {part}" for number in range(lines)), f"{lines} lines"]


def start_triggerer(airflow: LocalAirflow) -> str:
    name = airflow.start_triggerer().name
    airflow.wait_until(lambda: name in airflow.triggerers(), f"{name} at work", 60)
    return name


@contextmanager
def one_triggerer_left(airflow: LocalAirflow) -> Iterator[str]:
    """Gives the name of the triggerer at work; in the end all but the youngest are ended."""
    airflow.wait_until(lambda: len(airflow.triggerers()) == 1, "one triggerer at work", 60)
    [name] = airflow.triggerers()
    try:
        yield name
    finally:
        for one in list(airflow.triggerers())[:-1]:
            airflow.kill(one, signal.SIGCONT)
            airflow.kill(one, signal.SIGTERM)
        airflow.wait_until(lambda: len(airflow.triggerers()) == 1, "the others ended", 60)


def wait_until_watched_by(run: Run, name: str, parts: Iterable[int] = PARTS, seconds: float = 60) -> None:
    """Until all triggers are that triggerer's."""
    job = run.airflow.triggerers()[name]

    def owners() -> set[int | None]:
        return {run.ti("part", part).triggerer_id for part in parts}

    run.airflow.wait_until(lambda: owners() == {job}, f"all triggers on {name}", seconds, now=owners)
