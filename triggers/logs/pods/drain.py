"""When the log of a pod counts as read to its end, or as far as it will be. Decided from times alone."""

from __future__ import annotations

import enum

import msgspec


class End(enum.Enum):
    """Why a drain ended."""

    COMPLETE = "every chosen container has ended, and its log was read from before its end to its end"
    LIMIT = "the longest wait was over"
    UNANSWERED = "the longest wait for an API server that does not answer was over"


class Decision(msgspec.Struct, frozen=True):
    """
    :param wait: seconds until it should be decided again, if nothing happens before.
    :param end: None: not yet.
    """

    wait: float = 0.0
    end: End | None = None


class PodDrainRule:
    """
    Waits until every log was read to its end, for at most ``limit``.

    The log of a container that has ended is finite: while new lines of it come, or Airflow takes lines too slowly, the
    limit has not begun to count. Time in which the API server does not answer is *excused*, up to ``patience``.

    :param now: seconds, of any clock that does not go back.
    :param limit: seconds.
    :param patience: seconds that are excused at most.
    """

    def __init__(self, now: float, *, limit: float, patience: float) -> None:
        self._limit, self._patience = limit, patience
        self._deadline = now + limit
        self._excused = 0.0
        self._silent_since: float | None = None

    def progress(self, now: float) -> None:
        """New lines of a container that has ended were read, or Airflow takes lines too slowly."""
        self.answered(now)
        self._deadline, self._excused = now + self._limit, 0.0

    def failed(self, now: float) -> None:
        """A request was not answered."""
        if self._silent_since is None:
            self._silent_since = now

    def answered(self, now: float) -> None:
        """A request was answered, by whatever."""
        if self._silent_since is not None:
            self._excused = min(self._patience, self._excused + now - self._silent_since)
            self._silent_since = None

    def decide(self, now: float, *, complete: bool) -> Decision:
        """
        What to do now.

        :param complete: whether every log was read to its end.
        """
        if complete:
            return Decision(end=End.COMPLETE)
        silence = 0.0 if self._silent_since is None else now - self._silent_since
        excused = min(self._patience, self._excused + silence)
        left = self._deadline + excused - now
        if left <= 0:
            return Decision(end=End.UNANSWERED if excused >= self._patience else End.LIMIT)
        if self._silent_since is None:
            return Decision(wait=left)
        # Each second from here on is excused, until the patience is used up.
        return Decision(wait=max(left, left + self._patience - excused))
