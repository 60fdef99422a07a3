"""What became of a pod's containers."""

from __future__ import annotations

from datetime import datetime

from asyncrun.model.outcome import ContainerOutcome
from asyncrun.model.pod import ContainerStatus, Pod
from asyncrun.model.pod_xcom import PROTOCOL

LONGEST_MESSAGE = 2000
"""Characters that are kept of a termination message, of up to 12 KiB: outcomes lie in Airflow's database."""
UNKNOWN_END = "ContainerStatusUnknown"
NEVER_RAN = frozenset({"StartError", "ContainerCannotRun"})
NO_CODE = NEVER_RAN | {UNKNOWN_END}
"""Reasons of a terminated container with which the exit code is none of its program's: 128 and 137 are made up."""

_XCOM = PROTOCOL.partition("/")[0]  # any version of it
_HEALTHY = frozenset({"", "Completed", "PodInitializing", "ContainerCreating"})


def containers_of(pod: Pod, base: str) -> tuple[ContainerOutcome, ...]:
    """
    What became of each container, in the order of the definition (the kubelet sorts them by name).

    :param base: the container that decides. It is essential, and so are the init containers, without which it would
        not run; native sidecars and other containers are not.
    """
    init = pod.init_containers()
    deciding = {base, *init}
    order = {name: place for place, name in enumerate((*init, *pod.sidecars(), *pod.containers()))}
    made = [_container(one, essential=one.name in deciding) for one in pod.statuses()]
    return tuple(sorted(made, key=lambda one: order.get(one.name, len(order))))


def _container(status: ContainerStatus, *, essential: bool) -> ContainerOutcome:
    waiting, running = status.state.waiting, status.state.running
    end = status.state.terminated or (None if running else status.last_state.terminated)
    if end is None:
        reason = waiting.reason if waiting else ""
        return ContainerOutcome(
            name=status.name,
            reason="" if reason in _HEALTHY else reason,
            essential=essential,
            message=shown(waiting.message) if waiting else "",
            started_at=epoch(running.started_at) if running else None,
        )
    ran = end.reason not in NO_CODE
    return ContainerOutcome(
        name=status.name,
        exit_code=end.exit_code if ran else None,
        reason="" if end.reason in _HEALTHY else end.reason,
        essential=essential,
        message=shown(end.message),
        started_at=epoch(end.started_at) if ran else None,
        finished_at=epoch(end.finished_at) if end.reason != UNKNOWN_END else None,
    )


def shown(message: str) -> str:
    """A message of a container as it may be shown and kept: no XCom, and not too long."""
    if message.startswith(_XCOM):
        return ""
    return shorten(message.strip(), LONGEST_MESSAGE)


def shorten(text: str, longest: int) -> str:
    """Its beginning and its end, if it is longer than that many characters."""
    if len(text) <= longest:
        return text
    half = (longest - 7) // 2
    return f"{text[:half]} [...] {text[-half:]}"


def epoch(moment: datetime | None) -> float | None:
    """Seconds since the epoch."""
    return None if moment is None else moment.timestamp()
