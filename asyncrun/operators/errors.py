"""
The errors of ``asyncrun.model.errors`` as Airflow exceptions, for the boundary between asyncrun and a task.

Each class here is an ``AirflowException`` and the model error of the same name, with its attributes. So existing
``except AirflowException`` clauses work, and a retry policy can match the exact class, e.g.
``asyncrun.operators.errors.OutOfCapacity``. Where the amazon provider is installed, what is raised is also upstream's
``EcsTaskFailToStart`` (for ``NeverStarted``) and ``EcsOperatorError`` (for ``LaunchRefused``).
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from airflow.sdk.exceptions import AirflowException

from asyncrun.model import errors as model
from asyncrun.model.event import CompletionEvent
from asyncrun.model.outcome import StopCause, Verdict


class AsyncrunFailure(AirflowException):
    """Common to all classes of this module; survives pickling with every attribute."""

    def __reduce__(self) -> tuple[Any, ...]:
        """The class may be made at run time (with upstream's classes as bases), so it is found by its own name."""
        return (_rebuild, (_static(type(self)).__name__, self.args, dict(vars(self))))


class InvalidArgument(AsyncrunFailure, model.InvalidArgument):
    """An operator argument cannot work, as was seen once its template was rendered."""


class InvalidSetting(AsyncrunFailure, model.InvalidSetting):
    """A value in section ``[asyncrun]`` of Airflow's configuration cannot work."""


class RemoteError(AsyncrunFailure, model.RemoteError):
    """A call to AWS or Kubernetes failed."""


class Unavailable(RemoteError, model.Unavailable):
    """There was no useful answer; a retry may help."""


class Throttled(Unavailable, model.Throttled):
    """Too many calls, in this account and region or to this cluster; a retry will help."""


class NotShown(Unavailable, model.NotShown):
    """ECS does not show the task: it is too young, or was forgotten."""


class Expired(Unavailable, model.Expired):
    """Kubernetes no longer keeps that place in a list or watch."""


class AccessDenied(RemoteError, model.AccessDenied):
    """The credentials in use may not make this call."""


class CredentialsExpired(AccessDenied, model.CredentialsExpired):
    """There are no usable credentials."""


class NotFound(RemoteError, model.NotFound):
    """What the call names does not exist."""


class RequestRefused(RemoteError, model.RequestRefused):
    """The platform says that the request cannot work."""


class TokenConflict(RequestRefused, model.TokenConflict):
    """This try already launched a run with other arguments."""


class MalformedAnswer(RemoteError, model.MalformedAnswer):
    """An answer that cannot be read."""


class LaunchRefused(AsyncrunFailure, model.LaunchRefused):
    """The platform placed nothing: ECS accepted the request, Kubernetes did not admit the pod."""


class OutOfCapacity(LaunchRefused, model.OutOfCapacity):
    """There is no room now; a retry may help."""


class RunFailed(AsyncrunFailure, model.RunFailed):
    """The container run ended, and not well; has ``diagnosis``, ``outcome`` and ``last_lines``."""


class ContainerFailed(RunFailed, model.ContainerFailed):
    """A container exited with a non-zero code or was killed."""


class NeverStarted(RunFailed, model.NeverStarted):
    """No container ever ran."""


class Evicted(RunFailed, model.Evicted):
    """The platform took the machine or the spot capacity away; a retry may help."""


class StoppedByUser(RunFailed, model.StoppedByUser):
    """Somebody stopped the run outside Airflow."""


class DeadlineExceeded(RunFailed, model.DeadlineExceeded):
    """The run took too long, and was told to stop; the message says where it may still be running."""


class Lost(RunFailed, model.Lost):
    """The platform no longer knows the run."""


class ResultUnusable(RunFailed, model.ResultUnusable):
    """The container succeeded, and its XCom cannot be used."""


class Unwatchable(RunFailed, model.Unwatchable):
    """Access to the run was refused for too long; it may still be running."""


class StateNotReached(AsyncrunFailure):
    """A cluster, task or task definition went to a state from which the wanted one is not awaited."""


class EndedInTriggerer(AsyncrunFailure):
    """The trigger ended the task as failed; the reason stands in the trigger's log."""


class KilledWhileLaunching(AsyncrunFailure):
    """The worker was told to end before the launch was answered; what that placed is told to stop."""


_FOR_VERDICT: dict[Verdict, type[RunFailed]] = {
    Verdict.FAILED: ContainerFailed,
    Verdict.NEVER_STARTED: NeverStarted,
    Verdict.EVICTED: Evicted,
    Verdict.STOPPED: StoppedByUser,
    Verdict.LOST: Lost,
}
_FOR_STOP: dict[StopCause, type[RunFailed]] = {
    StopCause.DEADLINE: DeadlineExceeded,
    StopCause.ACCESS: Unwatchable,
    StopCause.START: NeverStarted,
    StopCause.RESULT: ResultUnusable,
}


def failure_of(event: CompletionEvent, *, lines: int) -> AirflowException | None:
    """
    The exception for a completion event, None for a success.

    :param lines: how many of the last log lines the message shows at most.
    """
    outcome = event.outcome
    if outcome.verdict is Verdict.SUCCEEDED:
        return None
    stopped = _FOR_STOP.get(outcome.stop_cause) if outcome.stop_cause else None
    kind = stopped or _FOR_VERDICT[outcome.verdict]
    last_lines = event.last_lines[-lines:] if lines else ()
    return to_airflow(kind(event.diagnosis, outcome, last_lines))


def to_airflow(error: model.AsyncrunError) -> AirflowException:
    """The same error as an Airflow exception: same message, same attributes, and more base classes."""
    return _make(_with_upstream(_static(type(error))), error.args, vars(error))


@contextmanager
def airflow_errors() -> Iterator[None]:
    """Inside, errors of the model come out as Airflow exceptions, with the original as their cause."""
    try:
        yield
    except AirflowException:
        raise
    except model.AsyncrunError as error:
        raise to_airflow(error) from error


def _static(kind: type[BaseException]) -> type[AsyncrunFailure]:
    """The nearest class of this module: by identity or by the name of a model class."""
    for one in kind.__mro__:
        here = globals().get(one.__name__) if one.__module__ in (__name__, model.__name__) else None
        if isinstance(here, type) and issubclass(here, AsyncrunFailure):
            return here
    return AsyncrunFailure


_WITH_UPSTREAM: dict[type[AsyncrunFailure], type[AsyncrunFailure]] = {}


def _with_upstream(kind: type[AsyncrunFailure]) -> type[AsyncrunFailure]:
    """That class with upstream's as a further base where one fits; made once, so that its instances have one class."""
    if kind not in _WITH_UPSTREAM:
        _WITH_UPSTREAM[kind] = _join_upstream(kind)
    return _WITH_UPSTREAM[kind]


def _join_upstream(kind: type[AsyncrunFailure]) -> type[AsyncrunFailure]:
    if issubclass(kind, NeverStarted):
        name = "EcsTaskFailToStart"
    elif issubclass(kind, LaunchRefused):
        name = "EcsOperatorError"
    else:
        return kind
    try:
        from airflow.providers.amazon.aws import exceptions as upstream
    except ImportError:  # the amazon provider is optional
        return kind
    # Name and module stay ours: they are what users read in a traceback.
    body = {"__module__": kind.__module__, "__qualname__": kind.__qualname__, "__doc__": kind.__doc__}
    return type(kind.__name__, (kind, getattr(upstream, name)), body)


def _make(kind: type[AsyncrunFailure], args: tuple[Any, ...], attributes: dict[str, Any]) -> AirflowException:
    error = kind.__new__(kind)  # the constructors differ; arguments and attributes are all there is
    error.args = args
    vars(error).update(attributes)
    message = str(args[0]) if args else ""
    vars(error).setdefault("message", message)  # upstream's classes have it
    if isinstance(error, model.LaunchRefused):
        vars(error).setdefault("failures", [{"reason": reason} for reason in error.reasons])
    return error


def _rebuild(name: str, args: tuple[Any, ...], attributes: dict[str, Any]) -> AirflowException:
    kind: type[AsyncrunFailure] = globals()[name]
    return _make(_with_upstream(kind), args, attributes)
