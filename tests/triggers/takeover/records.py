"""Records as Airflow's supervisor writes them into a triggerer's file."""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from asyncrun.triggers.logs.records import Record


def as_written(record: Record) -> bytes:
    """One line of the file, with its end; ``test_files`` holds it against a real supervisor."""
    fields = {"timestamp": record.timestamp, "level": record.level, "event": record.text, "logger": record.logger}
    return msgspec.json.encode(fields) + b"\n"


def file_of(records: Iterable[Record]) -> bytes:
    return b"".join(map(as_written, records))


def record(stamp: int, text: str, logger: str = "main", level: str = "info") -> Record:
    return Record(1_700_000_000_000 + stamp, level, logger, text, text.count("\n") + 1)
