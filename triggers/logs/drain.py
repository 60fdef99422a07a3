"""When a log counts as read to its end. Decided from times alone."""

from __future__ import annotations

import enum

import msgspec


class End(enum.Enum):
    """Why a drain ended."""

    QUIET = "nothing new came for the quiet period"
    LIMIT = "the longest wait was over"
    UNANSWERED = "the longest wait for a platform that does not answer was over"
    UNREADABLE = "no stream can be read"


class Ask(enum.Enum):
    """What the drain needs next."""

    WAIT = "more reads"
    FINAL = "a last read with the longer overlap"
    NOTHING = "it is over"


class Decision(msgspec.Struct, frozen=True):
    """
    :param wait: seconds until it should be decided again, if nothing happens before.
    :param end: set when ``ask`` is NOTHING.
    """

    ask: Ask
    wait: float = 0.0
    end: End | None = None


class DrainRule:
    """
    Waits until nothing new came for a quiet period after the end, judged by reads that were really made.

    The awslogs driver flushes every few seconds, and CloudWatch shows events some time after taking them in, so an
    empty read proves nothing by itself: one that *began* a whole quiet period after the last news was taken in (or
    the containers ended, whichever is later) does. It goes back further than others, for events that came late; so it
    is asked for when that time has come, and not sooner. After an outage of the platform a quiet period begins again.

    The limit bounds it all. While lines from well before the end still come (a log being read again from its first
    line), it has not begun to count: they are finite. Nor does it count while no read is completed, because the
    platform does not answer or many wait for their turn: what exceeds a quiet period between two reads is *excused*,
    up to ``patience``.

    :param now: AWS's time, as all times here: seconds since the epoch.
    :param ended: when the containers ended; None if that is not known.
    :param quiet: seconds.
    :param limit: seconds.
    :param patience: seconds that are excused at most.
    """

    def __init__(self, now: float, ended: float | None, *, quiet: float, limit: float, patience: float) -> None:
        self._quiet, self._limit, self._patience = quiet, limit, patience
        self._ended = now if ended is None else ended
        self._latest = self._ended  # the end, or the last news
        self._deadline = now + limit
        self._read_to = float("-inf")
        self._progress_at = now  # when it was last seen that a read was completed
        self._excused = 0.0
        self._unanswered = self._outage_seen = False

    def news(self, now: float, newest: float, taken_in: float | None = None) -> None:
        """
        New lines were read.

        :param newest: when the container wrote the latest of them.
        :param taken_in: when the platform took the latest of them in, None if it does not say: what a long finished
            run wrote is news to us, but no sign that more is on its way.
        """
        self._latest = max(self._latest, now if taken_in is None else min(taken_in, now))
        if newest < self._ended - self._quiet:
            self._start_limit(now)

    def held_back(self, now: float) -> None:
        """Reading pauses because Airflow takes lines too slowly: that delays the end of a log, it does not cut it."""
        self._start_limit(now)

    def unanswered(self) -> None:
        """The platform was asked, and did not answer."""
        self._unanswered = True

    def was_looked_at(self, read_to: float) -> bool:
        """
        Whether a stream was looked at when all that its container wrote should have been there.

        :param read_to: when the latest complete read of that stream began.
        """
        return read_to >= self._ended + self._quiet

    def decide(self, now: float, read_to: float | None, *, final: bool) -> Decision:
        """
        What to do now.

        :param read_to: when the latest complete read began, of the stream where that is longest ago; None if there
            is no stream left that can be read.
        :param final: whether the last read with the longer overlap was made for every stream.
        """
        if read_to is None:
            return Decision(Ask.NOTHING, end=End.UNREADABLE)
        if read_to > self._read_to:
            self._read_again(read_to, now)
        quiet_at = self._latest + self._quiet
        if final and read_to >= quiet_at:
            return Decision(Ask.NOTHING, end=End.QUIET)
        left = self._ends_at() - now
        if left <= 0:
            patient = self._excused + self._silence(now) < self._patience
            return Decision(Ask.NOTHING, end=End.LIMIT if patient else End.UNANSWERED)
        return Decision(Ask.FINAL, wait=left) if now >= quiet_at else Decision(Ask.WAIT, wait=min(left, quiet_at - now))

    def _read_again(self, read_to: float, now: float) -> None:
        silence = self._silence(now)
        self._excused = min(self._patience, self._excused + silence)
        self._read_to, self._progress_at = read_to, now
        if silence >= self._quiet and self._unanswered and not self._outage_seen:
            # The platform may have taken nothing in either: what the driver kept meanwhile is on its way only now.
            # Once, or reads that are always that slow would never find a quiet period.
            self._outage_seen = True
            self._latest = max(self._latest, now)
        self._unanswered = False

    def _start_limit(self, now: float) -> None:
        self._deadline, self._progress_at, self._excused = now + self._limit, now, 0.0

    def _silence(self, now: float) -> float:
        """For how long a completed read has been overdue."""
        return max(0.0, now - self._progress_at - self._quiet)

    def _ends_at(self) -> float:
        """When the limit is over, if no read is completed before."""
        end = self._deadline + self._excused
        # From there on each second is excused, until the patience is used up.
        return end if end <= self._progress_at + self._quiet else self._deadline + self._patience
