"""What an answer to a request to create a pod means for the launch: is it open, will it pass, whose is the name."""

from __future__ import annotations

from asyncrun.launch.pod_advice import TAKEN
from asyncrun.launch.pod_manifest import owner_of
from asyncrun.model.errors import (
    AsyncrunError,
    LaunchRefused,
    MalformedAnswer,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.model.pod import Pod

# Two requests have counted against a quota at once: "please apply your changes to the latest version and try again".
_CONFLICT = "Conflict"
# Of admission plug-ins in an API server that has just started, and of a quota that was just made.
_NOT_READY = ("not yet ready to handle request", "status unknown for quota", "quota evaluation timed out")


def leaves_open(error: AsyncrunError) -> bool:
    """Whether the pod may have been created all the same. What is throttled was refused before anything was done."""
    return isinstance(error, (Unavailable, MalformedAnswer)) and not isinstance(error, Throttled)


def passing(error: AsyncrunError) -> AsyncrunError:
    """That refusal; ``Unavailable`` where Kubernetes itself says that it will pass."""
    is_conflict = isinstance(error, RequestRefused) and error.code == _CONFLICT
    is_early = isinstance(error, LaunchRefused) and any(one in str(error) for one in _NOT_READY)
    return soon(str(error), error) if is_conflict or is_early else error


def soon(message: str, error: AsyncrunError) -> Unavailable:
    """
    What is to be tried again.

    :param error: Kubernetes's answer.
    """
    code = error.code if isinstance(error, RemoteError) else ""
    return Unavailable(message, service="kubernetes", operation="create pods", code=code)


def name_is_taken(namespace: str, pod: Pod, error: AsyncrunError) -> RequestRefused:
    """
    The name belongs to another launch's pod.

    :param pod: that one.
    :param error: Kubernetes's answer.
    """
    owner = ", ".join(f"{key}={value}" for key, value in owner_of(pod.metadata.labels).items())
    whose = f"launched for {owner}" if owner else "which Airflow did not launch"
    phase = pod.status.phase or "Unknown"
    request_id, said = (error.request_id, error.said) if isinstance(error, RemoteError) else ("", "")
    return RequestRefused(
        f"There is a pod {namespace}/{pod.metadata.name} already, {whose} (uid {pod.uid}, phase {phase}). Set the "
        "operator's argument `random_name_suffix` to True, or its `name` to one that no other task uses, or delete "
        "that pod",
        service="kubernetes",
        operation="create pods",
        code=TAKEN,
        request_id=request_id,
        said=said,
    )
