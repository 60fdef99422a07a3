"""The end of an event loop that is ours: a worker's, with ``deferrable=False``."""

from __future__ import annotations

from asyncrun.clients.aws import close_all
from asyncrun.clients.kube import close_all_kube
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.definitions import definitions
from asyncrun.triggers.metrics.reporter import reporter
from asyncrun.triggers.registry import registry


async def close_loop() -> None:
    """End every shared watcher, reader and client of the running event loop; the triggerer's loop never needs it."""
    await finish_all()
    await registry().close_all()
    await reporter().finish()
    await definitions().finish()
    await close_all()
    await close_all_kube()
