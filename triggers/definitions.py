"""Task definitions, read once for all runs: a revision never changes."""

from __future__ import annotations

import asyncio
import contextvars
import itertools
import logging
from collections.abc import Callable, Hashable
from types import TracebackType

import msgspec

from asyncrun.clients.api import EcsApi
from asyncrun.clients.per_loop import PerLoop
from asyncrun.model.backoff import Backoff
from asyncrun.model.ecs_definition import TaskPlan, parse_definition
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
)

log = logging.getLogger(__name__)

_RETRY_REFUSED_AFTER = 300.0  # s; for runs that come later: a policy may have been mended meanwhile
_USELESS_AFTER = 300.0  # s of nothing but answers that cannot be read, or refusals of the call's content
_SAID_AFTER = 10.0  # s; shorter trouble is not worth a word
_AGAIN = Backoff(first=0.5, longest=15.0)
_REMEMBERED = 1000  # definitions; a DAG may register one for each of its runs


class PlanAnswer(msgspec.Struct, frozen=True):
    """
    What a task definition says, or why that is not known.

    :param problem: one sentence for the task log, empty where there is a plan.
    :param final: no other answer will come.
    """

    plan: TaskPlan | None
    problem: str = ""
    final: bool = True


Tell = Callable[[PlanAnswer], None]


class Definitions:
    """
    The task definitions that runs in this event loop use. Key: (account, ARN of the revision).

    A definition is read until there is a final answer, or nobody wants it any more. What passes (throttling, an outage,
    credentials that expired) is never a final answer, however long it lasts: without its definition a run has no log,
    and its end may be judged wrongly.
    """

    def __init__(self) -> None:
        self._readings: dict[tuple[Hashable, str], _Reading] = {}

    def wanted(self, api: EcsApi, arn: str, tell: Tell) -> Wanted:
        """
        The definition with that ARN is wanted in this block; one call however many want it.

        :param api: whose credentials read it.
        :param tell: called soon, in the caller's context, with the final answer; before that perhaps once with why it
            takes longer.
        """
        return Wanted(self, api, arn, tell)

    def read(self, api: EcsApi, arn: str) -> _Reading:
        """For those who want it."""
        key, loop = (api.key, arn), asyncio.get_running_loop()
        reading = self._readings.pop(key, None)
        if reading is None or reading.is_stale(loop.time()):
            reading = _Reading(api, arn)
        self._readings[key] = reading  # the most recently used last
        self._forget_oldest()
        return reading

    def _forget_oldest(self) -> None:
        """Down to as many as are remembered, but none that is still being read."""
        surplus = len(self._readings) - _REMEMBERED
        if surplus > 0:
            done = (key for key, one in self._readings.items() if one.task.done())
            for key in list(itertools.islice(done, surplus)):
                del self._readings[key]

    async def finish(self) -> None:
        """End readings under way and forget everything: for workers, which end their loop."""
        pending = [one.task for one in self._readings.values() if not one.task.done()]
        self._readings.clear()
        for task in pending:
            task.cancel()
        await asyncio.gather(*pending, return_exceptions=True)


class Wanted:
    """The block in which somebody wants a definition. Nothing is told once it is left."""

    __slots__ = ("_api", "_arn", "_context", "_definitions", "_reading", "_tell")

    def __init__(self, definitions: Definitions, api: EcsApi, arn: str, tell: Tell) -> None:
        self._definitions, self._api, self._arn = definitions, api, arn
        self._tell: Tell | None = tell
        self._context: contextvars.Context | None = None
        self._reading: _Reading | None = None

    def __enter__(self) -> None:
        self._context = contextvars.copy_context()
        self._reading = self._definitions.read(self._api, self._arn)
        self._reading.join(self)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._tell = self._context = None
        if self._reading is not None:
            self._reading.askers.discard(self)

    def hear(self, answer: PlanAnswer) -> None:
        """Not at once: an asker's defect must not end the reading, and its log lines are its own."""
        asyncio.get_running_loop().call_soon(self._say, answer, context=self._context)

    def _say(self, answer: PlanAnswer) -> None:
        if self._tell is not None:
            self._tell(answer)


class _Reading:
    """One definition on its way, and then its answer. The task is owned by ``Definitions``."""

    def __init__(self, api: EcsApi, arn: str) -> None:
        self._api, self._arn = api, arn
        self.askers: set[Wanted] = set()
        self._answer: PlanAnswer | None = None
        self._answered_at = 0.0
        self._useless_since: float | None = None
        # In an empty context: it serves every run of that definition, and outlives the one that asked first.
        self.task = asyncio.get_running_loop().create_task(
            self._read(), name=f"asyncrun task definition {arn}", context=contextvars.Context()
        )
        self.task.add_done_callback(self._ended)

    def join(self, asker: Wanted) -> None:
        """Somebody more wants it."""
        self.askers.add(asker)
        if self._answer is not None:
            asker.hear(self._answer)

    def is_stale(self, now: float) -> bool:
        """Whether it is to be read anew for somebody who comes now."""
        if not self.task.done():
            return False
        if self._answer is None or not self._answer.final:
            return True
        return self._answer.plan is None and now - self._answered_at > _RETRY_REFUSED_AFTER

    def _tell(self, answer: PlanAnswer) -> None:
        self._answer, self._answered_at = answer, asyncio.get_running_loop().time()
        for asker in self.askers:
            asker.hear(answer)

    async def _read(self) -> None:
        loop = asyncio.get_running_loop()
        began, failures = loop.time(), 0
        while True:
            try:
                return self._tell(PlanAnswer(parse_definition(await self._api.describe_task_definition(self._arn))))
            except RemoteError as error:
                if self._is_final(error, loop.time()):
                    return self._tell(PlanAnswer(None, self._refusal(error)))
                if self._answer is None and loop.time() - began >= _SAID_AFTER:
                    self._tell(PlanAnswer(None, _delay(error), final=False))
            failures += 1
            await asyncio.sleep(_AGAIN.wait(failures))
            if not self.askers:
                return None

    def _is_final(self, error: RemoteError, now: float) -> bool:
        if not isinstance(error, MalformedAnswer | RequestRefused):
            self._useless_since = None
            return isinstance(error, AccessDenied | NotFound) and not isinstance(error, CredentialsExpired)
        # One such answer may come from something between us and AWS.
        if self._useless_since is None:
            self._useless_since = now
        return now - self._useless_since >= _USELESS_AFTER

    def _refusal(self, error: RemoteError) -> str:
        if isinstance(error, AccessDenied):
            return (
                "The permission ecs:DescribeTaskDefinition is missing, so logs are found by the awslogs_* arguments "
                f"only, and every container counts as essential ({error})"
            )
        return f"The task definition {self._arn} could not be read: {error}"

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            log.error("%s failed; this is a defect of asyncrun", task.get_name(), exc_info=error)
            text = f"A defect of asyncrun while reading the task definition ({type(error).__name__}: {error})"
            self._tell(PlanAnswer(None, text))
            self._answer = None  # not remembered


def _delay(error: RemoteError) -> str:
    return f"The task definition, which says where the log is, cannot be read yet; it is tried again. {error}"


definitions = PerLoop(Definitions)
"""``definitions()`` is those of the running event loop."""
