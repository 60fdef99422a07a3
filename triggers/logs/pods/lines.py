"""From a line of a pod's log to a line of the run."""

from __future__ import annotations

from asyncrun.model.log_cursor import SECOND
from asyncrun.model.logs import LogLine, level_of
from asyncrun.model.pod_log_text import TextLine
from asyncrun.triggers.logs.text import clean, size_of

_MS = SECOND // 1000
_NOTE = " ... [{:,} more bytes of this line cut: [asyncrun] log_line_limit = {}]"  # as text.cut has it
_BYTES_PER_CHARACTER = 4
_ROOM_FOR_NOTE = 110


def kept_bytes(limit: int) -> int:
    """
    How many bytes of a line must be kept, so that ``text_of`` decides by the line and not by how it was read.

    :param limit: ``log_line_limit``.
    """
    return limit * _BYTES_PER_CHARACTER


def line_of(line: TextLine, stamp: int, container: str, limit: int) -> LogLine:
    """
    :param stamp: nanoseconds since the epoch.
    :param limit: ``log_line_limit``.
    """
    text = text_of(line, limit)
    return LogLine(stamp // _MS, container, level_of(text), text)


def text_of(line: TextLine, limit: int) -> str:
    """
    The line as text: whole if it was kept, to be cut by ``text.shown`` like any other; of a longer one the beginning,
    and how many bytes are not shown, within the limit.
    """
    if line.size <= len(line.head):
        return line.head.decode("utf-8", "replace")
    room = max(limit - _ROOM_FOR_NOTE, 0)
    head = line.head[:room]
    kept = clean(head.decode("utf-8", "replace"))
    if size_of(kept) > room:
        kept = kept.encode()[:room].decode("utf-8", "ignore")
    return kept + _NOTE.format(line.size - len(head), limit)
