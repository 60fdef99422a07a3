"""
The text of a pod's log, as the API server sends it with ``timestamps=true``, cut into lines.

Each line begins with an RFC 3339 stamp of nanoseconds: ``2026-11-21T01:14:01.023498222Z text``. A node whose runtime
writes local time sends an offset in place of the ``Z``. Lines end with a line feed, but for the last one of a
container that did not write it. Any byte may come (trace l_odd_output).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime

import msgspec

from asyncrun.model.log_cursor import SECOND

_STAMP = re.compile(rb"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(Z|[+-]\d\d:\d\d)(?: |$)")
_LONGEST_STAMP = 36
_STAMP_BYTES = frozenset(b"0123456789-+T:.Z")
# The kubelet no longer has the container: HTTP 200, no stamp, no line feed (traces x, p2, i).
_GONE = b"unable to retrieve container logs for "


class TextLine(msgspec.Struct, frozen=True, gc=False):
    """
    One line.

    :param stamp: ns since the epoch; None: it has none, so the kubelet or something between wrote it, or it goes on
        with the line before.
    :param head: its first bytes, at most as many as are kept.
    :param size: bytes of the whole line, without stamp and line feed.
    """

    stamp: int | None
    head: bytes
    size: int

    @property
    def is_gone(self) -> bool:
        """Whether it says that there is no log any more."""
        return self.stamp is None and self.head.startswith(_GONE)

    @property
    def may_be_cut_stamp(self) -> bool:
        """Whether it may be the beginning of a line that was cut within its stamp."""
        return self.stamp is None and len(self.head) < _LONGEST_STAMP and _STAMP_BYTES.issuperset(self.head)


class PodLogText:
    """
    Cuts what one connection brings into lines. The lines do not depend on how the bytes are cut into chunks.

    :param keep: bytes of a line that are kept; the rest is only counted, so memory is bounded.
    """

    __slots__ = ("_keep", "_open", "_second", "_second_ns", "_size")

    def __init__(self, keep: int) -> None:
        self._keep = keep + _LONGEST_STAMP
        self._open = bytearray()
        self._size = 0
        self._second, self._second_ns = b"", 0

    @property
    def is_within_line(self) -> bool:
        """Whether a line has begun and not ended."""
        return self._size > 0

    @property
    def open_bytes(self) -> int:
        """Bytes of the line that has begun and not ended, with its stamp."""
        return self._size

    def feed(self, chunk: bytes) -> Iterator[TextLine]:
        """The lines that end in this chunk. To be read to its end before the next."""
        begin = 0
        while (end := chunk.find(b"\n", begin)) >= 0:
            if self._size:
                self._grow(chunk, begin, end)
                yield self._take_open()
            else:
                yield self._line(chunk[begin : min(end, begin + self._keep)], end - begin)
            begin = end + 1
        if begin < len(chunk):
            self._grow(chunk, begin, len(chunk))

    def rest(self) -> TextLine | None:
        """What came after the last line feed, at the end of the connection: a last line, or one that was cut."""
        return self._take_open() if self._size else None

    def _grow(self, chunk: bytes, begin: int, end: int) -> None:
        self._size += end - begin
        self._open += chunk[begin : min(end, begin + self._keep - len(self._open))]

    def _take_open(self) -> TextLine:
        line = self._line(bytes(self._open), self._size)
        self._open.clear()
        self._size = 0
        return line

    def _line(self, head: bytes, size: int) -> TextLine:
        match = _STAMP.match(head)
        stamp = None if match is None else self._stamp(match)
        if match is None or stamp is None:
            return TextLine(None, head, size)
        return TextLine(stamp, head[match.end() :], size - match.end())

    def _stamp(self, match: re.Match[bytes]) -> int | None:
        second = match[1] + match[3]
        if second != self._second:
            try:
                moment = datetime.fromisoformat(second.decode())
            except ValueError:  # the 31st of February
                return None
            self._second, self._second_ns = second, int(moment.timestamp()) * SECOND
        return self._second_ns + int((match[2] or b"0").ljust(9, b"0"))
