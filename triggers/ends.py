"""The pace at which runs may end, where each end costs Airflow's supervisor an upload."""

from __future__ import annotations

import asyncio
from weakref import WeakKeyDictionary

from asyncrun.clients.config import uploads_logs
from asyncrun.model.settings import Settings

_next: WeakKeyDictionary[asyncio.AbstractEventLoop, float] = WeakKeyDictionary()


async def turn_to_end(settings: Settings) -> None:
    """
    Wait for this run's turn to end: at most ``ends_per_second`` in this event loop.

    With remote logging the supervisor uploads each ended trigger's log inside its own loop, before its heartbeat: a
    thousand at once would outlast it, and every trigger would be started again elsewhere. Without it nothing waits.
    """
    if not uploads_logs():
        return
    loop = asyncio.get_running_loop()
    turn = max(loop.time(), _next.get(loop, 0.0))
    _next[loop] = turn + 1 / settings.ends_per_second
    await asyncio.sleep(turn - loop.time())
