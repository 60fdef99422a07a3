"""ECS task definitions: one poller per API. AWS has no batch call for them, so each costs a call per round."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from asyncrun.clients.api import Described, EcsApi, Failure
from asyncrun.model.errors import NotFound
from asyncrun.model.settings import Settings
from asyncrun.triggers.watch.book import MISSING
from asyncrun.triggers.watch.polling import BatchPoller
from asyncrun.triggers.watch.questions import Questions, Tuning, text

_ASKED_FOR = "asyncrun:asked-for"
"""The answer names the definition by ARN; it was asked for by family, family:revision or ARN."""


class EcsTaskDefinitionState(msgspec.Struct, frozen=True, kw_only=True):
    """
    One task definition at one moment.

    :param name: as it was asked for.
    :param status: ACTIVE, INACTIVE, DELETE_IN_PROGRESS as ECS says, or MISSING.
    """

    name: str
    status: str
    arn: str = ""


class _Definitions(Questions[EcsTaskDefinitionState]):
    what = "ECS task definition"
    operation = "DescribeTaskDefinition"
    size = 1

    def __init__(self, api: EcsApi) -> None:
        self._api = api

    async def ask(self, idents: Sequence[str]) -> Described:
        (name,) = idents
        try:
            raw = await self._api.describe_task_definition(name)
        except NotFound:
            return Described([], [Failure(name, MISSING)])
        return Described([{**raw, _ASKED_FOR: name}], [])

    def idents(self, raw: Mapping[str, Any]) -> Iterable[str]:
        return (raw[_ASKED_FOR],)

    def read(self, raw: Mapping[str, Any]) -> tuple[EcsTaskDefinitionState, int]:
        status, arn = text(raw["status"]), text(raw["taskDefinitionArn"])
        return EcsTaskDefinitionState(name=raw[_ASKED_FOR], status=status, arn=arn), 0

    def missing_state(self, ident: str) -> EcsTaskDefinitionState:
        return EcsTaskDefinitionState(name=ident, status=MISSING)


class EcsTaskDefinitionPoller(BatchPoller[EcsTaskDefinitionState]):
    """
    Watches task definitions; subscribers name them by family, family:revision or ARN. No state is final.

    :param settings: ``access_grace`` is used.
    :param renew: looks up connection and credentials anew; raises a RemoteError if that fails.
    :param interval: seconds between rounds; slower than for tasks, because each definition costs a call.
    """

    def __init__(
        self,
        api: EcsApi,
        settings: Settings,
        renew: Callable[[], Awaitable[None]],
        *,
        interval: float = 10.0,
        tuning: Tuning | None = None,
    ) -> None:
        super().__init__(
            "ECS task definitions",
            _Definitions(api),
            interval=lambda _: max(interval, settings.poll_interval),
            missing_grace=settings.missing_grace,
            access_grace=settings.access_grace,
            renew=renew,
            tuning=tuning,
        )
