"""
A cancelled trigger's last work: find out whether the task was killed, and if so stop its container run.

``on_kill`` gets about one second, so this runs in a task of its own. It is also the only chance: no triggerer ever
hears of a killed task again. So nothing is given up silently: what cannot be decided or stopped is said at ERROR with
the run, in the task log as long as Airflow keeps that open (a second or two), and in the triggerer's own log always.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Protocol

from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.errors import RemoteError
from asyncrun.model.settings import Settings
from asyncrun.model.stopping import stop_reason
from asyncrun.triggers.kill import Fate, TaskId, fate_of
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.turns import Turns

log = logging.getLogger(__name__)

# Seconds. An answer older than that is asked for again before the stop: a later attempt may have taken the run over.
# Those whose turns come within as long go together, so that they can be asked for in one message.
_FRESH = 5.0
# Seconds. A triggerer that ends waits for it; Airflow kills its runner after about 20 s.
_LAST_CHANCE = 8.0

_REASON = stop_reason("the task was marked or cleared by a user")


class Stoppable(Protocol):
    """A container run; its ``str`` says which, with its ARN."""

    async def stop(self, reason: str) -> None:
        """
        Stop it.

        :raises RemoteError: it was refused, or nobody answered.
        """


_turns = PerLoop(Turns)


class Killing:
    """
    One cancelled trigger's.

    :param task: the attempt.
    :param run: the container run that it watched.
    :param identity: which run that is: ``RunRecord.identity``.
    """

    def __init__(self, task: TaskId, run: Stoppable, identity: str, settings: Settings, task_log: TaskLog) -> None:
        self._task, self._run, self._identity, self._settings, self._task_log = task, run, identity, settings, task_log
        self._killed = False  # as far as is known

    async def carry_out(self) -> None:
        """Stop the run if the task was killed, and only then. A cancellation means that the triggerer ends."""
        self._task_log.say("info", f"Cancelled. If the task was killed, {self._run} is stopped; what becomes of that "
                                   "is said in the triggerer's own log once this log is closed")  # fmt: skip
        try:
            await self._settle()
        except asyncio.CancelledError:
            await self._last_chance()
            raise

    async def _settle(self) -> None:
        try:
            fate = await self._fate()
        except RemoteError as error:
            # Not stopped: an unneeded stop cannot be undone, an orphan can be found and stopped later.
            self._complain("Airflow does not say whether the task was killed, so nothing is stopped: if it was, "
                           f"{self._run} may still be running. {error}")  # fmt: skip
            return
        if fate is not Fate.KILLED:
            self._task_log.say("info", f"Nothing is stopped: the container run was {fate.value}")
            return
        try:
            await self._run.stop(_REASON)
        except RemoteError as error:
            self._complain(f"{self._run} could not be stopped and may still be running: {error}")

    async def _fate(self) -> Fate:
        """As it is when it is this run's turn to be stopped."""
        loop = asyncio.get_running_loop()
        fate = await self._asked()
        answered_at = loop.time()
        if fate is Fate.KILLED:
            await turn_to_stop(self._settings)
            if loop.time() - answered_at > _FRESH:
                fate = await self._asked()
        return fate

    async def _asked(self) -> Fate:
        fate = await fate_of(self._task, self._identity)
        self._killed = fate is Fate.KILLED
        return fate

    async def _last_chance(self) -> None:
        """Airflow no longer answers, AWS does."""
        if not self._killed:
            self._complain("The triggerer ends before Airflow said whether the task was killed: if it was, "
                           f"{self._run} may still be running")  # fmt: skip
            return
        try:
            async with asyncio.timeout(_LAST_CHANCE):
                await self._run.stop(_REASON)
        except (RemoteError, TimeoutError) as error:
            why = f": {error}" if str(error) else ""
            self._complain(f"The triggerer ends before {self._run} was stopped, which may still be running{why}")

    def _complain(self, text: str) -> None:
        self._task_log.say("error", text)
        log.error("%s (%s)", text, self._task)


async def turn_to_stop(settings: Settings) -> None:
    """
    Wait for a killed run's turn: at most ``stop_rate`` in this event loop.

    AWS's budget would make them wait too, but behind the decision: here it can be asked for again.
    """
    turn = _turns().take(settings.stop_rate)
    await asyncio.sleep(max(0.0, turn // _FRESH * _FRESH - asyncio.get_running_loop().time()))
