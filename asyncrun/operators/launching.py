"""One launch from a worker: find the run of an earlier try or launch one, and take back what nobody waits for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from asyncrun.model.errors import AsyncrunError
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.operators import remote

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.launch.ecs import EcsLauncher


class Launching:
    """
    One launch of one try.

    :param request: RunTask's arguments, with ``startedBy`` and ``clientToken``.
    :param reattach: look for a running task with that ``startedBy`` first.
    :param quota_retry: the operator's argument.
    """

    def __init__(
        self, target: AwsTarget, request: Mapping[str, Any], *, reattach: bool, quota_retry: Mapping[str, float] | None
    ) -> None:
        self._target, self._request, self._reattach, self._quota_retry = target, request, reattach, quota_retry
        self._launcher: EcsLauncher | None = None

    def launch(self) -> tuple[EcsTaskRef, bool]:
        """
        The run, and whether it was launched now (or earlier in this try) rather than taken over.

        :raises AsyncrunError: see ``EcsLauncher.launch``.
        """
        return remote.call_aws(self._target, self._find_or_launch)

    async def _find_or_launch(self, access: AwsAccess) -> tuple[EcsTaskRef, bool]:
        from asyncrun.launch.ecs import EcsLauncher, RetryPolicy

        retry = RetryPolicy(**self._quota_retry) if self._quota_retry is not None else None
        self._launcher = EcsLauncher(access.ecs, retry=retry)
        if self._reattach:
            existing = await self._launcher.find_existing(self._request["cluster"], self._request["startedBy"])
            if existing is not None:
                return existing, False
        return await self._launcher.launch(self._request), True

    def take_back(self, log: Any) -> None:
        """
        After a launch that failed or was interrupted: stop what an unanswered request may have placed.

        Only logs: another error is under way, and this may be called while a signal is handled.
        """
        if self._launcher is None or self._launcher.unanswered is None:
            return
        unanswered = self._launcher.unanswered

        async def work(access: AwsAccess) -> bool:
            from asyncrun.launch.ecs import EcsLauncher

            launcher = EcsLauncher(access.ecs)
            launcher.unanswered = unanswered
            ref = await launcher.take_back()
            log.warning("Stopping ECS task %s, which was launched though nothing said so", ref)
            return True

        try:
            if remote.call_aws_from_signal(self._target, work, limit=remote.settings().kill_grace):
                return
            reason = "AWS did not answer in time"
        except AsyncrunError as error:
            reason = str(error)
        log.error(
            "An ECS task may have been launched in cluster %s, and could not be stopped; look for startedBy %s (%s)",
            self._request["cluster"],
            self._request["startedBy"],
            reason,
        )
