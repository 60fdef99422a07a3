"""What became of a run whose worker died before it could hand it over: async, and free of a worker's context."""

from __future__ import annotations

import msgspec

from asyncrun.clients.api import EcsApi
from asyncrun.model.ecs import EcsTaskState, parse_task
from asyncrun.model.errors import NotFound
from asyncrun.model.refs import EcsLaunchRecord, EcsTaskRef
from asyncrun.model.stopping import STOPPED_BY_AIRFLOW


class Earlier(msgspec.Struct, frozen=True, kw_only=True):
    """
    What to do about the run that an earlier try left behind.

    :param ref: the run to take over, None where there is nothing to take over.
    :param why: a sentence for the log.
    """

    ref: EcsTaskRef | None
    why: str


async def look_for(api: EcsApi, record: EcsLaunchRecord, *, now: float, missing_grace: float) -> Earlier:
    """
    Ask ECS once about the run of a record in phase ``launched``.

    One that has ended is taken over like one that runs: nobody has learnt its end yet, so it is this try's end. What
    Airflow itself stopped has no end of its own.

    :param now: seconds since the epoch.
    :param missing_grace: for so many seconds after the launch "MISSING" may only mean that the run is young.
    :raises RemoteError: DescribeTasks was refused, or nobody answered.
    """
    ref = record.ref
    try:
        described = await api.describe_tasks(ref.cluster, [ref.task_arn])
    except NotFound as error:
        return Earlier(ref=None, why=f"ECS task {ref} of try {record.try_number} cannot be taken over: {error}")
    if described.items:
        return _judge(record, parse_task(described.items[0]))
    what = f"task {ref} of try {record.try_number}"
    if now - record.noted_at < missing_grace:  # whoever waits for it has the patience to find it
        return Earlier(ref=ref, why=f"Taking over ECS {what}, whose worker died: ECS does not show the task yet")
    return Earlier(
        ref=None,
        why=f"ECS no longer knows {what}, so its end cannot be told: about an hour after the end a task is forgotten",
    )


def _judge(record: EcsLaunchRecord, state: EcsTaskState) -> Earlier:
    what = f"ECS task {record.ref} of try {record.try_number}"
    if state.stopped_reason.startswith(STOPPED_BY_AIRFLOW):
        return Earlier(ref=None, why=f"{what} is not taken over: {state.stopped_reason}")
    if state.stopped:
        return Earlier(
            ref=record.ref,
            why=f"Taking over {what}, whose worker died before it learnt the end: the task has stopped since, and its "
            "end is this try's end",
        )
    return Earlier(ref=record.ref, why=f"Taking over {what}, whose worker died: the task is {state.status}")
