"""The end of a run's time: it is stopped then."""

from __future__ import annotations

import asyncio
from typing import Protocol

from asyncrun.model.errors import RemoteError, Unavailable
from asyncrun.model.stopping import stop_reason
from asyncrun.triggers.wakeup import is_due

_STOP_AGAIN = 15.0  # s between two attempts to stop


class Ending(Protocol):
    """The run that is stopped."""

    async def stop_at_deadline(self, reason: str) -> None:
        """
        Stop it; the argument says why.

        :raises RemoteError: it was refused, or nobody answered.
        """

    def say(self, level: str, text: str) -> None:
        """Write a line of ours into the task log."""

    def patience(self) -> float:
        """Seconds that the end is waited for after the stop: the containers' grace, and some more."""


class Deadline:
    """
    Stops a run when its time is over: again and again until that is answered, and then waits for the run's end.

    Every moment is the event loop's time.

    :param at: None: never.
    :param reason: which argument set it.
    :param outage: so many seconds longer it is told to stop, while nobody answers.
    """

    __slots__ = ("_accepted", "_asks_until", "_give_up_at", "_outage", "_run", "asked", "due", "not_ended", "reason")

    def __init__(self, at: float | None, reason: str, run: Ending, *, outage: float = 0.0) -> None:
        self.due = at
        """When there is something to do."""
        self.reason = reason or "its deadline"
        self.asked = False
        """The platform was asked to stop the run, or may have been: there was no answer."""
        self.not_ended = ""
        """Why the run may still be running."""
        self._run, self._outage = run, outage
        self._asks_until = 0.0
        self._give_up_at: float | None = None
        self._accepted = False

    async def enforce(self) -> bool:
        """Do what is due. Returns whether the run's end is still to be waited for."""
        loop = asyncio.get_running_loop()
        if self._give_up_at is None:
            self._run.say("error", f"The container run takes longer than {self.reason} allows: stopping it")
            self._give_up_at = loop.time() + self._run.patience()
            self._asks_until = self._give_up_at + self._outage
        elif is_due(self._give_up_at):
            return False
        if not self._accepted:
            await self._try()
        now = loop.time()
        self.due = self._give_up_at if self._accepted else min(now + _STOP_AGAIN, self._give_up_at)
        return True

    async def _try(self) -> None:
        try:
            await self._run.stop_at_deadline(stop_reason(self.reason))
        except RemoteError as error:
            if isinstance(error, Unavailable):
                self.asked = True
                now = asyncio.get_running_loop().time()
                self._give_up_at = min(self._asks_until, max(self._give_up_at or now, now + 2 * _STOP_AGAIN))
            self.not_ended = f"it could not be stopped, and may still be running: {error}"
        else:
            self.asked = self._accepted = True
            patience = self._run.patience()
            self._give_up_at = asyncio.get_running_loop().time() + patience
            self.not_ended = (
                f"it was told to stop and has not ended within {patience:.0f} s, so it may still be running"
            )
