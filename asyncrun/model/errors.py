"""
The errors of asyncrun. The class says who must act; attributes carry the facts; the message is one plain sentence.

::

    AsyncrunError
    ├── InvalidArgument            the author of the DAG: an argument cannot work
    ├── InvalidSetting             whoever runs Airflow: a value in [asyncrun] cannot work
    ├── RemoteError                a call to AWS or Kubernetes was answered by an error, or by nothing
    │   ├── Unavailable            nobody yet, a later call may work: 5xx, refused, timed out
    │   │   ├── Throttled          nobody yet, a later call will work: too many calls
    │   │   ├── NotShown           nobody yet: ECS does not show the task, which is too young or forgotten
    │   │   └── Expired            nobody: Kubernetes no longer keeps that place in a list or watch; list again
    │   ├── AccessDenied           whoever manages permissions
    │   │   └── CredentialsExpired whoever manages the connection: no usable credentials
    │   ├── NotFound               the author of the DAG: what the call names does not exist
    │   ├── RequestRefused         the author of the DAG: the request itself is wrong
    │   │   └── TokenConflict      another request was made with this launch token
    │   └── MalformedAnswer        the platform: an answer that cannot be read
    ├── LaunchRefused              the platform accepted the request and placed nothing
    │   └── OutOfCapacity          a retry, or another capacity provider
    └── RunFailed                  the container run ended, and not well; has ``outcome`` and ``diagnosis``
        ├── ContainerFailed        the code in the container: it exited with a non-zero code or was killed
        ├── NeverStarted           whoever wrote the definition, or the platform: no container ran
        ├── Evicted                a retry: the platform took the machine or the spot capacity away
        ├── StoppedByUser          nobody: somebody stopped it on purpose
        ├── DeadlineExceeded       the author of the DAG: it took longer than its deadline, and was told to stop
        ├── Lost                   whoever runs the platform: it can no longer be found
        ├── ResultUnusable         the code in the container: it succeeded, and its XCom cannot be used
        └── Unwatchable            whoever manages permissions: we can no longer see it; it may still be running
"""

from __future__ import annotations

import copy
from typing import TYPE_CHECKING, Any, Self

if TYPE_CHECKING:
    from asyncrun.model.diagnosis import Diagnosis
    from asyncrun.model.outcome import Outcome


class AsyncrunError(Exception):
    """Root of everything that asyncrun raises on purpose."""


class InvalidArgument(AsyncrunError, ValueError):
    """
    An operator argument cannot work.

    :param argument: its name, as the user wrote it.
    :param value: what was given; shown in the message, so never a secret.
    :param allowed: what would be accepted, as the end of a sentence that begins "expected".
    """

    def __init__(self, argument: str, value: object, allowed: str) -> None:
        self.argument, self.value, self.allowed = argument, value, allowed
        super().__init__(f"{argument}={value!r} cannot work: expected {allowed}")

    def __reduce__(self) -> tuple[Any, ...]:
        """The message is derived: rebuild from the facts."""
        return (type(self), (self.argument, self.value, self.allowed))


class InvalidSetting(AsyncrunError, ValueError):
    """A value in section ``[asyncrun]`` of Airflow's configuration cannot work."""

    def __init__(self, name: str, value: object, allowed: str) -> None:
        self.name, self.value, self.allowed = name, value, allowed
        super().__init__(f"[asyncrun] {name} = {value!r} in Airflow's configuration cannot work: expected {allowed}")

    def __reduce__(self) -> tuple[Any, ...]:
        """The message is derived: rebuild from the facts."""
        return (type(self), (self.name, self.value, self.allowed))


class RemoteError(AsyncrunError):
    """
    A call to a remote API failed.

    :param message: one sentence for the user, without secrets.
    :param service: ``ecs``, ``logs``, ``sts``, ``kubernetes``, ``airflow`` (Airflow itself).
    :param operation: the API's name for the call, ``DescribeTasks``, or verb and resource of Kubernetes, ``create
        pods``; empty where no call was made.
    :param code: the service's own error code, ``AccessDeniedException``, or the ``reason`` of Kubernetes's Status,
        ``Forbidden``; empty where there was no answer.
    :param request_id: what the platform's support asks for; empty where there was no answer.
    :param said: the service's own words; empty where there was no answer.
    """

    def __init__(
        self,
        message: str,
        *,
        service: str = "",
        operation: str = "",
        code: str = "",
        request_id: str = "",
        said: str = "",
    ) -> None:
        self.service, self.operation, self.code, self.request_id = service, operation, code, request_id
        self.said = said
        super().__init__(message)

    def __reduce__(self) -> tuple[Any, ...]:
        """Keyword-only facts do not survive the default pickling of exceptions."""
        facts = (self.service, self.operation, self.code, self.request_id, self.said)
        return (_rebuild_remote, (type(self), str(self), *facts))

    def advising(self, advice: str) -> Self:
        """The same error with another sentence: what to do now."""
        error = copy.copy(self)
        error.args = (f"{str(self).removesuffix('.')}. {advice}",)
        error.__cause__ = self.__cause__
        return error


def _rebuild_remote(
    kind: type[RemoteError], message: str, service: str, operation: str, code: str, request_id: str, said: str = ""
) -> RemoteError:
    return kind(message, service=service, operation=operation, code=code, request_id=request_id, said=said)


class Unavailable(RemoteError):
    """No useful answer: 5xx, refused or cut connection, time-out, a gateway's page. A later call may well work."""


class Throttled(Unavailable):
    """Too many calls in this AWS account and region, or to this API server; a later call will work."""


class NotShown(Unavailable):
    """ECS does not know the task: moments after its launch it will, an hour after its end it never will again."""


class Expired(Unavailable):
    """Kubernetes no longer keeps that place in a list or watch (410): list again."""


class AccessDenied(RemoteError):
    """The credentials in use may not make this call."""


class CredentialsExpired(AccessDenied):
    """There are no credentials, or they are expired, revoked or malformed."""


class NotFound(RemoteError):
    """What the call names does not exist: an ECS cluster, task definition, log group or stream, a pod, a namespace."""


class RequestRefused(RemoteError):
    """The service understood the call and says that its content cannot work."""


class TokenConflict(RequestRefused):
    """The launch token was already used with another request."""


class MalformedAnswer(RemoteError):
    """The answer cannot be read as what the API documents."""


class LaunchRefused(AsyncrunError):
    """
    The platform accepted the launch request and placed nothing.

    :param message: one sentence for the user.
    :param reasons: the platform's reasons, e.g. ``RESOURCE:MEMORY``.
    """

    def __init__(self, message: str, *, reasons: tuple[str, ...] = ()) -> None:
        self.reasons = reasons
        super().__init__(message)


class OutOfCapacity(LaunchRefused):
    """There is no room now; a retry or another capacity provider may help."""


class RunFailed(AsyncrunError):
    """
    A container run ended, and not well.

    :param diagnosis: what happened, why, and what to do next.
    :param outcome: verdict, exit codes, signals, reasons and times.
    :param last_lines: the last lines that the deciding container wrote.
    """

    def __init__(self, diagnosis: Diagnosis, outcome: Outcome, last_lines: tuple[str, ...] = ()) -> None:
        self.diagnosis, self.outcome, self.last_lines = diagnosis, outcome, last_lines
        super().__init__(diagnosis.text(last_lines))

    def __reduce__(self) -> tuple[Any, ...]:
        """The message is derived: rebuild from the facts."""
        return (type(self), (self.diagnosis, self.outcome, self.last_lines))


class ContainerFailed(RunFailed):
    """A container that decides the outcome exited with a non-zero code or was killed."""


class NeverStarted(RunFailed):
    """No container of the run ever ran."""


class Evicted(RunFailed):
    """The platform took the machine or the spot capacity away."""


class StoppedByUser(RunFailed):
    """Somebody stopped the run on purpose, outside Airflow."""


class DeadlineExceeded(RunFailed):
    """The run took longer than its deadline, and was told to stop; ``outcome.not_ended``: why it may still run."""


class Lost(RunFailed):
    """The platform no longer knows the run; how it ended cannot be known."""


class ResultUnusable(RunFailed):
    """The container succeeded, and what it left as its result (XCom) cannot be used."""


class Unwatchable(RunFailed):
    """It can no longer be watched (access refused for too long, unreadable answers), and may still be running."""
