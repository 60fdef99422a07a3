"""The text of a container's log: where to begin, and what to leave out. No connection in here."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol

from asyncrun.local.kube.query import flag, integer
from asyncrun.local.kube.status import Cause, bad_request, invalid

STAMP = 31
"""Bytes of a line's stamp and the blank after it."""

_BLOCK = 1 << 16
_LONGEST = 30 * 365 * 86_400
"""Seconds: nothing here is older."""

_TIME = re.compile(r"^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(\.\d+)?(Z|[+-]\d\d:\d\d)$")


class Text(Protocol):
    """Bytes that can be read anywhere; they only ever grow."""

    def size(self) -> int:
        """How many there are by now."""

    def read(self, offset: int, size: int) -> bytes:
        """Some of them; empty at the end."""


@dataclass(frozen=True, slots=True)
class LogOptions:
    """
    What somebody wants of a log.

    :param since: the whole second from which on, ``2026-11-21T01:16:49``; empty: from the start.
    """

    container: str
    follow: bool
    previous: bool
    timestamps: bool
    since: str
    tail: int | None
    limit: int | None

    @classmethod
    def read(cls, query: Mapping[str, str], pod: str) -> LogOptions:
        """
        From a query.

        :raises ApiError: 400, 422 (trace ``k_bad_requests``).
        """
        seconds, tail, limit = (integer(query, name) for name in ("sinceSeconds", "tailLines", "limitBytes"))
        since = query.get("sinceTime", "")
        second = _second(since) if since else ""
        causes: list[Cause] = []
        if tail is not None and tail < 0:
            causes.append(Cause.invalid("tailLines", tail, "must be greater than or equal to 0"))
        if limit is not None and limit < 1:
            causes.append(Cause.invalid("limitBytes", limit, "must be greater than 0"))
        if seconds is not None and since:
            causes.append(Cause.forbidden("[]", "at most one of `sinceTime` or `sinceSeconds` may be specified"))
        elif seconds is not None and seconds < 1:
            causes.append(Cause.invalid("sinceSeconds", seconds, "must be greater than 0"))
        if query.get("stream") not in {None, "", "All"}:
            causes.append(Cause.forbidden("stream", "may not be specified"))
        if causes:
            raise invalid("PodLogOptions", pod, causes)
        if seconds is not None:
            second = (datetime.now(UTC) - timedelta(seconds=min(seconds, _LONGEST))).strftime("%Y-%m-%dT%H:%M:%S")
        follow, previous, stamps = (flag(query, name) for name in ("follow", "previous", "timestamps"))
        return cls(query.get("container", ""), follow, previous, stamps, second, tail, limit)


def _second(text: str) -> str:
    match = _TIME.match(text)
    if match is None:
        shape = "2006-01-02T15:04:05Z07:00"
        raise bad_request(f'parsing time "{text}" as "{shape}": cannot parse "{text}" as "2006"')
    try:
        moment = datetime.fromisoformat(match.group(1) + match.group(3)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise bad_request(f'parsing time "{text}": out of range') from None
    return moment.strftime("%Y-%m-%dT%H:%M:%S")


def start_of(text: Text, options: LogOptions) -> int:
    """The offset of the first line that is wanted."""
    start = _since(text, options.since) if options.since else 0
    if options.tail is not None:
        start = max(start, _tail(text, options.tail))
    return start


def _next_line(text: Text, offset: int) -> int:
    """Where the first line begins that begins after ``offset``."""
    while block := text.read(offset, _BLOCK):
        at = block.find(b"\n")
        if at >= 0:
            return offset + at + 1
        offset += len(block)
    return offset


def _since(text: Text, second: str) -> int:
    """The first line whose stamp is not before that second; stamps are sorted."""
    wanted = second.encode()
    low, high = 0, text.size()
    while low < high:
        middle = (low + high) // 2
        line = 0 if middle == 0 else _next_line(text, middle - 1)
        stamp = text.read(line, 19)
        if len(stamp) == 19 and stamp < wanted:
            low = _next_line(text, line)
        else:
            high = middle
    return low if low == 0 else _next_line(text, low - 1)


def _tail(text: Text, lines: int) -> int:
    """Where the last ``lines`` lines begin."""
    at = text.size()
    if lines == 0 or at == 0:
        return at
    missing = lines if text.read(at - 1, 1) != b"\n" else lines + 1
    while at > 0:
        begin = max(0, at - _BLOCK)
        block = text.read(begin, at - begin)
        end = len(block)
        while (found := block.rfind(b"\n", 0, end)) >= 0:
            missing -= 1
            if missing == 0:
                return begin + found + 1
            end = found
        at = begin
    return 0


class Shaper:
    """
    Cuts the stamps off, if they are not wanted, and everything after ``limit`` bytes.

    It is fed the text from the beginning of a line on, in pieces that may end anywhere.
    """

    def __init__(self, options: LogOptions) -> None:
        self._stamps = options.timestamps
        self._left = options.limit
        self._stamp_left = STAMP

    @property
    def full(self) -> bool:
        """Whether nothing more is wanted."""
        return self._left == 0

    def shape(self, piece: bytes) -> bytes:
        """What of the piece is to be sent."""
        shown = piece if self._stamps else self._without_stamps(piece)
        if self._left is not None:
            shown = shown[: self._left]
            self._left -= len(shown)
        return shown

    def _without_stamps(self, piece: bytes) -> bytes:
        found: list[bytes] = []
        at = 0
        while at < len(piece):
            if self._stamp_left:
                skipped = min(self._stamp_left, len(piece) - at)
                self._stamp_left -= skipped
                at += skipped
                continue
            end = piece.find(b"\n", at) + 1
            if end == 0:
                found.append(piece[at:])
                break
            found.append(piece[at:end])
            at, self._stamp_left = end, STAMP
        return b"".join(found)
