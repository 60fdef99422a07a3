"""What a ``KubernetesPodOperator`` hands to the trigger, or to the same code in the worker."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from asyncrun.model.pod_xcom import SIDECAR_NAME
from asyncrun.operators import ending
from asyncrun.operators.pod_callbacks import needs_worker
from asyncrun.operators.running import Launched
from asyncrun.spec.deadline import Limit, limit_of
from asyncrun.spec.values import as_bool, exit_code_test, text_of

if TYPE_CHECKING:
    from datetime import timedelta

    from asyncrun.model.pod import Pod
    from asyncrun.model.pod_watch import PodWatch
    from asyncrun.model.settings import Settings


def pod_watch(operator: Any, base: type, launched: Launched, pod: Pod, settings: Settings, *, server: str) -> PodWatch:
    """
    The value from which a trigger watches the pod.

    :param operator: a ``KubernetesPodOperator`` with rendered arguments.
    :param base: that class itself; a subclass may need a worker for the end.
    :param pod: as it was created or found.
    :param server: URL of the API server that the worker has reached.
    """
    from asyncrun.model.pod_watch import PodWatch

    limit = _limit(operator.execution_timeout)
    in_triggerer, why = False, "The worker waits and ends the task."
    if as_bool("deferrable", operator.deferrable) and not needs_worker(operator):
        in_triggerer, why = ending.decide(_ending_facts(operator, base), settings.end_in_triggerer)
    now = time.time()
    return PodWatch(
        ref=launched.ref,
        target=operator.target,
        deferred_at=now,
        launched_at=launched.at,
        base=operator.base_container_name,
        logs=chosen_logs(operator, pod),
        prefixed=_is_prefixed(operator),
        schedule_timeout=float(operator.schedule_timeout_seconds),
        startup_timeout=float(operator.startup_timeout_seconds),
        events_on_startup=as_bool("log_events_on_startup", operator.log_events_on_startup),
        events_on_failure=as_bool("log_events_on_failure", operator.log_events_on_failure),
        deadline=limit.after(launched.began),
        deadline_reason=limit.reason,
        grace_seconds=operator.termination_grace_period,
        on_finish_action=text_of(operator.on_finish_action),
        on_kill_action=text_of(operator.on_kill_action),
        wants_xcom=bool(operator.do_xcom_push) and _has_sidecar(operator, pod),
        end_in_triggerer=in_triggerer,
        end_reason=why,
        server=server,
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _PodEndingFacts(ending.EndingFacts):
    callbacks: bool = field(default=False, metadata={"needs": "it has callbacks for its pod"})
    skips_success: bool = field(default=False, metadata={"needs": "0 is in skip_on_exit_code"})


def _ending_facts(operator: Any, base: type) -> _PodEndingFacts:
    facts = asdict(ending.collect(operator, base))
    return _PodEndingFacts(**facts, callbacks=bool(operator.callbacks), skips_success=_skips(operator, 0))


def _skips(operator: Any, code: int) -> bool:
    return exit_code_test(operator.skip_on_exit_code)(code)


def _is_prefixed(operator: Any) -> bool:
    """As upstream: what a ``log_formatter`` returns is the whole line."""
    return operator.log_formatter is None and as_bool(
        "container_name_log_prefix_enabled", operator.container_name_log_prefix_enabled
    )


def _has_sidecar(operator: Any, pod: Pod) -> bool:
    """A pod that was taken over may be from before the DAG asked for its XCom."""
    if SIDECAR_NAME in pod.sidecars():
        return True
    operator.log.warning("Pod %s was created without do_xcom_push, so there will be no XCom", pod.metadata.name)
    return False


def _limit(execution_timeout: timedelta | None) -> Limit:
    if execution_timeout is None:
        return Limit(None, "")
    return limit_of(execution_timeout.total_seconds(), f"execution_timeout={execution_timeout}")


def chosen_logs(operator: Any, pod: Pod) -> tuple[str, ...]:
    """
    The containers whose logs are wanted, in the pod's order: upstream's ``get_logs``, ``container_logs`` and
    ``init_container_logs``. A name that the pod does not have is warned about.
    """
    early = (*pod.init_containers(), *pod.sidecars())
    chosen = _chosen(operator, "init_container_logs", early) if operator.init_container_logs else set()
    if as_bool("get_logs", operator.get_logs):
        if operator.container_logs:
            chosen |= _chosen(operator, "container_logs", pod.containers(), early)
        else:
            chosen.add(operator.base_container_name)
    order = [one.name for one in (*(pod.spec.init_containers or ()), *(pod.spec.containers or ()))]
    return tuple(name for name in order if name in chosen and name != SIDECAR_NAME)


def _chosen(operator: Any, argument: str, known: Iterable[str], others: Iterable[str] = ()) -> set[str]:
    wanted = getattr(operator, argument)
    if wanted is True:
        return set(known)
    names = {wanted} if isinstance(wanted, str) else set(wanted)
    every = {*known, *others}
    for name in sorted(names - every):
        operator.log.warning(
            "%s names container %r, which the pod does not have: it has %s", argument, name, ", ".join(sorted(every))
        )
    return names & every
