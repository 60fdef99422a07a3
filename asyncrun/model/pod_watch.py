"""What crosses from the worker to the trigger of a pod: typed, versioned, and without secrets."""

from __future__ import annotations

from typing import ClassVar

from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.model.stored import Stored


class PodWatch(Stored, frozen=True, kw_only=True):
    """
    One pod of ours to be watched to its end.

    Times that are moments are seconds since the epoch, others are seconds.

    :param target: which cluster.
    :param server: URL of the API server that the worker reached; empty: not known.
    :param deferred_at: when the task was deferred.
    :param launched_at: when this try had created the pod, or taken it over.
    :param base: the container that decides.
    :param logs: containers whose logs are followed, in the order of the pod: it fixes the records of the task log.
    :param prefixed: lines begin with the name of their container (``container_name_log_prefix_enabled``).
    :param schedule_timeout: from ``launched_at`` until a node must have been found.
    :param startup_timeout: from there until the pod must have started.
    :param events_on_startup: a pod that is slow to start has its events in the task log.
    :param events_on_failure: a pod that did not end well has its events in the task log.
    :param deadline: then the pod is stopped and the Airflow task fails; None: never.
    :param deadline_reason: which argument set it, for the message.
    :param grace_seconds: ``termination_grace_period``; None: as the pod says.
    :param on_finish_action: upstream's: ``delete_pod``, ``delete_succeeded_pod``, ``keep_pod``, ``delete_active_pod``.
    :param on_kill_action: upstream's: ``delete_pod`` or ``keep_pod``.
    :param wants_xcom: the XCom sidecar is there.
    :param end_in_triggerer: success may end without a worker.
    :param end_reason: why it ends where it ends, for the log.
    :param last_lines: how many last lines a failure carries.
    """

    what: ClassVar[str] = "the trigger's arguments"
    ref: PodRef
    target: KubeTarget
    deferred_at: float
    launched_at: float
    base: str
    logs: tuple[str, ...] = ()
    prefixed: bool = True
    schedule_timeout: float = 120.0
    startup_timeout: float = 120.0
    events_on_startup: bool = True
    events_on_failure: bool = False
    deadline: float | None = None
    deadline_reason: str = ""
    grace_seconds: int | None = None
    on_finish_action: str = "delete_pod"
    on_kill_action: str = "delete_pod"
    wants_xcom: bool = False
    end_in_triggerer: bool = False
    end_reason: str = ""
    last_lines: int = 10
    server: str = ""
