"""What an ``EcsRunTaskOperator`` hands to the trigger, or to the same code in the worker."""

from __future__ import annotations

import time
from datetime import timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from asyncrun.model.refs import EcsTaskRef
from asyncrun.operators import ending
from asyncrun.spec.deadline import longest_wait
from asyncrun.spec.values import as_bool, as_count

if TYPE_CHECKING:
    from asyncrun.model.ecs_watch import EcsTaskWatch
    from asyncrun.model.settings import Settings


class Launched(NamedTuple):
    """
    The run of this try.

    :param is_new: launched by this try, not taken over from an earlier one.
    :param began: when this try began to launch, seconds since the epoch.
    """

    ref: EcsTaskRef
    is_new: bool
    began: float


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


def backstop(watch: Any, settings: Settings) -> timedelta | None:
    """
    Airflow's own time-out for a deferral: only for a trigger that never runs.

    Our deadline is before it, and stops what is remote; Airflow's stops nothing.

    :param watch: has ``deadline`` and ``deferred_at``, seconds since the epoch.
    """
    if watch.deadline is None:
        return None
    return timedelta(seconds=max(watch.deadline - watch.deferred_at, 0) + settings.backstop)
