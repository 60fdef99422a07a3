"""What one connection to a container's log brings."""

from __future__ import annotations

import enum
from collections.abc import Iterator

import msgspec

from asyncrun.model.log_cursor import SECOND, Fate, Resumption
from asyncrun.model.logs import LogLine
from asyncrun.model.pod_log_text import PodLogText, TextLine
from asyncrun.triggers.logs.pods.instances import Instance, LogEnd
from asyncrun.triggers.logs.pods.lines import kept_bytes, line_of

ROTATED = (
    "Lines may be missing here: while the log of this container could not be read, its node rotated it or made room"
)
_ENDS_WITHOUT_OWN_LINE = 3  # alike and in a row: a kubelet that is killed makes a clean end of a cut


class Request(msgspec.Struct, frozen=True, kw_only=True):
    """
    What is asked for.

    :param follow: until the container ends.
    :param previous: of the instance before the present one.
    :param final: whether the container was known to have ended before.
    """

    follow: bool
    previous: bool
    final: bool


class Trouble(enum.Enum):
    """Why what comes cannot be taken."""

    GONE = "the kubelet has no log of the container any more"
    WORDS = "the kubelet or the API server said something in place of the log"
    GAP = "the cursor's own line did not come again"
    UNSURE = "it ended cleanly, which a kubelet that is killed makes of a cut, too (trace r): it must come twice"


class Intake:
    """
    Turns one connection's bytes into the lines that are new, and moves the instance's cursor with each.

    :param before: the instance before it.
    :param limit: ``log_line_limit``.
    """

    __slots__ = ("_container", "_instance", "_limit", "_place", "_stamp", "_text", "lost", "trouble", "words")

    def __init__(self, instance: Instance, before: Instance | None, container: str, limit: int) -> None:
        self._instance, self._container, self._limit = instance, container, limit
        self._text = PodLogText(kept_bytes(limit))
        self._place = Resumption(instance.cursor, before.cursor if before is not None else None)
        self._stamp: int | None = None
        self.trouble: Trouble | None = None
        self.lost = False
        """Whether lines are missing between those that were read."""
        self.words: list[str] = []
        """What the kubelet or the API server said among it or in place of it."""

    def lines(self, chunk: bytes) -> Iterator[LogLine]:
        """The new lines that end in this chunk; ends early when there is ``trouble``."""
        for line in self._text.feed(chunk):
            yield from self._taken(line)
            if self.trouble is not None:
                return

    def last_lines(self, request: Request) -> Iterator[LogLine]:
        """
        The connection ended cleanly: what was left.

        If the container had ended before, this is the end of its log, provided that the connection before came to the
        same end. What comes after the last line feed is the last line then.
        """
        rest = self._text.rest()
        if rest is not None and rest.is_gone:
            self.trouble = Trouble.GONE
        elif rest is not None and rest.stamp is None and not rest.may_be_cut_stamp:
            self._heard(rest)
            rest = None
        if self.trouble is not None:
            return
        if request.follow or request.final:
            yield from self._end(rest, request)
        elif not self._place.found:
            self.trouble = Trouble.UNSURE

    def _end(self, rest: TextLine | None, request: Request) -> Iterator[LogLine]:
        ends = self._instance.end_at(LogEnd(self._instance.cursor, self._place.caught_up, self._stamp, rest))
        if not self._place.found and (request.final or self._stamp is not None):
            # Its own line may have been rotated away, or be another instance's; mostly the connection was just cut.
            if not (request.final and self._instance.rotated and ends >= _ENDS_WITHOUT_OWN_LINE):
                self.trouble = Trouble.GAP
                return
            yield from self._gap(self._instance.cursor.stamp or 0)
        elif ends == 1:
            self.trouble = Trouble.UNSURE
            return
        if request.final and rest is not None and rest.stamp is not None:
            yield from self._taken(rest)

    def unconfirmed(self) -> Iterator[LogLine]:
        """The last line of an instance whose log vanished before it came to the same end twice."""
        end = self._instance.end
        if end is None or not end.caught_up or end.cursor != self._instance.cursor:
            return  # what came after it is known
        if end.rest is not None and end.rest.stamp is not None:
            self._place.accept_gap()
            yield from self._taken(end.rest)

    @property
    def caught_up(self) -> bool:
        """Whether nothing of what was read before is still to come, and no line is half read."""
        return self._place.caught_up and not self._text.is_within_line

    @property
    def open_bytes(self) -> int:
        """Bytes of the line that has begun and not ended."""
        return self._text.open_bytes

    def _taken(self, line: TextLine) -> Iterator[LogLine]:
        stamp = line.stamp
        if stamp is None:
            if line.is_gone:
                self.trouble = Trouble.GONE
                return
            if self._stamp is None:
                self._heard(line)
                return
            stamp = self._stamp  # it goes on with the line before
        self._stamp = stamp
        fate = self._place.take(stamp)
        if fate is Fate.GAP:
            if not self._instance.rotated:
                self.trouble = Trouble.GAP
                return
            yield from self._gap(stamp)
            fate = self._place.take(stamp)
        if self._place.found:
            self._instance.rotated = False
        if fate is Fate.NEW:
            self._instance.cursor = self._place.cursor
            yield line_of(line, stamp, self._container, self._limit)

    def _gap(self, stamp: int) -> Iterator[LogLine]:
        self._place.accept_gap()
        self.lost = True
        yield LogLine(stamp // (SECOND // 1000), self._container, "warning", ROTATED)

    def _heard(self, line: TextLine) -> None:
        self.words.append(line.head.decode("utf-8", "replace")[:500])
        if self._stamp is None:
            self.trouble = Trouble.WORDS
