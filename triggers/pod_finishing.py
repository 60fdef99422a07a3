"""
What becomes of a pod whose task has ended in the triggerer: deleted or marked, after its end was reported.

Not before: Airflow records the end some moments after the trigger's event. Were the pod deleted first and the
triggerer to die then, its successor would find no pod and could not tell that it succeeded. So a triggerer that ends
within seconds after a pod's end leaves a finished pod behind rather than fail a task that has succeeded.
"""

from __future__ import annotations

import asyncio
import logging

from asyncrun.clients.kube import open_kube
from asyncrun.launch.pod_settling import settle
from asyncrun.model.errors import RemoteError
from asyncrun.model.outcome import Outcome
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.settings import Settings
from asyncrun.triggers.background import spawn

log = logging.getLogger(__name__)

_LAST_CHANCE = 5.0  # s; a triggerer that ends waits for it; Airflow kills its runner after about 20 s
# s after the event. Airflow's runner hands events over once a second, and a triggerer that is told to end does not do
# so once more: whatever is younger may never be recorded.
_RECORDED = 3.0


def finish_later(watch: PodWatch, outcome: Outcome, settings: Settings) -> None:
    """Do what ``on_finish_action`` says, ``pod_delete_delay`` from now; sooner where the triggerer ends before."""
    spawn(_finish(watch, outcome, settings), f"asyncrun finish pod {watch.ref}")


async def _finish(watch: PodWatch, outcome: Outcome, settings: Settings) -> None:
    loop = asyncio.get_running_loop()
    ended_at = loop.time()
    try:
        await asyncio.sleep(settings.pod_delete_delay)
    except asyncio.CancelledError:
        if loop.time() - ended_at < _RECORDED:
            log.warning("The triggerer ends right after pod %s has: the pod is neither deleted nor marked", watch.ref)
            raise
        try:
            async with asyncio.timeout(_LAST_CHANCE):
                await _finish_now(watch, outcome, settings)
        except TimeoutError:
            log.warning("The triggerer ends before pod %s, which has finished, was deleted or marked", watch.ref)
        raise
    await _finish_now(watch, outcome, settings)


async def _finish_now(watch: PodWatch, outcome: Outcome, settings: Settings) -> None:
    try:
        async with open_kube(watch.target, settings) as access:
            pods = access.pods(watch.ref.namespace)
            await settle(pods, watch.ref, watch.on_finish_action, outcome, base=watch.base, say=_say)
    except RemoteError as error:
        log.error("Pod %s has finished, and could not be deleted or marked: %s", watch.ref, error)


def _say(why: str) -> None:
    log.warning("%s", why)
