"""A poller's notes on one object: which answers it had, and what that means for those who wait. No I/O."""

from __future__ import annotations

import time
from enum import IntEnum

from asyncrun.model.errors import RemoteError
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.news import Broken, Gone, S, Seen, Trouble


class Weight(IntEnum):
    """How bad it is that an object cannot be seen. It only rises until it is over, so each is told at most once."""

    NONE = 0
    PASSING = 1
    """Throttled, 5xx, refused connections, an answer that is no answer. Never fatal, however long it lasts."""
    REFUSED = 2
    """Denied, expired, cluster gone, account blocked: somebody must act. Fatal after ``access_grace``."""
    FATAL = 3


class Row(Feed[S]):
    """
    One object's feed, and the poller's notes on it. Moments ending in ``_at`` are the event loop's time.

    :param ident: how it is asked for.
    """

    __slots__ = (
        "_refused_at",
        "_refused_by",
        "_silent_at",
        "_silent_since",
        "_unreadable",
        "_weight",
        "confirming",
        "flawed",
        "missing_at",
        "missing_since",
        "probed",
        "refusals",
        "refused_for",
        "version",
    )

    def __init__(self, ident: str) -> None:
        super().__init__(ident)
        self.version = 0
        """Of the latest state; 0: unknown, or the platform has none."""
        self.flawed = False
        """Whether any of the notes below is set."""
        self.probed = False
        """It waits for a call with few or no others, outside the regular batches."""
        self.confirming = False
        """That call is to confirm that the object is gone."""
        self.missing_at: float | None = None
        self.missing_since = 0.0
        self._silent_at: float | None = None
        self._silent_since = 0.0
        self._refused_at: float | None = None
        self._refused_by = ""
        self.refused_for = 0.0
        """Seconds for which the same refusal is known to last."""
        self.refusals = 0
        """Calls for nothing but this object that were refused for their content, since it was answered for last."""
        self._unreadable = 0
        self._weight = Weight.NONE

    def see(self, state: S, version: int, *, final: bool) -> None:
        """A state was read. An equal one is no news; one with a lower version came out of order."""
        known = self.latest
        if isinstance(known, Seen) and (version <= self.version if version else state == known.state):
            return
        self.version = version
        self.publish(Seen(state), final=final)

    def answered(self) -> None:
        """The platform told about it: whatever was wrong is over."""
        if self.flawed:
            self.flawed = self.confirming = False
            self.missing_at = None
            self._unreadable = 0
            self._reached()

    def missing(self, now: float) -> float:
        """The platform answered that it does not know it. Returns for how many seconds it has said so."""
        self._reached()
        self._unreadable = 0
        self.flawed = True
        if self.missing_at is None:
            self.missing_at, self.missing_since = now, time.time()
        return now - self.missing_at

    def gone(self) -> None:
        """It is missing, and that was confirmed."""
        self.publish(Gone(self.missing_since), final=True)

    def unreadable(self, error: RemoteError, limit: int) -> None:
        """It was answered for, in a form that cannot be used; after ``limit`` such answers it is given up."""
        self.flawed, self.confirming, self.missing_at = True, False, None
        self._unreadable += 1
        if self._unreadable >= limit:
            self.give_up(error)

    def give_up(self, error: RemoteError) -> None:
        """Nothing more will be known of it."""
        self.publish(Broken(error), final=True)

    def unanswered(self, error: RemoteError, now: float, patience: float) -> None:
        """Passing trouble: told once it has lasted for ``patience`` seconds."""
        self._refused_at = None
        self.suspected(error, now, patience)

    def suspected(self, error: RemoteError, now: float, patience: float) -> None:
        """A call was refused for what one of its objects is, perhaps this one. Told like passing trouble."""
        if error.code != self._refused_by:
            self._refused_at = None
        self._silent(now)
        if self._silent_at is not None and now - self._silent_at >= patience:
            self._tell(Weight.PASSING, error)

    def count_refusal(self, now: float, by: str = "") -> None:
        """
        A call for it was refused.

        What counts against the grace is the time between refusals that follow each other. Time in which there was no
        answer at all proves nothing about permissions.

        :param by: the code, where another one is another refusal, whose time begins anew.
        """
        self._silent(now)
        if by != self._refused_by:
            self._refused_by, self._refused_at, self.refused_for = by, None, 0.0
        if self._refused_at is not None:
            self.refused_for += now - self._refused_at
        self._refused_at = now

    def refused(self, error: RemoteError, now: float, grace: float, *, patience: float = 0) -> None:
        """Tell of refused access once it has lasted for ``patience`` seconds; after ``grace`` seconds it is fatal."""
        self._silent(now)
        if self.refused_for >= grace:
            self._tell(Weight.FATAL, error)
        elif self._silent_at is not None and now - self._silent_at >= patience:
            self._tell(Weight.REFUSED, error)

    def _silent(self, now: float) -> None:
        self.flawed = True
        if self._silent_at is None:
            self._silent_at, self._silent_since = now, time.time()

    def _reached(self) -> None:
        self._silent_at = self._refused_at = None
        self.refused_for, self.refusals = 0.0, 0
        self._weight = Weight.NONE
        self.recover()

    def _tell(self, weight: Weight, error: RemoteError) -> None:
        if weight > self._weight:
            self._weight = weight
            self.tell(Trouble(error, self._silent_since, fatal=weight is Weight.FATAL))
