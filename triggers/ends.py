"""The pace at which runs may end, where each end costs Airflow's supervisor an upload."""

from __future__ import annotations

import asyncio

from asyncrun.clients.config import uploads_logs
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.settings import Settings
from asyncrun.triggers.turns import Turns

_turns = PerLoop(Turns)


async def turn_to_end(settings: Settings) -> None:
    """
    Wait for this run's turn to end: at most ``ends_per_second`` in this event loop.

    With remote logging the supervisor uploads each ended trigger's log inside its own loop, before its heartbeat: a
    thousand at once would outlast it, and every trigger would be started again elsewhere. Without it nothing waits.
    """
    if not uploads_logs():
        return
    turn = _turns().take(settings.ends_per_second)
    await asyncio.sleep(turn - asyncio.get_running_loop().time())
