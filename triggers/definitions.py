"""Task definitions, read once for all runs: a revision never changes."""

from __future__ import annotations

import asyncio
import contextvars
import logging
import random
from collections.abc import Hashable
from weakref import WeakKeyDictionary

import msgspec

from asyncrun.clients.api import EcsApi
from asyncrun.model.ecs_definition import TaskPlan, parse_definition
from asyncrun.model.errors import AccessDenied, MalformedAnswer, RemoteError, Unavailable

log = logging.getLogger(__name__)

_PATIENCE = 60.0  # s; an API that is away for longer is left to the poller to report
_RETRY_REFUSED_AFTER = 300.0  # s; a policy may have been mended meanwhile
_FIRST_WAIT, _LONGEST_WAIT = 0.5, 8.0  # s
_UNREADABLE = 4  # answers in a row
_REMEMBERED = 1000  # definitions; a DAG may register one for each of its runs


class PlanAnswer(msgspec.Struct, frozen=True):
    """
    What a task definition says, or why that cannot be known.

    :param problem: one sentence for the task log, empty where there is a plan.
    """

    plan: TaskPlan | None
    problem: str = ""


class Definitions:
    """The task definitions that runs in this event loop use. Key: (account, ARN of the revision)."""

    def __init__(self) -> None:
        self._known: dict[tuple[Hashable, str], asyncio.Task[PlanAnswer]] = {}
        self._read_at: dict[tuple[Hashable, str], float] = {}

    async def plan(self, api: EcsApi, arn: str) -> PlanAnswer:
        """
        The definition with that ARN; one call however many ask at once. Never raises a ``RemoteError``.

        :param api: whose credentials read it.
        """
        key = (api.key, arn)
        loop = asyncio.get_running_loop()
        known = self._known.pop(key, None)
        if known is None or self._is_stale(key, known, loop.time()):
            known = loop.create_task(
                self._read(api, arn), name=f"asyncrun task definition {arn}", context=contextvars.Context()
            )
            self._read_at[key] = loop.time()
        self._known[key] = known  # the most recently used last
        if len(self._known) > _REMEMBERED:
            oldest = next(iter(self._known))
            if self._known[oldest].done():
                del self._known[oldest], self._read_at[oldest]
        # Shielded: the reading serves every run of that definition, and outlives the one that asked first.
        return await asyncio.shield(known)

    async def finish(self) -> None:
        """Wait for readings under way and forget everything: for workers, which end their loop."""
        pending = [task for task in self._known.values() if not task.done()]
        self._known.clear()
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)

    def _is_stale(self, key: tuple[Hashable, str], task: asyncio.Task[PlanAnswer], now: float) -> bool:
        if not task.done():
            return False
        if task.cancelled() or task.exception() is not None:
            return True
        return task.result().plan is None and now - self._read_at[key] > _RETRY_REFUSED_AFTER

    async def _read(self, api: EcsApi, arn: str) -> PlanAnswer:
        give_up_at = asyncio.get_running_loop().time() + _PATIENCE
        wait, unreadable = _FIRST_WAIT, 0
        while True:
            try:
                return PlanAnswer(parse_definition(await api.describe_task_definition(arn)))
            except MalformedAnswer as error:  # cut off on its way, or really unreadable
                unreadable += 1
                if unreadable == _UNREADABLE:
                    return PlanAnswer(None, f"The task definition {arn} could not be read: {error}")
            except Unavailable as error:
                if asyncio.get_running_loop().time() + wait > give_up_at:
                    return PlanAnswer(None, f"The task definition could not be read: {error}")
            except AccessDenied as error:
                return PlanAnswer(
                    None,
                    "The permission ecs:DescribeTaskDefinition is missing, so logs are found by the awslogs_* "
                    f"arguments only, and every container counts as essential ({error})",
                )
            except RemoteError as error:
                return PlanAnswer(None, f"The task definition {arn} could not be read: {error}")
            await asyncio.sleep(wait * random.uniform(0.5, 1))  # noqa: S311 - jitter, not cryptography
            wait = min(wait * 2, _LONGEST_WAIT)


_by_loop: WeakKeyDictionary[asyncio.AbstractEventLoop, Definitions] = WeakKeyDictionary()


def definitions() -> Definitions:
    """The definitions of the running event loop."""
    loop = asyncio.get_running_loop()
    if (known := _by_loop.get(loop)) is None:
        for closed in [one for one in _by_loop if one.is_closed()]:  # their finished tasks refer to them
            del _by_loop[closed]
        known = _by_loop[loop] = Definitions()
    return known
