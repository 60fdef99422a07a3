"""When the log of a pod counts as read to its end, or as far as it will be. Decided from times alone."""

from __future__ import annotations

import enum
from collections.abc import Iterable

import msgspec

DIALLING = 35.0
"""Seconds within which the API server says that a kubelet does not answer: it dials for 30."""
_TICK = 0.001  # s; a timer may run that much too early, and whoever waits in a loop must not spin until then


class End(enum.Enum):
    """Why a drain ended."""

    COMPLETE = "every chosen container has ended, and its log was read from before its end to its end"
    LIMIT = "the longest wait was over"
    NODE = "the longest wait for a node that does not answer was over"
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
    limit has not begun to count. Time in which a request waits for its answer is *excused*, up to ``patience``: it
    waits for a token of our own call budget (thousands of runs may end together), or for an API server that is away.
    What is not excused is that the API server answers, and says that the node does not: nobody knows whether it will
    come back.

    :param now: seconds, of any clock that does not go back.
    :param limit: seconds.
    :param patience: seconds that are excused at most.
    :param asked: containers whose last request was not answered yet.
    """

    def __init__(self, now: float, *, limit: float, patience: float, asked: Iterable[str] = ()) -> None:
        self._limit, self._patience = limit, patience
        self._deadline = now + limit
        self._excused = 0.0
        self._unanswered = set(asked)
        self._silent_since = now if self._unanswered else None
        self._node_since: float | None = None
        self._node_limit, self._node_is_lost = limit, False

    def progress(self, now: float) -> None:
        """New lines of a container that has ended were read, or Airflow takes lines too slowly."""
        self._deadline, self._excused = now + self._limit, 0.0
        self._node_since = None
        if self._silent_since is not None:
            self._silent_since = now

    def asked(self, now: float, container: str) -> None:
        """A request is made. One that fails without an answer goes on waiting for one."""
        self._unanswered.add(container)
        if self._silent_since is None:
            self._silent_since = now

    def answered(self, now: float, container: str) -> bool:
        """
        A request was answered, by whatever.

        :return: whether that makes a difference.
        """
        if container not in self._unanswered:
            return False
        self._took(now, container)
        return True

    def node_answered(self) -> bool:
        """:return: whether that makes a difference."""
        was_silent, self._node_since = self._node_since is not None, None
        return was_silent

    def node_failed(self, now: float, container: str, *, limit: float) -> None:
        """
        A request was answered: the node does not.

        :param limit: seconds that it has, from the first time on.
        """
        if self._node_since is None:
            self._node_since, self._node_limit, self._node_is_lost = now, limit, False
        self._node_limit = min(self._node_limit, limit)
        self._took(now, container)

    def node_lost(self, now: float, *, limit: float) -> None:
        """The pod's status says that its node does not answer."""
        self._node_since = now if self._node_since is None else self._node_since
        self._node_limit, self._node_is_lost = limit, True

    def decide(self, now: float, *, complete: bool) -> Decision:
        """
        What to do now.

        :param complete: whether every log was read to its end.
        """
        if complete:
            return Decision(end=End.COMPLETE)
        excused = min(self._patience, self._excused + self._silence(now))
        left = self._deadline + excused - now
        if left <= _TICK:
            if self._node_since is not None:
                return Decision(end=End.NODE)
            return Decision(end=End.UNANSWERED if excused >= self._patience else End.LIMIT)
        if self._node_since is not None:
            node_left = self._node_left(now, self._node_since)
            return Decision(wait=min(left, node_left)) if node_left > _TICK else Decision(end=End.NODE)
        if self._silent_since is None:
            return Decision(wait=left)
        # Each second from here on is excused, until the patience is used up.
        return Decision(wait=max(left, left + self._patience - excused))

    def _took(self, now: float, container: str) -> None:
        self._unanswered.discard(container)
        self._excused = min(self._patience, self._excused + self._silence(now))
        self._silent_since = now if self._unanswered else None

    def _silence(self, now: float) -> float:
        """What is to be excused of the present silence. Dialling a dead node takes time, too."""
        if self._silent_since is None:
            return 0.0
        return max(0.0, now - self._silent_since - (0.0 if self._node_since is None else DIALLING))

    def _node_left(self, now: float, since: float) -> float:
        left = since + self._node_limit - now
        if left <= _TICK and self._silent_since is not None and not self._node_is_lost:
            return self._silent_since + DIALLING - now  # what the next request brings
        return left
