"""Files of earlier triggers: what is taken to stand in them is what Airflow's reader shows of them."""

from __future__ import annotations

import threading
from pathlib import Path

import pytest

from asyncrun.triggers.logs.channel import open_sink
from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.takeover import files
from asyncrun.triggers.logs.takeover.files import Stopped, records_of, shows
from tests.triggers.takeover.records import as_written, file_of, record
from tests.triggers.takeover.volume import TRIGGER_ID, Volume, read_by_airflow

RECORDS = [
    record(0, "first\nsecond"),
    record(50, 'é € 😀 \\ "quoted" \x1b[31m {x} %s'),
    record(100, "", level="error"),
    record(101, "[side] x", logger="side"),
]


def found(path: Path) -> list[Record]:
    return [record(stamp - 1_700_000_000_000, one.event, one.logger, one.level)
            for stamp, one in records_of(path, threading.Event())]  # fmt: skip


async def test_a_file_of_airflows_supervisor_is_read_as_we_wrote_it(volume: Volume) -> None:
    with volume.triggerer(1, starting=False):
        await open_sink(TRIGGER_ID).emit(RECORDS)
    assert volume.file(1).read_bytes() == file_of(RECORDS)
    assert found(volume.file(1)) == RECORDS


def test_wherever_a_file_ends_what_is_taken_from_it_is_shown(tmp_path: Path) -> None:
    path = tmp_path / "attempt=1.log.trigger.1.log"
    whole, cut_characters = file_of(RECORDS), 0
    ends = {len(file_of(RECORDS[:count])): count for count in range(len(RECORDS) + 1)}
    for end in range(len(whole) + 1):
        path.write_bytes(whole[:end])
        shown = [(one.event, getattr(one, "logger", "")) for one in read_by_airflow(tmp_path / "attempt=1.log")]
        try:
            whole[:end].decode()
        except UnicodeDecodeError:
            cut_characters += 1
            assert shown == [], "Airflow's reader has changed: it shows what stands before half a character"
            with pytest.raises(UnicodeDecodeError):
                found(path)
            continue
        count = ends.get(end, ends.get(end + 1, -1))  # the last line's end is no part of its record
        if count < 0:
            count = max(n for at, n in ends.items() if at <= end)
        assert found(path) == RECORDS[:count]
        assert shown[:count] == [(one.text, one.logger) for one in RECORDS[:count]]
    assert cut_characters == 6


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"not JSON",
        b"{}",
        b"[1]",
        b'{"timestamp":"2023-11-14T22:13:20.000Z","level":"info","event":7,"logger":"main"}',
        b'{"timestamp":"2023-11-14T22:13:20.000Z","level":"info","event":"no logger"}',
        b'{"timestamp":"2023-11-14T22:13:20.000123Z","level":"info","event":"clock of Airflow","logger":"main"}',
        b'{"timestamp":"2023-11-14T22:13:20.000","level":"info","event":"no zone","logger":"main"}',
        b'{"timestamp":"yesterday","level":"info","event":"x","logger":"main"}',
        b'{"timestamp":null,"level":"info","event":"x","logger":"main"}',
        b'{"a":' + b"[" * 100_000,
        b'"' + b"x" * (9 << 20) + b'"',
    ],
)
def test_lines_of_others_are_passed_over(tmp_path: Path, line: bytes) -> None:
    path = tmp_path / "file"
    for at in range(len(RECORDS) + 1):
        path.write_bytes(file_of(RECORDS[:at]) + line + b"\n" + file_of(RECORDS[at:]))
        assert found(path) == RECORDS


def test_more_fields_change_nothing(tmp_path: Path) -> None:
    """Where records go through plain structlog they carry a call site."""
    path = tmp_path / "file"
    path.write_bytes(as_written(RECORDS[0]).replace(b"}", b',"lineno":7,"filename":"x.py"}'))
    assert found(path) == RECORDS[:1]


def test_a_long_file_is_read_in_pieces_wherever_they_end(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "file"
    path.write_bytes(file_of(RECORDS))
    for size in range(1, 100):
        monkeypatch.setattr(files, "_CHUNK", size)
        assert found(path) == RECORDS


def test_reading_ends_when_nobody_waits_any_more(tmp_path: Path) -> None:
    path, stop = tmp_path / "file", threading.Event()
    path.write_bytes(file_of(RECORDS))
    stop.set()
    with pytest.raises(Stopped):
        list(records_of(path, stop))


def test_a_mark_is_found_at_the_beginning_of_a_file(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(file_of(RECORDS))
    assert shows(path, "second")
    assert not shows(path, "third")
