"""
The loop that all pollers share: when to ask, how many calls at once, and what a failed call means for the whole round.

There is no task, no timer and no call per object.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator
from typing import Generic

import msgspec

from asyncrun.clients.error_codes import REFUSED_CONTENT
from asyncrun.model.errors import AccessDenied, MalformedAnswer, NotFound, RemoteError, RequestRefused, Throttled
from asyncrun.triggers.wakeup import is_due
from asyncrun.triggers.watch.book import Batch, Book, every
from asyncrun.triggers.watch.feed import Feed
from asyncrun.triggers.watch.news import S
from asyncrun.triggers.watch.pace import Pace
from asyncrun.triggers.watch.questions import Questions, Tuning
from asyncrun.triggers.watch.renewals import Renewals


class PollerStatistics(msgspec.Struct, frozen=True, kw_only=True):
    """
    Counters of one poller since it was made.

    :param kind: what it asks for: "ECS task".
    :param cluster: of those objects, by its short name; empty where they are in none.
    :param subscribed: objects that somebody is subscribed to.
    :param active: those of them that are still asked for.
    :param faults: calls that brought no answer, throttled ones included.
    :param renewals: attempts to renew the credentials.
    :param last_round_seconds: from the first call's start to the last one's answer, with waiting for the call budget.
    """

    kind: str = ""
    cluster: str = ""
    subscribed: int = 0
    active: int = 0
    rounds: int = 0
    calls: int = 0
    faults: int = 0
    throttled: int = 0
    renewals: int = 0
    last_round_seconds: float = 0.0


class _Round(Generic[S]):
    """What became of the calls of one round."""

    def __init__(self, batches: list[Batch[S]], *, early: bool, started: float) -> None:
        self.batches, self.early, self.started = batches, early, started
        self.todo: Iterator[Batch[S]] = iter(batches)
        self.settled: set[int] = set()
        self.answered = 0
        self.failed_in_a_row = 0
        self.passing: RemoteError | None = None
        """A fault that waiting mends, or that does not tell what would."""
        self.denied: list[tuple[Batch[S], RemoteError]] = []
        """Calls that were refused until somebody acts on credentials, permissions or the cluster."""
        self.refused_content = False
        """Whether any call was refused for what it asks for."""


class BatchPoller(Generic[S]):
    """
    A watcher that asks for its objects in batches. See ``asyncrun.triggers.registry.Watcher``.

    :param name: for logs and task names.
    :param questions: how to ask and how to read.
    :param interval: seconds from the start of one round for that many objects to the start of the next, at least.
    :param missing_grace: seconds that an object must be missing to be believed gone.
    :param access_grace: seconds that access must be refused to be fatal.
    :param renew: looks up connection and credentials anew; called when a whole round is refused, also if for its
        content: the credentials may have become those of another account.
    """

    def __init__(
        self,
        name: str,
        questions: Questions[S],
        *,
        interval: Callable[[int], float],
        missing_grace: float,
        access_grace: float,
        renew: Callable[[], Awaitable[None]],
        tuning: Tuning | None = None,
    ) -> None:
        self.name = name
        self._questions, self._tuning = questions, tuning or Tuning()
        self._interval = interval
        self._pace = Pace(pause=self._tuning.pause, longest=self._tuning.backoff)
        self._book = Book(questions, missing_grace=missing_grace, access_grace=access_grace, tuning=self._tuning)
        self._wake = asyncio.Event()
        self._renewals = Renewals(name, renew, self._tuning.renewals, self._tuning.renew_limit)
        self._silent = False  # no call of the last round was answered
        self._rounds = self._calls = self._faults = self._throttled = 0
        self._last_round = 0.0

    def open(self, ident: str) -> Feed[S]:
        """The feed of that object; a new one is asked for soon."""
        row = self._book.rows.get(ident)
        if row is None:
            now = asyncio.get_running_loop().time()
            if not self._book.active:
                self._pace.resume(now)
            row = self._book.add(ident, now)
            self._wake.set()
        return row

    def forget(self, ident: str) -> None:
        """Ask for that object no more."""
        self._book.remove(ident)

    def statistics(self) -> PollerStatistics:
        """Counters, at any time."""
        return PollerStatistics(
            kind=self._questions.what,
            cluster=self._questions.cluster,
            subscribed=len(self._book.rows),
            active=len(self._book.active),
            rounds=self._rounds,
            calls=self._calls,
            faults=self._faults,
            throttled=self._throttled,
            renewals=self._renewals.count,
            last_round_seconds=self._last_round,
        )

    async def run(self) -> None:
        """Round after round, until cancelled."""
        self._book.restart()
        while True:
            early = await self._until_due()
            await self._round(early=early)

    async def _until_due(self) -> bool:
        """Wait for the next round; whether it is an early one, for newcomers only."""
        while True:
            due = self._pace.due(self._book.fresh_since) if self._book.active else None
            if due is not None and is_due(due):
                return due < self._pace.next_at
            self._wake.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout_at(due):
                    await self._wake.wait()

    async def _round(self, *, early: bool) -> None:
        loop = asyncio.get_running_loop()
        now = loop.time()
        this = _Round(self._book.plan(now, early=early), early=early, started=now)
        if self._silent:  # one call tells whether that is over
            await self._work(this, calls=1)
        if this.answered or not self._silent:
            await self._share(this)
        self._rounds += 1
        self._last_round = loop.time() - this.started
        self._settle_unasked(this)
        await self._conclude(this)

    async def _share(self, this: _Round[S]) -> None:
        """Make the calls of a round, some at the same time."""
        crew = min(len(this.batches), self._tuning.concurrency)
        if crew <= 1:
            await self._work(this)
            return
        async with asyncio.TaskGroup() as group:
            for number in range(crew):
                group.create_task(self._work(this), name=f"asyncrun calls of {self.name}, {number}")

    async def _work(self, this: _Round[S], calls: int | None = None) -> None:
        """
        Make calls until there are none left or the round is hopeless. Several of these share a round.

        :param calls: at most; None: no limit.
        """
        clock = asyncio.get_running_loop().time
        for batch in itertools.islice(this.todo, calls):
            self._calls += 1
            try:
                answer = await self._questions.ask([row.ident for row in batch])
            except RemoteError as error:
                self._faults += 1
                self._throttled += isinstance(error, Throttled)
                self._failed(this, batch, error, clock())
            else:
                this.answered += 1
                this.failed_in_a_row = 0
                self._renewals.helped()
                self._book.answered(batch, answer, clock())
            this.settled.add(id(batch))
            if this.failed_in_a_row >= self._tuning.hopeless_after:
                return

    def _failed(self, this: _Round[S], batch: Batch[S], error: RemoteError, now: float) -> None:
        if isinstance(error, RequestRefused) and error.code in REFUSED_CONTENT:
            this.refused_content = True
            self._book.refused_content(batch, error, now)
            return
        this.failed_in_a_row += 1
        if isinstance(error, AccessDenied | NotFound):
            this.denied.append((batch, error))
            self._book.count_refusal(batch, now)
            return
        this.passing = error
        if isinstance(error, MalformedAnswer | RequestRefused):
            self._book.refused_content(batch, error, now)
        else:
            self._book.unanswered(batch, error, now)

    def _settle_unasked(self, this: _Round[S]) -> None:
        """Those whose calls were not made wait for the same reason as the others, and come first next time."""
        unasked = [batch for batch in this.batches if id(batch) not in this.settled]
        if not unasked:
            return
        asked = [batch for batch in this.batches if id(batch) in this.settled]
        is_refusal = bool(this.denied) or isinstance(this.passing, RequestRefused)
        reason = None if is_refusal else this.passing
        self._book.unasked(unasked, asked, reason, asyncio.get_running_loop().time())
        if this.denied:
            this.denied.append((every(unasked), this.denied[-1][1]))

    async def _conclude(self, this: _Round[S]) -> None:
        """Tell of refused access, and set the time of the next round."""
        clock = asyncio.get_running_loop().time
        interval = self._interval(len(self._book.active))
        wholly = not this.answered
        self._silent = wholly and this.passing is not None and not this.denied
        is_refused = wholly and (bool(this.denied) or this.refused_content)
        renewed = is_refused and await self._renewals.attempt()
        for batch, error in this.denied:
            self._book.refused(batch, error, clock(), renewed=renewed)
        if renewed:
            self._pace.again(clock())
        elif this.passing is not None or (this.denied and wholly):
            self._pace.failed(this.started + interval, clock(), wholly=wholly)
        else:
            self._pace.went_well(this.started + interval, early=this.early)
