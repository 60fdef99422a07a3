"""What a worker does with a container run beside launching it: announce it, find it again, stop it, read its end."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from asyncrun.model.errors import AsyncrunError, MalformedAnswer
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import ContainerOutcome, Outcome, Verdict
from asyncrun.model.refs import AwsTarget, EcsTaskRef, RunRecord
from asyncrun.model.stopping import stop_reason
from asyncrun.operators import remote
from asyncrun.operators.errors import EndedInTriggerer, airflow_errors, failure_of
from asyncrun.operators.links import link_facts
from asyncrun.spec.ecs import RUN_XCOM_KEY

if TYPE_CHECKING:
    from asyncrun.clients.api import AwsAccess


def announce(operator: Any, ti: Any, ref: EcsTaskRef) -> None:
    """
    Say by XCom which run belongs to this try.

    The trigger's ``on_kill`` asks it before it stops anything, and the links to the console are read from it.

    :param operator: an ``EcsRunTaskOperator`` with rendered arguments.
    """
    links = link_facts(
        ref,
        group=operator.awslogs_group,
        prefix=operator.awslogs_stream_prefix,
        container=operator.container_name,
        region=operator.awslogs_region,
    )
    record = RunRecord(ref=ref, ti_id=str(ti.id), try_number=ti.try_number, links=links)
    ti.xcom_push(key=RUN_XCOM_KEY, value=record.to_dict())
    if operator.do_xcom_push:
        ti.xcom_push(key="ecs_task_arn", value=ref.task_arn)


def announced(ti: Any, log: Any) -> EcsTaskRef | None:
    """
    The run that this try announced, None if it did not come so far.

    :param log: the task's: told where what was announced cannot be read. That is no error, since this is called while
        another one is under way.
    """
    noted = ti.xcom_pull(task_ids=ti.task_id, key=RUN_XCOM_KEY, map_indexes=ti.map_index)
    if noted is None:
        return None
    try:
        record = RunRecord.from_dict(noted)
    except MalformedAnswer as error:
        log.error("The container run of this try is not known, so it may still be running. %s", error)
        return None
    return record.ref if record.ti_id == str(ti.id) else None


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
        if remote.ask_aws_from_signal(target, work, settings=settings, log=log):
            return True
        log.error("AWS has not confirmed in time that ECS task %s is being stopped", ref.task_arn)
    except AsyncrunError as error:
        log.error("ECS task %s could not be stopped and may still be running: %s", ref.task_arn, error)
    return False


def read_event(event: Any) -> CompletionEvent | None:
    """
    What a trigger's event says.

    :param event: a ``CompletionEvent``'s payload; or, from ``dag.test()``, the name of the state with which the trigger
        ended the task (facts/airflow.md B).
    :return: None for a success that the trigger has already settled.
    :raises AirflowException: the trigger ended the task as failed, or the event cannot be read.
    :raises AirflowSkipException: the trigger skipped the task.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    if event == "success":
        return None
    if event == "skipped":
        raise AirflowSkipException("the trigger skipped the task")
    if not isinstance(event, Mapping):
        raise EndedInTriggerer(f"the trigger ended the task with {event!r}; the reason stands in its log")
    with airflow_errors():
        return CompletionEvent.from_dict(event)


def raise_for_end(completion: CompletionEvent, *, skips: Callable[[int], bool], lines: int) -> None:
    """
    Raise what the end of a run means to the Airflow task; nothing for a success.

    :param skips: whether an exit code skips the task.
    :param lines: how many of the last log lines a failure's message shows at most.
    :raises AirflowSkipException: its exit code skips, and nothing else failed.
    :raises AirflowException: it did not end well; one of ``asyncrun.operators.errors``.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    skipping = _skipping_container(completion.outcome, skips)
    if skipping is not None:
        raise AirflowSkipException(
            f"container {skipping.name!r} exited with {skipping.exit_code}, which is in skip_on_exit_code"
        )
    failure = failure_of(completion, lines=lines)
    if failure is not None:
        raise failure


def _skipping_container(outcome: Outcome, skips: Callable[[int], bool]) -> ContainerOutcome | None:
    """
    The container whose exit code skips the task, None where none does.

    It is the one to blame for a failure. Where another one that takes part in the verdict failed by itself, too (that
    ECS stopped it because the task was over does not count), its code must skip as well: a real failure is not hidden.
    """
    from asyncrun.model.ecs_outcome import failed_by_itself, to_blame

    if outcome.verdict is not Verdict.FAILED:
        return None
    blamed = to_blame(outcome)
    failed = [one for one in outcome.containers if one is blamed or (one.essential and failed_by_itself(one))]
    skipped = all(one.exit_code is not None and skips(one.exit_code) for one in failed)
    return blamed if skipped else None
