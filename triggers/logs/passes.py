"""One reading of some streams to its end. No I/O."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from asyncrun.triggers.logs.choosing import SOONER
from asyncrun.triggers.logs.streams import Stream


class Pass:
    """
    One reading of a batch to its end, over several pages.

    :param began_at: our clock's time, s.
    :param there_ms: AWS's time of a moment of ours, which may be known only once AWS has answered.
    """

    __slots__ = (
        "_began_at",
        "_began_ms",
        "_there_ms",
        "finals",
        "first_page",
        "left_out",
        "names",
        "start_ms",
        "streams",
        "token",
        "tokens",
        "turn_at",
        "unconnected",
    )

    def __init__(
        self, streams: Sequence[Stream], start_ms: int, began_at: float, there_ms: Callable[[float], int]
    ) -> None:
        self.streams = list(streams)
        self.names = tuple(dict.fromkeys(stream.name for stream in streams))
        """What to ask for, on every page the same; two followers of one stream ask once."""
        self.start_ms = start_ms
        self._began_at, self._there_ms = began_at, there_ms
        self._began_ms: int | None = None
        self.finals = {stream for stream in streams if stream.final_wanted}
        self.unconnected = {stream for stream in streams if stream.connected_start_ms < start_ms}
        """An event of these only shows that they go on."""
        self.left_out: set[str] = set()
        """Names of those whose further events are left to the next pass: some came while this was read."""
        self.token: str | None = None
        self.tokens: set[str] = set()
        """Those that were used: a page that leads back to one of them would be read for ever."""
        self.first_page = True
        self.turn_at = 0.0
        """When it was read on last, event loop's time."""

    def go_on(self, token: str) -> None:
        """The next page is at that token."""
        self.token = token
        self.tokens.add(token)
        self.first_page = False

    @property
    def began_ms(self) -> int:
        """
        When it began, in AWS's time; to be asked once AWS has answered.

        The same for all its pages, although that time becomes known better meanwhile: what one page leaves to the next
        pass must not be overtaken by what a later page hands over.
        """
        if self._began_ms is None:
            self._began_ms = self._there_ms(self._began_at)
        return self._began_ms

    def need(self, ticks: float, shortest: float) -> float:
        """How much it should be read on, see ``choosing``: what it has not read yet is there, and waited for."""
        return 1 + SOONER * (ticks - self.turn_at) / shortest

    @property
    def waits(self) -> bool:
        """Whether its only stream's follower wants no more for now."""
        return len(self.streams) == 1 and self.streams[0].follower.full
