"""One launch from a worker: find the run of an earlier try or launch one, and take back what nobody waits for."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple, TypeAlias

from asyncrun.model.errors import AccessDenied, AsyncrunError, LaunchRefused, RemoteError
from asyncrun.model.outcome import ContainerOutcome, Outcome, Verdict
from asyncrun.model.refs import AwsTarget, EcsLaunchRecord, EcsTaskRef, LaunchPhase
from asyncrun.model.stopping import stop_reason
from asyncrun.operators import ending, remote
from asyncrun.operators.launch_notes import LaunchNotes
from asyncrun.operators.running import Launched
from asyncrun.spec.deadline import longest_wait
from asyncrun.spec.ecs import (
    RunTaskArguments,
    client_token,
    owner_started_by,
    reattach_started_by,
    run_task_request,
)
from asyncrun.spec.values import as_bool, as_count

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess
    from asyncrun.launch.ecs import EcsLauncher
    from asyncrun.model.ecs_watch import EcsTaskWatch
    from asyncrun.model.settings import Settings


EcsNotes: TypeAlias = LaunchNotes[EcsLaunchRecord]


class Reattach(NamedTuple):
    """
    How to look for the run of an earlier try.

    :param record: what that try noted; None if it noted nothing.
    :param missing_grace: seconds, the setting of that name.
    """

    record: EcsLaunchRecord | None
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
        return remote.call(remote.Aws(self._target), self._find_or_launch, log=self._log)

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
            if remote.ask_from_signal(remote.Aws(self._target), work, settings=settings, log=self._log):
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
    operator: Any, ti: Any, settings: Settings, notes: EcsNotes, before_request: Callable[[], None]
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


def stop(target: AwsTarget, ref: EcsTaskRef, why: str, log: Any) -> bool:
    """
    Stop a run, from anywhere in a worker, also from a signal handler.

    A failure to do so is logged only: this is called while another error is under way.

    :param why: ends the sentence "Stopped by Airflow: ..."; ECS shows it as ``stoppedReason``.
    :return: whether AWS has confirmed it.
    """
    settings = remote.running_settings()

    async def work(access: AwsAccess, on_hidden: Callable[[], None]) -> bool:
        from asyncrun.launch.ecs import EcsLauncher

        await EcsLauncher(access.ecs).stop(
            ref, stop_reason(why), missing_grace=settings.missing_grace, on_hidden=on_hidden
        )
        return True

    log.warning("Stopping ECS task %s: %s", ref.task_arn, why)
    try:
        if remote.ask_from_signal(remote.Aws(target), work, settings=settings, log=log):
            return True
        log.error("AWS has not confirmed in time that ECS task %s is being stopped", ref.task_arn)
    except AsyncrunError as error:
        log.error("ECS task %s could not be stopped and may still be running: %s", ref.task_arn, error)
    return False


def task_watch(operator: Any, base: type, launched: Launched, settings: Settings) -> EcsTaskWatch:
    """
    The value from which a trigger watches the run.

    :param operator: an ``EcsRunTaskOperator`` with rendered arguments.
    :param base: that class itself; a subclass may need a worker for the end.
    """
    from asyncrun.model.ecs_watch import EcsTaskWatch

    limit = longest_wait(operator.waiter_delay, operator.waiter_max_attempts, operator.execution_timeout)
    in_triggerer, why = False, "The worker waits and ends the task: deferrable=False."
    if as_bool("deferrable", operator.deferrable):
        in_triggerer, why = ending.decide(ending.collect(operator, base), settings.end_in_triggerer)
    return EcsTaskWatch(
        ref=launched.ref,
        target=operator.target,
        deferred_at=time.time(),
        deadline=limit.after(launched.began),
        deadline_reason=limit.reason,
        container_name=operator.container_name or None,  # a template may render to nothing
        log_group=operator.awslogs_group or None,
        log_region=operator.awslogs_region or None,
        log_stream_prefix=operator.awslogs_stream_prefix or None,
        end_in_triggerer=in_triggerer,
        end_reason=why,
        push_result=in_triggerer and operator.do_xcom_push,
        wants_result=bool(operator.do_xcom_push),
        number_logs_exception=as_count("number_logs_exception", operator.number_logs_exception, at_least=0),
        launched_at=launched.began if launched.is_new else None,
        slot_ms=settings.log_slot,
    )


def skipping_container(outcome: Outcome, skips: Callable[[int], bool]) -> ContainerOutcome | None:
    """
    The container whose exit code skips the task, None where none does.

    It is the one to blame for a failure. Where another one that takes part in the verdict failed by itself, too (that
    ECS stopped it because the task was over does not count), its code must skip as well: a real failure is not hidden.
    """
    from asyncrun.model.outcome import failed_by_itself, to_blame

    if outcome.verdict is not Verdict.FAILED:
        return None
    blamed = to_blame(outcome)
    failed = [one for one in outcome.containers if one is blamed or (one.essential and failed_by_itself(one))]
    skipped = all(one.exit_code is not None and skips(one.exit_code) for one in failed)
    return blamed if skipped else None
