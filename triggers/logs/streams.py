"""
One followed log stream: what was read of it, and from where it must be read next. No I/O.

**The rule of the position.** The awslogs driver sends a stream's lines in order, at whatever delay: after an outage of
minutes they come with their old times. So a position is never a time of the clock, but the stream's own last event
of which two things are known: CloudWatch took it in at least ``logs_overlap`` ago, and a pass that began after that
went back at least as far. What was written before it was taken in before it; what was taken in that long ago is shown;
so whatever is shown late, or is written with an old time, is at or after the position. Ages are counted on AWS's own
clock, by ingestion times.

A pass is *full* for a stream if it starts at its position, *connected* if it starts at its last event (new lines are
handed over in order, and what is shown late is found by the next full pass), and neither, if others of the batch would
have to be read again from too far back. In the last case an event only shows that the stream goes on: it is then read
from its position, before anything of it is handed over.
"""

from __future__ import annotations

import enum
from collections.abc import Iterable
from typing import Protocol

from asyncrun.clients.api import LogEvent
from asyncrun.model.errors import NotFound
from asyncrun.triggers.logs.refusal import Refusal
from asyncrun.triggers.logs.seen import MOST, Seen

DISORDER_MS = 2_000
"""stdout and stderr reach the driver by two ways: so far may lines of one stream be out of order."""
LOOK_BACK_MS = 900_000
LOOK_BACK_EVENTS = 1_200
"""
How far back a *far* pass goes. It should find nothing: it is for a CloudWatch that breaks the rule above.

At a line a second, that is any line up to ten minutes late (the time between two far passes taken off).
"""
_SAME_SECOND_MS = 1_000
_MOST_SLACK = 20_000  # events more than are remembered for long, so that forgetting them is not done for each few


class Follower(Protocol):
    """Who a stream's events are for."""

    @property
    def full(self) -> bool:
        """Whether it wants no more for now."""

    @property
    def sparing(self) -> bool:
        """Whether it wants little at a time: memory is short."""

    def events(self, events: list[LogEvent]) -> Iterable[None]:
        """New events, sorted by time as far as CloudWatch does; each step is a small one for the event loop."""

    def read(self, began_ms: int, *, final: bool) -> None:
        """
        All that CloudWatch showed then was handed over; while the run goes on, what came late may still be left to the
        next full pass.

        :param began_ms: AWS's time.
        :param final: it was asked for as the last look, and nothing came while it was made.
        """

    def exists(self) -> None:
        """The stream was found."""

    def unanswered(self) -> None:
        """CloudWatch was asked, for whatever stream of the group, and did not answer."""

    def unreadable(self) -> None:
        """Nothing more will come: reading is refused."""

    def say(self, level: str, message: str) -> None:
        """A line for the run's own task log."""


class Way(enum.Enum):
    """The API that reads a stream, from its first line to its last: their events cannot be matched."""

    OPEN = "no line was read yet"
    FILTER = "FilterLogEvents"
    GET = "GetLogEvents"
    REFUSED = "neither"


def is_about_group(error: NotFound) -> bool:
    """
    Whether the log group is missing, and not a stream of it.

    AWS has one code for both, so its words decide; only what we say and how we search differ by it.
    """
    text = str(error).lower()
    return "log group" in text and "log stream" not in text


class Stream:
    """One followed log stream."""

    __slots__ = (
        "_recent",
        "_settled_ms",
        "alone",
        "awake",
        "far_read_ms",
        "final_wanted",
        "follower",
        "found",
        "full_read_ms",
        "interval",
        "last_ms",
        "looked_at",
        "name",
        "pause_ms",
        "position_ms",
        "probe_at",
        "probe_wait",
        "read_ms",
        "refusal",
        "rereads",
        "seen",
        "since_ms",
        "taken_in_ms",
        "token",
        "told",
        "urgent",
        "way",
    )

    def __init__(self, name: str, follower: Follower, since_ms: int) -> None:
        self.name, self.follower, self.since_ms = name, follower, since_ms
        self.position_ms = since_ms
        """Whatever is not known yet is later."""
        self.last_ms: int | None = None
        """The latest event's time."""
        self.read_ms = self.full_read_ms = self.far_read_ms = since_ms
        """When the latest pass began; the latest full one; the latest far one."""
        self._settled_ms = since_ms
        self._recent: list[tuple[int, int]] = []  # few; an empty deque has 0.7 KiB
        """What was taken in so recently that the position cannot be there: (taken in, the latest time by then)."""
        self.seen = Seen(since_ms)
        self.way = Way.OPEN
        self.found = False
        self.alone = False
        """Asked by itself until a pass of it ends: it has more than its follower can take, or spoils its batch."""
        self.awake = False
        """An event shows that it goes on, after a pause in which its position stayed behind."""
        self.final_wanted = False
        self.rereads = 0
        """Passes in a row whose pages could not be followed to the end."""
        self.taken_in_ms = self.pause_ms = 0
        """When CloudWatch took in the latest news, and how long after the ones before."""
        self.looked_at = self.interval = 0.0
        """When it was asked for last, event loop's time, and after how many seconds it is to be asked for again."""
        self.urgent = False
        """Its run has ended: somebody waits for its last lines."""
        self.refusal = Refusal()
        self.told: frozenset[str] = frozenset()
        self.token: str | None = None  # GetLogEvents
        self.probe_at = 0.0
        self.probe_wait = 0.0

    @property
    def full_start_ms(self) -> int:
        """Where a full pass starts."""
        return max(self.since_ms, self.position_ms - DISORDER_MS)

    @property
    def connected_start_ms(self) -> int:
        """Where a connected pass starts at the latest."""
        return self.full_start_ms if self.last_ms is None else self.last_ms

    @property
    def far_start_ms(self) -> int:
        """As far back as events can be told from those that were read."""
        return min(self.full_start_ms, max(self.since_ms, self.seen.horizon_ms))

    def say_once(self, kind: str, level: str, message: str) -> None:
        """A message for the run's task log; each kind is said once."""
        if kind not in self.told:
            self.told |= {kind}
            self.follower.say(level, message)

    def give_up(self, why: str) -> None:
        """Say that it cannot be read, and leave it at that."""
        self.way = Way.REFUSED
        self.say_once("given up", "error", f"{why}. The container run goes on without this log")
        self.follower.unreadable()

    def tell_read(self, began_ms: int, *, final: bool) -> None:
        """All that CloudWatch showed at that time was handed over, be it nothing because the stream is missing."""
        if final:
            self.final_wanted = False
        self.follower.read(began_ms, final=final)

    def tell_found(self) -> None:
        """The stream exists."""
        if not self.found:
            self.found = True
            self.follower.exists()

    def take(self, events: Iterable[LogEvent], now_ms: int, taken_in_by_ms: int) -> list[LogEvent]:
        """
        The events that were not seen before.

        :param now_ms: AWS's time; stands for an ingestion time that is not known.
        :param taken_in_by_ms: of the pass, see ``pass_done``.
        """
        fresh = [event for event in events if event.time_ms >= self.since_ms and self.seen.add(event)]
        for event in fresh:
            if event.time_ms < self.full_start_ms:
                self._say_late(event)
            self._note(event.ingested_ms or now_ms, event.time_ms)
        self._settle(taken_in_by_ms)
        if len(self.seen) > MOST + _MOST_SLACK:
            self._forget()
        return fresh

    def goes_on(self) -> None:
        """Something new was read: whatever was refused before was not for good."""
        self.rereads = 0
        self.refusal.over()

    def _note(self, taken_in_ms: int, time_ms: int) -> None:
        latest = self.last_ms = time_ms if self.last_ms is None else max(self.last_ms, time_ms)
        if taken_in_ms > self.taken_in_ms:
            self.pause_ms = taken_in_ms - self.taken_in_ms if self.taken_in_ms else 0
            self.taken_in_ms = taken_in_ms
        recent = self._recent
        if recent:
            # Never earlier than its predecessor: that would only move the position on too soon.
            taken_in_ms = max(taken_in_ms, recent[-1][0])
            if len(recent) > 1 and taken_in_ms - recent[-2][0] < _SAME_SECOND_MS:
                recent.pop()
        recent.append((taken_in_ms, latest))

    def _say_late(self, event: LogEvent) -> None:
        late = max(0, event.ingested_ms - event.time_ms) / 1000
        self.say_once(
            "late",
            "warning",
            f"CloudWatch showed lines of log stream {self.name} long after later ones (the first was taken in "
            f"{late:.0f} s after it was written): they show here late, and if others came later still, those are "
            "missing here",
        )

    def _settle(self, taken_in_by_ms: int) -> None:
        count = 0
        for taken_in_ms, latest in self._recent:
            if taken_in_ms > taken_in_by_ms:
                break
            self._settled_ms = max(self._settled_ms, latest)
            count += 1
        del self._recent[:count]

    def pass_done(self, start_ms: int, began_ms: int, taken_in_by_ms: int) -> None:
        """
        A pass was read to its end.

        :param taken_in_by_ms: what CloudWatch took in by then was surely shown when the pass began.
        """
        self.read_ms = max(self.read_ms, began_ms)
        self.alone = self.awake = False
        self.goes_on()
        if start_ms <= self.far_start_ms:
            self.far_read_ms = max(self.far_read_ms, began_ms)
        if start_ms <= self.full_start_ms:
            self.full_read_ms = max(self.full_read_ms, began_ms)
            self._settle(taken_in_by_ms)
            self.position_ms = max(self.position_ms, self._settled_ms)
        self._forget()

    def _forget(self) -> None:
        if self.last_ms is None:
            return
        keep = max(self.last_ms - LOOK_BACK_MS, self.seen.nth_last(LOOK_BACK_EVENTS))
        if self.seen.forget(min(self.full_start_ms, keep)):
            self.say_once(
                "fast",
                "warning",
                f"Log stream {self.name} is written so fast that lines which CloudWatch shows late may be missing here",
            )
