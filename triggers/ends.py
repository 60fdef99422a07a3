"""
The pace at which runs may end, where each end costs Airflow's supervisor an upload.

With remote logging the supervisor uploads the log of each ended trigger inside its own loop, before its heartbeat, and
all that ended since it was last told, in one go. A fixed pace does not help: what ends while it uploads is the next,
larger go (20 a second at 0.2 s each: 20, 100, 420 ends, 4, 21, 85 s). So an end's turn comes when earlier ones are
over, as ``asyncrun.clients.airflow_supervisor`` can tell.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec

from asyncrun.clients.airflow_supervisor import Noticing, can_tell, supervisor_turn
from asyncrun.clients.config import uploads_logs
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.settings import Settings
from asyncrun.triggers.background import spawn
from asyncrun.triggers.turns import Turns
from asyncrun.triggers.wakeup import Wakeup

_logger = logging.getLogger(__name__)

_BUSY = 5.0  # s that the supervisor may be away for ends: the default time between two heartbeats
_FIRST = 1  # end at a time while nothing is known: an upload that S3 refuses takes 14 s with all its retries
_SECOND_CHANCE = 5.0  # s for the runner, which looks every second
_KNOWN_FOR = 60.0  # s after the last end that is over
_LONG = 10.0  # s that a run waits before its log says so
_WAITS = (
    "The task ends when its turn comes. {} wait for theirs: Airflow's triggerer uploads the log of each task that "
    "ends, one after the other, and all at once would cost it its heartbeat"
)
_MUTE_FOR = 600.0  # s; a supervisor that does not answer beats no more, or is one that we do not know


Say = Callable[[str, str], object]


class EndsStatistics(msgspec.Struct, frozen=True):
    """
    :param waiting: runs that wait for their turn to end.
    :param under_way: had their turn, and are not seen to be over.
    :param at_once: so many may be under way now.
    :param over: seen to be over, in all.
    :param longest: seconds that the supervisor was away for those told at once, at most.
    """

    waiting: int
    under_way: int
    at_once: int
    over: int
    longest: float


async def turn_to_end(settings: Settings, say: Say | None = None) -> None:
    """
    Wait for the turn of this run, whose trigger's task is the running one, to end.

    At most ``ends_per_second`` and, in a triggerer, at most ``ends_at_once`` that the supervisor has not dealt with;
    fewer where that takes long. First come, first served. Without remote logging nothing waits.

    :param say: level and text: says in the task log that the task waits, if it does for long.
    """
    if uploads_logs():
        await ends().turn(settings, say)


class Ends:
    """
    The ends of one event loop.

    Invariant: whoever waits does so because ``at_once`` others are under way, each of which is noticed when it ends.

    :param can_tell: whether it can be told when ends are over.
    :param supervisor_turn: waits until the supervisor has been round once more; False if it did not answer.
    """

    def __init__(
        self,
        can_tell: Callable[[], bool] = can_tell,
        supervisor_turn: Callable[[], Awaitable[bool]] = supervisor_turn,
    ) -> None:
        self._clock = asyncio.get_running_loop().time
        self._can_tell, self._supervisor_turn = can_tell, supervisor_turn
        self._turns = Turns()
        self._waiting: dict[Noticing, Wakeup] = {}
        self._under_way: set[Noticing] = set()
        self._noticed: list[Noticing] = []
        self._overdue: list[Noticing] = []
        self._asking: asyncio.Task[None] | None = None
        self._looking: asyncio.Task[None] | None = None
        self._at_once = self._most = _FIRST
        self._over, self._over_at, self._longest = 0, 0.0, 0.0
        self._mute_until = 0.0  # it was asked in vain: until then it is not asked again

    def statistics(self) -> EndsStatistics:
        """How it stands."""
        return EndsStatistics(
            waiting=len(self._waiting),
            under_way=len(self._under_way),
            at_once=self._at_once,
            over=self._over,
            longest=self._longest,
        )

    async def turn(self, settings: Settings, say: Say | None = None) -> None:
        """As ``turn_to_end``, with remote logging."""
        if self._can_tell() and not self._is_mute():
            self._most = settings.ends_at_once
            await self._room(Noticing(_running_task(), self._notice, self._look_again), say)
        turn = self._turns.take(settings.ends_per_second)
        await asyncio.sleep(turn - self._clock())

    async def _room(self, end: Noticing, say: Say | None) -> None:
        if not self._under_way and self._clock() - self._over_at > _KNOWN_FOR:
            self._at_once = min(self._at_once, _FIRST)
        if len(self._under_way) < min(self._at_once, self._most):
            self._under_way.add(end)
            return
        self._waiting[end] = turn = Wakeup()
        try:
            if not await turn.wait(_LONG):
                if say is not None:
                    say("info", _WAITS.format(len(self._waiting)))
                await turn.wait()
        finally:
            self._waiting.pop(end, None)  # cancelled: its end costs an upload all the same, but cannot be put off

    def _notice(self, end: Noticing) -> None:
        if end not in self._under_way:
            return
        self._noticed.append(end)
        if self._asking is None or self._asking.done():
            self._asking = spawn(self._ask(), "asyncrun ends")

    def _look_again(self, end: Noticing) -> None:
        self._overdue.append(end)
        if self._looking is None or self._looking.done():
            self._looking = spawn(self._notice_overdue(), "asyncrun overdue ends")

    async def _notice_overdue(self) -> None:
        """The supervisor may have been away, and the runner with it: both get another chance."""
        while self._overdue:
            ends, self._overdue = self._overdue, []
            if not self._is_mute():
                await self._been_round()
                await asyncio.sleep(_SECOND_CHANCE)
            for end in ends:
                end.notice()

    async def _ask(self) -> None:
        """Until none is left that the runner has noticed; those of one message are noticed in one step."""
        while self._noticed:
            ends, self._noticed = self._noticed, []
            began = self._clock()
            try:
                if self._is_mute():
                    pass
                elif await self._been_round():
                    self._learn(len(ends), self._clock() - began)
                else:
                    self._mute_until = self._clock() + _MUTE_FOR
            finally:  # whatever happens: all others wait for these
                self._over += len(ends)
                self._over_at = self._clock()
                self._under_way.difference_update(ends)
                self._go_on()

    async def _been_round(self) -> bool:
        """Whether the supervisor has been round once more; a defect must not keep every run from ending."""
        try:
            return await self._supervisor_turn()
        except Exception:
            _logger.exception("A defect of asyncrun while asking Airflow's supervisor")
            return False

    def _is_mute(self) -> bool:
        return self._clock() < self._mute_until

    def _learn(self, ends: int, seconds: float) -> None:
        """
        :param seconds: that the supervisor was away for that many ends, those of other triggers included.
        """
        self._longest = max(self._longest, seconds)
        fitting = int(_BUSY * ends / seconds) if seconds > 0 else self._most
        self._at_once = max(1, min(fitting, max(self._at_once, 2 * ends), self._most))

    def _go_on(self) -> None:
        while self._waiting and (self._is_mute() or len(self._under_way) < self._at_once):
            end = next(iter(self._waiting))
            self._under_way.add(end)
            self._waiting.pop(end).set()


ends = PerLoop(Ends)
"""``ends()`` are those of the running event loop."""


def _running_task() -> asyncio.Task[Any]:
    task = asyncio.current_task()
    if task is None:
        raise RuntimeError("a trigger runs in a task")
    return task
