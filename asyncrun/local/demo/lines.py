"""Which records of a task's log the demo shows, each once (pure)."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field

from asyncrun.local.airflow import LogRecord

_AIRFLOWS_OWN = ("airflow.dag_processing", "airflow.providers", "aiobotocore", "botocore", "airflow.models")
_EXIT_CODE = re.compile(r"exited with (?:code )?(\d+)")


def is_from_container(record: LogRecord) -> bool:
    """A container's line: its logger is the container's name, which has no dot; Airflow's own have one, or are
    `task`."""
    return bool(record.logger) and "." not in record.logger and record.logger not in {"task", "asyncrun"}


def is_shown(record: LogRecord) -> bool:
    """Container lines, what our operators say, and everything that is an error; not Airflow's book-keeping."""
    if record.event.startswith("::"):
        return False
    if is_from_container(record) or record.level in {"error", "critical"}:
        return True
    return bool(record.logger) and record.logger != "task" and not record.logger.startswith(_AIRFLOWS_OWN)


@dataclass
class Unseen:
    """Gives each record of a growing log once. The log is read as a whole each time, because a late record may
    belong before others."""

    _seen: Counter[tuple[object, ...]] = field(default_factory=Counter)

    def __call__(self, records: Iterable[LogRecord]) -> list[LogRecord]:
        fresh = []
        now: Counter[tuple[object, ...]] = Counter()
        for record in records:
            key = (record.timestamp, record.logger, record.event)
            now[key] += 1
            if now[key] > self._seen[key]:
                self._seen[key] = now[key]
                fresh.append(record)
        return fresh


def diagnosis(records: Sequence[LogRecord]) -> str:
    """The first line of why the task failed: the exception's message; empty if it did not fail."""
    for record in reversed(records):
        for error in record.fields.get("error_detail") or []:
            value = str(error.get("exc_value", "")).strip()
            if value:
                return value.splitlines()[0]
    return ""


def exit_code(records: Sequence[LogRecord]) -> str:
    """The container's exit code, as far as our own records tell it; empty otherwise."""
    for record in reversed(records):
        if not is_from_container(record) and (found := _EXIT_CODE.search(f"{record.event}\n{diagnosis([record])}")):
            return found[1]
    return ""
