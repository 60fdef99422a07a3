"""What became of a container run."""

from __future__ import annotations

import signal
from enum import StrEnum

import msgspec

# Codes with which a container ends that its task stopped: SIGTERM and SIGKILL, or a clean exit after the signal.
_ENDED_BY_STOP = frozenset({0, 143, 137})


class Verdict(StrEnum):
    """How a container run ended, in one word."""

    SUCCEEDED = "succeeded"
    """The containers that decide exited with 0."""
    FAILED = "failed"
    """A container that decides exited with another code or was killed."""
    NEVER_STARTED = "never_started"
    """No container that decides ever ran."""
    EVICTED = "evicted"
    """The platform took the machine or the spot capacity away."""
    STOPPED = "stopped"
    """Somebody stopped it on purpose: a user, or we at its deadline."""
    LOST = "lost"
    """The platform no longer knows it, or no longer lets us see it."""


class StopCause(StrEnum):
    """Why we gave up on or stopped a run ourselves; None in an outcome means that the platform's facts decide."""

    DEADLINE = "deadline"
    """It took longer than it may."""
    ACCESS = "access"
    """We can no longer see it."""
    START = "start"
    """It could not start, or not in time."""
    RESULT = "result"
    """It ran, and what it left as its result cannot be used."""


class ContainerOutcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of one container.

    :param exit_code: None where the platform gives none (it never ran, or its end was not seen).
    :param reason: the platform's words for a failure of this container, empty if none.
    :param essential: its end ends the task; it takes part in the verdict.
    :param message: what the platform or the program itself said of its end (a pod's termination message); empty if
        nothing, or where the platform has no such thing.
    :param started_at: seconds since the epoch, None if it never started or the platform does not say.
    :param finished_at: the same, of its end.
    """

    name: str
    exit_code: int | None = None
    reason: str = ""
    essential: bool = True
    message: str = ""
    started_at: float | None = None
    finished_at: float | None = None

    @property
    def signal(self) -> str | None:
        """Name of the signal that ended it, by the convention 128 + n of container runtimes; else None."""
        if self.exit_code is None or not 128 < self.exit_code < 128 + 65:
            return None
        try:
            return signal.Signals(self.exit_code - 128).name
        except ValueError:
            return None


class Outcome(msgspec.Struct, frozen=True, kw_only=True):
    """
    What became of a run, with the facts that prove it.

    :param decided_by: name of the container whose end decides, None where none does.
    :param exit_code: exit code of that container; None where it has none, or has not ended.
    :param code: the platform's code, e.g. ECS ``stopCode``; empty if none.
    :param reason: the platform's sentence, e.g. ECS ``stoppedReason``; empty if none. Never words of ours.
    :param started_at: seconds since the epoch, None if it never started.
    :param finished_at: seconds since the epoch, None if unknown.
    :param stop_cause: set when we stopped it or gave up on it.
    :param our_reason: why we did, in our words; empty where the platform's facts decide.
    :param not_ended: of a run that we stopped and whose end we did not see: why it may still be running.
    """

    verdict: Verdict
    containers: tuple[ContainerOutcome, ...] = ()
    decided_by: str | None = None
    exit_code: int | None = None
    code: str = ""
    reason: str = ""
    started_at: float | None = None
    finished_at: float | None = None
    stop_cause: StopCause | None = None
    our_reason: str = ""
    not_ended: str = ""

    def container(self, name: str | None) -> ContainerOutcome | None:
        """The outcome of the container of that name, or None."""
        return next((one for one in self.containers if one.name == name), None)


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """
    The outcome as far as it is known now.

    :param complete: nothing that the platform may still add (reasons, exit codes) would change it.
    """

    outcome: Outcome
    complete: bool


def to_blame(outcome: Outcome) -> ContainerOutcome | None:
    """
    The container that the user should look at, None if there is none.

    That is the deciding one, unless it only ended because another essential one failed: the platform then stops it, so
    that it ends with 143, or with 0.
    """
    chosen = outcome.container(outcome.decided_by)
    if outcome.verdict not in (Verdict.FAILED, Verdict.NEVER_STARTED) or (chosen and failed_by_itself(chosen)):
        return chosen
    failed = (one for one in outcome.containers if one.essential and failed_by_itself(one))
    return next(failed, chosen)


def failed_by_itself(container: ContainerOutcome) -> bool:
    """Whether it ended badly, and not only because the platform stopped it."""
    if container.exit_code is None:
        return bool(container.reason)
    return container.exit_code not in _ENDED_BY_STOP or container.reason.startswith(("OutOfMemory", "OOMKilled"))
