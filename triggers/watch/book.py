"""
What a poller asks for next, and what each answer means for whom. No I/O.

A round asks for every object that is not final, in as few calls as possible. An object that may spoil a call for others
leaves the regular batches for *probes*: a batch that was refused for its content is halved from round to round until
the culprit is alone, and a missing object is asked for by itself before it is believed to be gone. A culprit *rests*
between its probes, ever longer; when one of them is answered for, what was refused was not the object, and all come
back.

A quiet object costs one comparison per round.
"""

from __future__ import annotations

import logging
from collections import deque
from collections.abc import Iterable, Mapping
from typing import Any, Generic, TypeAlias

from asyncrun.clients.api import Described, Failure
from asyncrun.clients.error_codes import REFUSED_CONTENT
from asyncrun.model.arns import name_of
from asyncrun.model.errors import MalformedAnswer, RemoteError, RequestRefused, Unavailable
from asyncrun.triggers.watch.news import S
from asyncrun.triggers.watch.questions import DATA_ERRORS, Questions, Tuning
from asyncrun.triggers.watch.row import Row

log = logging.getLogger(__name__)

Batch: TypeAlias = list[Row[S]]

MISSING = "MISSING"


class Book(Generic[S]):
    """
    The objects of one poller. Every moment given as ``now`` is the event loop's time.

    :param missing_grace: seconds that an object must be missing to be believed gone.
    :param access_grace: seconds that access must be refused to be fatal.
    """

    def __init__(self, questions: Questions[S], *, missing_grace: float, access_grace: float, tuning: Tuning) -> None:
        self._questions, self._tuning = questions, tuning
        self._missing_grace, self._access_grace = missing_grace, access_grace
        self.rows: dict[str, Row[S]] = {}
        self.active: dict[str, Row[S]] = {}
        """Those of ``rows`` whose last word is not spoken."""
        self._fresh: dict[str, Row[S]] = {}
        self.fresh_since: float | None = None
        """When the first of those came that were never asked for."""
        self._probes: deque[Batch[S]] = deque()
        self._resting: dict[Row[S], float] = {}
        """Until when, for those that were refused when asked for alone."""

    def add(self, ident: str, now: float) -> Row[S]:
        """A newcomer, to be asked for soon."""
        row = self.rows[ident] = self.active[ident] = self._fresh[ident] = Row(ident)
        if self.fresh_since is None:
            self.fresh_since = now
        return row

    def remove(self, ident: str) -> None:
        """Nobody wants to know any more."""
        if ident in self.rows:
            self._resting.pop(self.rows[ident], None)
        for rows in (self.rows, self.active, self._fresh):
            rows.pop(ident, None)
        if not self._fresh:
            self.fresh_since = None

    # -- what to ask -----------------------------------------------------------------------------------------------

    def restart(self) -> None:
        """Whoever waits for a probe joins the regular batches again: a round was broken off, or a refusal is over."""
        self._probes.clear()
        self._resting.clear()
        for row in self.active.values():
            row.probed = row.confirming = False

    def plan(self, now: float, *, early: bool) -> list[Batch[S]]:
        """
        The calls of the next round.

        :param early: only what was never asked for.
        """
        source = self._fresh if early else self.active
        rows = [row for row in source.values() if not row.probed]
        self._fresh, self.fresh_since = {}, None
        size = self._questions.size
        batches = [rows[start : start + size] for start in range(0, len(rows), size)]
        return batches if early else batches + self._take_probes(now)

    def _take_probes(self, now: float) -> list[Batch[S]]:
        for row in [row for row, until in self._resting.items() if until <= now]:
            del self._resting[row]
            self._probes.append([row])
        taken: list[Batch[S]] = []
        while self._probes and len(taken) < self._tuning.probes:
            batch = [row for row in self._probes.popleft() if self._wants(row)]
            if batch:
                taken.append(batch)
        return taken

    def _wants(self, row: Row[S]) -> bool:
        return self.active.get(row.ident) is row

    def _probe(self, batch: Batch[S]) -> None:
        for row in batch:
            row.probed = True
        self._probes.append(batch)

    # -- what became of a call -------------------------------------------------------------------------------------

    def unasked(self, batches: list[Batch[S]], asked: list[Batch[S]], reason: RemoteError | None, now: float) -> None:
        """
        A round was given up before these calls: they come first in the next one.

        :param asked: the round's other calls, which go to the end of the queue.
        :param reason: the passing trouble for which it was given up, if that was why.
        """
        for batch in reversed(batches):
            if batch[0].probed:
                self._probes.appendleft(batch)
        for row in every(asked):
            if self._wants(row):
                self.active[row.ident] = self.active.pop(row.ident)
        if reason is not None:
            for row in every(batches):
                row.unanswered(reason, now, self._tuning.patience)

    def answered(self, batch: Batch[S], answer: Described, now: float) -> None:
        """Every object of the call gets its part of the answer."""
        refused = [row for row in batch if row.refusals]
        left = {row.ident: row for row in batch if self._wants(row)}
        asked, anonymous = dict(left), 0
        for raw in answer.items:
            try:
                rows = [asked[ident] for ident in self._questions.idents(raw) if ident in asked]
            except DATA_ERRORS:
                anonymous += 1
                continue
            for row in rows:
                left.pop(row.ident, None)
                self._take(row, raw)
        for failure in answer.failures:
            failed = left.pop(failure.arn, None) or left.pop(name_of(failure.arn), None)
            if failed is not None:
                self._failure(failed, failure, now)
        if anonymous:
            self._spoiled([*left.values()], alone=len(batch) == 1)
        else:
            for row in left.values():
                self._missing(row, now)
        if any(not row.refusals for row in refused):
            self.restart()

    def _take(self, row: Row[S], raw: Mapping[str, Any]) -> None:
        try:
            version = self._questions.version(raw)
            if not row.version or version != row.version:
                self._see(row, *self._questions.read(raw))
        except DATA_ERRORS as error:
            row.probed = False
            row.unreadable(self._questions.unreadable(row.ident, error), self._tuning.unreadable_limit)
            self._drop_if_final(row)
        else:
            row.probed = False
            row.answered()

    def _see(self, row: Row[S], state: S, version: int) -> None:
        row.see(state, version, final=self._questions.is_final(state))
        self._drop_if_final(row)

    def _drop_if_final(self, row: Row[S]) -> None:
        if row.final:
            self.active.pop(row.ident, None)

    def _failure(self, row: Row[S], failure: Failure, now: float) -> None:
        if failure.reason == MISSING:
            self._missing(row, now)
            return
        row.probed = row.confirming = False
        text = f"{self._questions.what} {row.ident} cannot be described now: {failure.reason} {failure.detail}".strip()
        row.unanswered(self._questions.error(Unavailable, text, failure.reason), now, self._tuning.patience)

    def _missing(self, row: Row[S], now: float) -> None:
        state = self._questions.missing_state(row.ident)
        if state is not None:
            row.probed = False
            self._see(row, state, 0)
            row.answered()
            return
        lasts = row.missing(now)
        if row.confirming:
            row.gone()
            self._drop_if_final(row)
        elif lasts >= self._missing_grace:
            row.confirming = True
            self._probe([row])
        else:
            row.probed = False

    def _spoiled(self, rows: Batch[S], *, alone: bool) -> None:
        """There were items in the answer that do not say what they are about, and nothing about these."""
        if not alone:
            self._halve(rows)
            return
        for row in rows:
            text = f"the answer about {self._questions.what} {row.ident} does not say what it is about"
            error = self._questions.error(MalformedAnswer, text)
            row.unreadable(self._questions.advised(error), self._tuning.unreadable_limit)
            self._drop_if_final(row)
            if not row.final:
                self._probe([row])

    def refused_content(self, batch: Batch[S], error: RemoteError, now: float) -> None:
        """The whole call was refused, or its answer unreadable, which a single object in it may be the cause of."""
        alone = len(batch) == 1
        batch = [row for row in batch if self._wants(row)]
        is_about_content = isinstance(error, RequestRefused) and error.code in REFUSED_CONTENT
        for row in batch:
            if is_about_content and alone:
                self._refused_alone(row, error, now)
            elif is_about_content:
                row.suspected(error, now, self._tuning.patience)
            elif isinstance(error, RequestRefused):
                row.count_refusal(now)
                row.refused(error, now, self._access_grace, patience=self._tuning.patience)
            else:
                row.unanswered(error, now, self._tuning.patience)
        if is_about_content and alone:
            return
        # What does not blame the content is more often everybody's trouble than one object's: when several batches are
        # being halved already, halving more would only make the way back longer.
        if is_about_content or len(self._probes) < 2 * self._tuning.probes:
            self._halve(batch)
        else:
            self._requeue(batch)

    def _refused_alone(self, row: Row[S], error: RemoteError, now: float) -> None:
        # Whatever the code says, all objects are refused like that while the credentials are of another account.
        row.count_refusal(now, error.code)
        if row.refused_for >= self._access_grace:
            row.give_up(self._questions.advised(error))
            self._drop_if_final(row)
            return
        row.refused(error, now, self._access_grace, patience=self._tuning.patience)
        row.refusals += 1
        row.probed, row.confirming = True, False
        self._resting[row] = now + self._tuning.rests.wait(row.refusals)

    def _halve(self, batch: Batch[S]) -> None:
        middle = (len(batch) + 1) // 2
        for half in (batch[:middle], batch[middle:]):
            if half:
                self._probe(half)

    def unanswered(self, batch: Batch[S], error: RemoteError, now: float) -> None:
        """The call failed, for a reason that passes."""
        self._requeue(batch)
        for row in batch:
            row.unanswered(error, now, self._tuning.patience)

    def count_refusal(self, batch: Batch[S], now: float) -> None:
        """The call was refused for lack of access."""
        self._requeue(batch)
        for row in batch:
            row.count_refusal(now)

    def refused(self, batch: Batch[S], error: RemoteError, now: float, *, renewed: bool) -> None:
        """
        Tell those concerned that access is refused.

        :param renewed: the credentials were renewed just now: whoever was not told yet is told if that did not help.
        """
        for row in batch:
            if self._wants(row) and not (renewed and row.trouble is None):
                row.refused(error, now, self._access_grace)

    def _requeue(self, batch: Batch[S]) -> None:
        if batch and batch[0].probed:
            self._probe(batch)

    # -- a second source -------------------------------------------------------------------------------------------

    def offer(self, raw: Mapping[str, Any]) -> None:
        """A state that was pushed. It says nothing about whether the platform answers calls."""
        try:
            for row in [self.active[ident] for ident in self._questions.idents(raw) if ident in self.active]:
                self._see(row, *self._questions.read(raw))
                row.missing_at, row.confirming = None, False
        except DATA_ERRORS:
            log.warning("a pushed state of an %s cannot be read; it is ignored", self._questions.what, exc_info=True)


def every(batches: Iterable[Batch[S]]) -> Batch[S]:
    """The rows of several calls."""
    return [row for batch in batches for row in batch]
