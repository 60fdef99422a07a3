"""ECS clusters: one poller per API, DescribeClusters for up to 100 clusters a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

import msgspec

from asyncrun.clients.api import Described, EcsApi
from asyncrun.model.settings import Settings
from asyncrun.triggers.watch.book import MISSING
from asyncrun.triggers.watch.polling import BatchPoller
from asyncrun.triggers.watch.questions import Questions, Tuning, text


class EcsClusterState(msgspec.Struct, frozen=True, kw_only=True):
    """
    One ECS cluster at one moment.

    :param name: as it was asked for, name or ARN, where the cluster does not exist; otherwise its name.
    :param status: ACTIVE, PROVISIONING, DEPROVISIONING, FAILED, INACTIVE as ECS says, or MISSING.
    """

    name: str
    status: str
    arn: str = ""


class _Clusters(Questions[EcsClusterState]):
    what = "ECS cluster"
    operation = "DescribeClusters"

    def __init__(self, api: EcsApi) -> None:
        self._api = api

    async def ask(self, idents: Sequence[str]) -> Described:
        return await self._api.describe_clusters(idents)

    def idents(self, raw: Mapping[str, Any]) -> Iterable[str]:
        return (text(raw["clusterArn"]), text(raw["clusterName"]))

    def read(self, raw: Mapping[str, Any]) -> tuple[EcsClusterState, int]:
        return EcsClusterState(name=raw["clusterName"], status=text(raw["status"]), arn=raw["clusterArn"]), 0

    def missing_state(self, ident: str) -> EcsClusterState:
        return EcsClusterState(name=ident, status=MISSING)


class EcsClusterPoller(BatchPoller[EcsClusterState]):
    """
    Watches clusters; subscribers name them by short name or ARN. No state is final: a name can be used again.

    :param settings: ``poll_interval`` and ``access_grace`` are used.
    :param renew: looks up connection and credentials anew; raises a RemoteError if that fails.
    """

    def __init__(
        self,
        api: EcsApi,
        settings: Settings,
        renew: Callable[[], Awaitable[None]],
        *,
        tuning: Tuning | None = None,
    ) -> None:
        super().__init__(
            "ECS clusters",
            _Clusters(api),
            interval=lambda _: settings.poll_interval,
            missing_grace=settings.missing_grace,
            access_grace=settings.access_grace,
            renew=renew,
            tuning=tuning,
        )
