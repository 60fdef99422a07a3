"""
What crosses from the worker to a trigger: typed, versioned, and without secrets.

These values lie in Airflow's database while a task is deferred.
"""

from __future__ import annotations

from typing import ClassVar

from asyncrun.model.refs import AwsTarget, EcsTaskRef
from asyncrun.model.stored import Stored


class _Watch(Stored, frozen=True, kw_only=True):
    """
    Common to all watches.

    :param target: where calls go.
    :param deferred_at: seconds since the epoch.
    :param deadline: seconds since the epoch; None: none.
    """

    what: ClassVar[str] = "the trigger's arguments"
    target: AwsTarget
    deferred_at: float
    deadline: float | None = None


class EcsTaskWatch(_Watch, frozen=True, kw_only=True):
    """
    One ECS task of ours to be watched to its end.

    :param deadline: then the task is stopped and the Airflow task fails.
    :param deadline_reason: which argument set it, for the message.
    :param container_name: the container that decides and whose last line is the result; None: the first essential one.
    :param log_group: the user's ``awslogs_group``, used where the task definition cannot be read.
    :param log_region: the user's ``awslogs_region``, likewise.
    :param log_stream_prefix: the user's ``awslogs_stream_prefix``, likewise; ``prefix`` or ``prefix/container``.
    :param end_in_triggerer: success may end without a worker.
    :param end_reason: why it ends where it ends, for the log.
    :param push_result: write the last line as XCom ``return_value`` where it ends in the triggerer.
    :param wants_result: a success carries the last line: for that, or for the worker where it ends there. (Rows that an
        older release wrote do not say; a worker that does not want it leaves it.)
    :param number_logs_exception: how many last lines a failure carries.
    :param launched_at: seconds since the epoch; None: not by this attempt.
    :param slot_ms: setting ``log_slot``, fixed for the run so that a replay makes equal records.
    """

    ref: EcsTaskRef
    deadline_reason: str = ""
    container_name: str | None = None
    log_group: str | None = None
    log_region: str | None = None
    log_stream_prefix: str | None = None
    end_in_triggerer: bool = False
    end_reason: str = ""
    push_result: bool = False
    number_logs_exception: int = 10
    launched_at: float | None = None
    slot_ms: int = 50
    wants_result: bool = True


class _StateWatch(_Watch, frozen=True, kw_only=True):
    """
    Something whose state is to be waited for.

    :param desired: states that mean success.
    :param failing: states that mean failure, unless they are desired.
    """

    desired: tuple[str, ...]
    failing: tuple[str, ...] = ()


class EcsClusterWatch(_StateWatch, frozen=True, kw_only=True):
    """A cluster, by name or ARN."""

    cluster: str


class EcsTaskStateWatch(_StateWatch, frozen=True, kw_only=True):
    """Any ECS task, by id or ARN: a sensor's."""

    cluster: str
    task: str


class EcsTaskDefinitionWatch(_StateWatch, frozen=True, kw_only=True):
    """A task definition, by family, family:revision or ARN."""

    name: str
