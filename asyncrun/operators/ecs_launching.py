"""One launch from a worker: find the run of an earlier try or launch one, and take back what nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncrun.model.errors import AccessDenied, AsyncrunError, LaunchRefused, RemoteError
from asyncrun.model.refs import AwsTarget, EcsTaskRef, LaunchPhase, LaunchRecord
from asyncrun.operators import remote
from asyncrun.operators.launch_notes import LaunchNotes
from asyncrun.spec.ecs import (
    RunTaskArguments,
    client_token,
    owner_started_by,
    reattach_started_by,
    run_task_request,
)
from asyncrun.spec.values import as_bool

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.launch.ecs import EcsLauncher
    from asyncrun.model.settings import Settings


class Reattach(NamedTuple):
    """
    How to look for the run of an earlier try.

    :param record: what that try noted; None if it noted nothing.
    :param missing_grace: seconds, the setting of that name.
    """

    record: LaunchRecord | None
    missing_grace: float


class Launching:
    """
    One launch of one try.

    :param request: RunTask's arguments, with ``startedBy`` and ``clientToken``.
    :param reattach: look first for a run that an earlier try launched; None: do not.
    :param quota_retry: the operator's argument.
    :param before_request: called before each RunTask; it raises where the Airflow task was killed meanwhile.
    :param log: the task's.
    """

    def __init__(
        self,
        target: AwsTarget,
        request: Mapping[str, Any],
        *,
        reattach: Reattach | None,
        quota_retry: Mapping[str, float] | None,
        before_request: Callable[[], None],
        log: Any,
    ) -> None:
        self._target, self._request, self._reattach, self._quota_retry = target, request, reattach, quota_retry
        self._before_request, self._log = before_request, log
        self._launcher: EcsLauncher | None = None

    def launch(self) -> tuple[EcsTaskRef, bool]:
        """
        The run, and whether it was launched now (or earlier in this try) rather than taken over.

        :raises AsyncrunError: see ``EcsLauncher.launch``; or it cannot be told whether an earlier try's run is there.
        """
        return remote.call_aws(self._target, self._find_or_launch, log=self._log)

    async def _find_or_launch(self, access: AwsAccess) -> tuple[EcsTaskRef, bool]:
        from asyncrun.clients.patience import patiently
        from asyncrun.launch.ecs import EcsLauncher, RetryPolicy

        retry = RetryPolicy(**self._quota_retry) if self._quota_retry is not None else None
        self._launcher = EcsLauncher(access.ecs, retry, self._before_request, self._say)
        launcher, reattach = self._launcher, self._reattach
        if reattach is not None:
            try:
                existing = await patiently(lambda: self._of_an_earlier_try(access, launcher, reattach), self._say)
            except RemoteError as error:
                needs = ": ecs:ListTasks and ecs:DescribeTasks are needed" if isinstance(error, AccessDenied) else ""
                self._log.error(
                    "Nothing is launched: with reattach=True it must first be known whether an earlier try's ECS task "
                    "is there, and that could not be asked%s",
                    needs,
                )
                raise
            if existing is not None:
                return existing, False
        ref = await launcher.launch(self._request)
        self._log.info("Launched ECS task %s (startedBy %s)", ref.task_arn, self._request["startedBy"])
        return ref, True

    def _say(self, why: str) -> None:
        self._log.warning("%s", why)

    async def _of_an_earlier_try(
        self, access: AwsAccess, launcher: EcsLauncher, reattach: Reattach
    ) -> EcsTaskRef | None:
        """First the run whose worker died with it, ended or not; then any that still runs."""
        from asyncrun.launch.reattach import look_for

        record = reattach.record
        if record is not None and record.phase is LaunchPhase.LAUNCHED:
            earlier = await look_for(access.ecs, record, now=time.time(), missing_grace=reattach.missing_grace)
            self._log.info("%s", earlier.why)
            if earlier.ref is not None:
                return earlier.ref
        existing = await launcher.find_existing(self._request["cluster"], self._request["startedBy"])
        if existing is not None:
            self._log.info("Taking over ECS task %s, which an earlier try launched and which still runs", existing)
        return existing

    def take_back(self) -> None:
        """
        After a launch that failed or was interrupted: stop what it placed, or may have placed.

        Only logs: another error is under way, and this may be called while a signal is handled.
        """
        interrupted = self._launcher
        if interrupted is None or (interrupted.placed is None and interrupted.unanswered is None):
            return
        settings = remote.running_settings()

        async def work(access: AwsAccess, on_hidden: Callable[[], None]) -> bool:
            from asyncrun.launch.ecs import EcsLauncher

            launcher = EcsLauncher(access.ecs)  # the interrupted one's way to AWS is closed
            launcher.placed, launcher.unanswered = interrupted.placed, interrupted.unanswered
            try:
                ref = await launcher.take_back(missing_grace=settings.missing_grace, on_hidden=on_hidden)
            finally:
                interrupted.placed, interrupted.unanswered = launcher.placed, launcher.unanswered
            self._log.warning("Stopping ECS task %s: its launch was interrupted, and nobody waits for it", ref)
            return True

        try:
            if remote.ask_aws_from_signal(self._target, work, settings=settings, log=self._log):
                return
            reason = "AWS did not answer in time"
        except LaunchRefused:  # nothing was placed
            return
        except AsyncrunError as error:
            reason = str(error)
        self._log.error(
            "%s in cluster %s, and could not be stopped; look for startedBy %s (%s)",
            f"ECS task {interrupted.placed} was launched"
            if interrupted.placed
            else "An ECS task may have been launched",
            self._request["cluster"],
            self._request["startedBy"],
            reason,
        )


def launching_of(
    operator: Any, ti: Any, settings: Settings, notes: LaunchNotes, before_request: Callable[[], None]
) -> Launching:
    """
    The launch that an ``EcsRunTaskOperator`` with rendered arguments wants.

    :param notes: what an earlier try left there is read with ``reattach``.
    :param before_request: see ``Launching``.
    """
    started_by, reattach = owner_started_by(operator.owner), None
    if as_bool("reattach", operator.reattach):
        index = -1 if ti.map_index is None else ti.map_index
        started_by = reattach_started_by(ti.dag_id, ti.task_id, ti.run_id, index, settings.deployment)
        reattach = Reattach(notes.read(), settings.missing_grace)
    request = run_task_request(RunTaskArguments.of(operator), started_by=started_by, client_token=client_token(ti.id))
    return Launching(
        operator.target,
        request,
        reattach=reattach,
        quota_retry=operator.quota_retry,
        before_request=before_request,
        log=operator.log,
    )
