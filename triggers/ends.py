"""The pace at which runs may end, where each end costs Airflow's supervisor an upload."""

from __future__ import annotations

import asyncio

from asyncrun.clients.config import uploads_logs
from asyncrun.model.settings import Settings
from asyncrun.triggers.per_loop import PerLoop


class _Turns:
    """When the next run may end, in the event loop's time."""

    next_at = 0.0


_turns = PerLoop(_Turns)


async def turn_to_end(settings: Settings) -> None:
    """
    Wait for this run's turn to end: at most ``ends_per_second`` in this event loop.

    With remote logging the supervisor uploads each ended trigger's log inside its own loop, before its heartbeat: a
    thousand at once would outlast it, and every trigger would be started again elsewhere. Without it nothing waits.
    """
    if not uploads_logs():
        return
    now, turns = asyncio.get_running_loop().time(), _turns()
    turn = max(now, turns.next_at)
    turns.next_at = turn + 1 / settings.ends_per_second
    await asyncio.sleep(turn - now)
