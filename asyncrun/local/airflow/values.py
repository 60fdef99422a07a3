"""What Airflow's REST API tells, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any

FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})
"""States in which a task instance stays; for a DAG run those of them that it knows."""


@dataclass(frozen=True)
class DagRun:
    dag_id: str
    run_id: str
    state: str
    start_date: datetime | None
    end_date: datetime | None


@dataclass(frozen=True)
class TaskInstance:
    """One task instance as the API shows it; `id` is new for each try."""

    id: str
    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    try_number: int
    start_date: datetime | None
    end_date: datetime | None
    duration: float | None
    operator: str | None
    triggerer_id: int | None

    @property
    def label(self) -> str:
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def finished(self) -> bool:
        return self.state in FINISHED


@dataclass(frozen=True)
class LogRecord:
    """One record of a task's log, in the order Airflow's reader gives them.

    :ivar timestamp: when the record says it was written; None for the reader's own header lines
    :ivar fields: everything else that the record carries
    """

    timestamp: datetime | None
    level: str
    logger: str
    event: str
    fields: Mapping[str, Any]

    def __str__(self) -> str:
        """One record as the UI shows it, with the traceback of an error where there is one."""
        error = self.fields.get("error_detail")
        detail = "".join(f"\n  {each.get('exc_type')}: {each.get('exc_value')}" for each in error or [])
        stamp = f"{self.timestamp:%H:%M:%S.%f} " if self.timestamp else ""
        return f"{stamp}{self.level.upper()} {self.logger}: {self.event}{detail}"


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


def parse_record(raw: Mapping[str, Any] | str) -> LogRecord:
    """A record of the log endpoint's JSON; a plain string is what Airflow's reader could not parse."""
    if isinstance(raw, str):
        return LogRecord(None, "", "", raw, {})
    rest = {name: value for name, value in raw.items() if name not in {"timestamp", "level", "logger", "event"}}
    return LogRecord(_time(raw.get("timestamp")), raw.get("level", ""), raw.get("logger", ""), raw["event"], rest)


def parse_task_instance(raw: Mapping[str, Any]) -> TaskInstance:
    return TaskInstance(
        id=raw["id"],
        dag_id=raw["dag_id"],
        run_id=raw["dag_run_id"],
        task_id=raw["task_id"],
        map_index=raw["map_index"],
        state=raw["state"],
        try_number=raw["try_number"],
        start_date=_time(raw["start_date"]),
        end_date=_time(raw["end_date"]),
        duration=raw["duration"],
        operator=raw["operator_name"],
        triggerer_id=(raw.get("trigger") or {}).get("triggerer_id"),
    )


def parse_dag_run(raw: Mapping[str, Any]) -> DagRun:
    return DagRun(
        raw["dag_id"], raw["dag_run_id"], raw["state"], _time(raw.get("start_date")), _time(raw.get("end_date"))
    )


def without_header(records: list[LogRecord]) -> list[LogRecord]:
    """Drop the group of "Log message source details" that Airflow's reader puts first."""
    if not records or not records[0].event.startswith("::group::Log message source"):
        return records
    for index, record in enumerate(records):
        if record.event.startswith("::endgroup::"):
            return records[index + 1 :]
    return records
