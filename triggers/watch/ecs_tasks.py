"""ECS tasks: one poller per API and cluster, DescribeTasks for up to 100 tasks a call."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any

from asyncrun.clients.api import Described, EcsApi
from asyncrun.model.arns import name_of
from asyncrun.model.ecs import EcsTaskState, parse_task
from asyncrun.model.settings import Settings
from asyncrun.triggers.watch.polling import BatchPoller
from asyncrun.triggers.watch.questions import Questions, Tuning, text


class _Tasks(Questions[EcsTaskState]):
    what = "ECS task"
    operation = "DescribeTasks"
    advice = "The ECS task may still be running."

    def __init__(self, api: EcsApi, cluster: str) -> None:
        self._api, self._cluster = api, cluster
        self.cluster = name_of(cluster)

    async def ask(self, idents: Sequence[str]) -> Described:
        return await self._api.describe_tasks(self._cluster, idents)

    def idents(self, raw: Mapping[str, Any]) -> Iterable[str]:
        arn = text(raw["taskArn"])
        return (arn, name_of(arn))  # sensors may name it by its id

    def version(self, raw: Mapping[str, Any]) -> object:
        return raw.get("version")

    def read(self, raw: Mapping[str, Any]) -> tuple[EcsTaskState, int]:
        state = parse_task(raw)
        return state, state.version

    def is_final(self, state: EcsTaskState) -> bool:
        return state.stopped


class EcsTaskPoller(BatchPoller[EcsTaskState]):
    """
    Watches the tasks of one cluster; subscribers name them by full ARN, sensors also by id.

    A task is asked for until it is STOPPED. One that is MISSING is believed to be gone after ``missing_grace``: RunTask
    is eventually consistent, and stopped tasks stay describable for at least an hour.

    :param cluster: short name or ARN.
    :param settings: ``poll_interval``, ``poll_interval_shared``, ``missing_grace`` and ``access_grace`` are used.
    :param renew: looks up connection and credentials anew; raises a RemoteError if that fails.
    """

    def __init__(
        self,
        api: EcsApi,
        cluster: str,
        settings: Settings,
        renew: Callable[[], Awaitable[None]],
        *,
        tuning: Tuning | None = None,
    ) -> None:
        super().__init__(
            f"ECS tasks of cluster {cluster}",
            _Tasks(api, cluster),
            interval=settings.poll_round,
            missing_grace=settings.missing_grace,
            access_grace=settings.access_grace,
            renew=renew,
            tuning=tuning,
        )

    def offer(self, raw: Mapping[str, Any]) -> None:
        """
        Take a task's state that was pushed (EventBridge's ``detail``, its times as numbers) rather than asked for.

        Its version decides whether it is news. A state of an unknown task, or one that cannot be read, is ignored.
        """
        self._book.offer(raw)
