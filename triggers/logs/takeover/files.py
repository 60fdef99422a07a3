"""The records of a triggerer's log file, as Airflow's reader would see them. Everything here runs in a thread."""

from __future__ import annotations

import codecs
import threading
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path

import msgspec

_CHUNK = 1 << 18
# Our longest record is a line of log_line_limit (1 MiB at most), which JSON may make six times as long.
_LONGEST_LINE = 8 << 20
_HEAD = 1 << 18


class Written(msgspec.Struct, gc=False):
    """What our records are made of; a line without it is not ours."""

    timestamp: datetime
    event: str
    logger: str
    level: str

    @property
    def stamp_ms(self) -> int | None:
        """Milliseconds since the epoch; None if it is no stamp of ours: those are UTC and whole milliseconds."""
        if self.timestamp.tzinfo is None or self.timestamp.microsecond % 1000:
            return None
        return round(self.timestamp.timestamp() * 1000)


class Stopped(Exception):
    """Nobody waits for it any more."""


def shows(path: Path, mark: str) -> bool:
    """
    Whether the file's beginning holds that text.

    :raises OSError: it cannot be read.
    """
    with path.open("rb") as file:
        return mark.encode() in file.read(_HEAD)


def records_of(path: Path, stop: threading.Event) -> Iterator[tuple[int, Written]]:
    """
    Stamp and content of each record that may be ours, in the file's order.

    Lines of anybody else are passed over, as is a last line that was cut off in the middle: what it held is written
    again. A last line that lacks its end only is whole, for Airflow's reader too.

    :raises UnicodeDecodeError: Airflow's reader would stop there (3.3.2: ``_stream_lines_by_chunk`` gives up at bytes
        that are no UTF-8, such as a character that was cut in two, and shows nothing of the last 5 MiB before them).
    :raises OSError: it cannot be read.
    :raises Stopped: ``stop`` was set.
    """
    decode = msgspec.json.Decoder(Written).decode
    for line in _lines(path, stop):
        try:
            record = decode(line)
        except (msgspec.DecodeError, RecursionError):
            continue
        stamp = record.stamp_ms
        if stamp is not None:
            yield stamp, record


def _lines(path: Path, stop: threading.Event) -> Iterator[bytes]:
    text = codecs.getincrementaldecoder("utf-8")()
    rest, passing = b"", False
    with path.open("rb", buffering=0) as file:
        while chunk := file.read(_CHUNK):
            if stop.is_set():
                raise Stopped
            text.decode(chunk)
            *lines, last = (rest + chunk).split(b"\n")
            if lines and passing:
                lines, passing = lines[1:], False
            yield from lines
            rest = b"" if passing else last
            if len(rest) > _LONGEST_LINE:
                rest, passing = b"", True
    text.decode(b"", final=True)
    if rest:
        yield rest
