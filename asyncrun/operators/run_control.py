"""What a worker says and hears of a container run: announce it, find it again, read its end."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, TypeVar

from asyncrun.model.errors import MalformedAnswer
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import ContainerOutcome
from asyncrun.model.refs import RUN_XCOM_KEY, EcsTaskRef, PodRef, RunRecord, RunRef
from asyncrun.operators.errors import EndedInTriggerer, airflow_errors, failure_of

if TYPE_CHECKING:
    from asyncrun.model.settings import Settings

Completion = TypeVar("Completion", bound=CompletionEvent)


def announce(ti: Any, ref: RunRef, links: Mapping[str, str]) -> None:
    """
    Say by XCom which run belongs to this try.

    The trigger's ``on_kill`` asks it before it stops anything, and the links to the console are read from it.

    :param links: URLs by the name of the link's fact.
    """
    record = RunRecord(ref=ref, ti_id=str(ti.id), try_number=ti.try_number, links=dict(links))
    ti.xcom_push(key=RUN_XCOM_KEY, value=record.to_dict())


def announced(ti: Any, kind: type[EcsTaskRef] | type[PodRef], log: Any) -> RunRef | None:
    """
    The run that this try announced, None if it did not come so far.

    :param kind: of the run's ref.
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
    return record.ref if record.ti_id == str(ti.id) and isinstance(record.ref, kind) else None


def read_event(event: Any, kind: type[Completion]) -> Completion | None:
    """
    What a trigger's event says.

    :param kind: of the event.
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
        return kind.from_dict(event)


def raise_for_end(completion: CompletionEvent, *, skipping: ContainerOutcome | None, lines: int) -> None:
    """
    Raise what the end of a run means to the Airflow task; nothing for a success.

    :param skipping: the container whose exit code skips the task, None where none does.
    :param lines: how many of the last log lines a failure's message shows at most.
    :raises AirflowSkipException: its exit code skips, and nothing else failed.
    :raises AirflowException: it did not end well; one of ``asyncrun.operators.errors``.
    """
    from airflow.sdk.exceptions import AirflowSkipException

    if skipping is not None:
        raise AirflowSkipException(
            f"container {skipping.name!r} exited with {skipping.exit_code}, which is in skip_on_exit_code"
        )
    failure = failure_of(completion, lines=lines)
    if failure is not None:
        raise failure


def backstop(watch: Any, settings: Settings) -> timedelta | None:
    """
    Airflow's own time-out for a deferral: only for a trigger that never runs.

    Our deadline is before it, and stops what is remote; Airflow's stops nothing.

    :param watch: has ``deadline`` and ``deferred_at``, seconds since the epoch.
    """
    if watch.deadline is None:
        return None
    return timedelta(seconds=max(watch.deadline - watch.deferred_at, 0) + settings.backstop)
