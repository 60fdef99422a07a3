"""``/log``: which instance of which container, and its text on the way to the client."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any
from urllib.parse import parse_qsl, urlencode

from asyncrun.local.kube.log_text import LogOptions, Shaper, start_of
from asyncrun.local.kube.node_api import ContainerLog, Node
from asyncrun.local.kube.status import ApiError, bad_request, internal
from asyncrun.local.kube.store import Json

_PIECE = 1 << 16
_PASSED_ON = frozenset({"follow", "limitBytes", "previous", "sinceSeconds", "sinceTime", "tailLines", "timestamps"})
"""What the API server asks the kubelet."""
NOT_LISTENING = "dial tcp 127.0.0.1:10250: connect: connection refused"
"""What a connection to a kubelet ends with that is not there."""

_NOT_PULLED = {
    "ErrImagePull": "image can't be pulled",
    "ImagePullBackOff": "trying and failing to pull image",
}


def chosen_container(pod: Json, asked: str) -> str:
    """
    The container that is meant.

    :raises ApiError: 400: there is none of that name, or there are several and none was named.
    """
    spec, name = pod["spec"], pod["metadata"]["name"]
    main = [one["name"] for one in spec["containers"]]
    every = [*(one["name"] for one in spec.get("initContainers") or ()), *main]
    if asked:
        if asked not in every:
            raise bad_request(f"container {asked} is not valid for pod {name}")
        return asked
    if len(main) > 1:
        raise bad_request(f"a container name must be specified for pod {name}, choose one of: [{' '.join(every)}]")
    return str(main[0])


def chosen_instance(pod: Json, container: str, *, previous: bool) -> str:
    """
    The id of the container's instance whose log is meant, as the kubelet decides it by the pod's status.

    :raises ApiError: 400: nothing ran yet, or not as often.
    """
    name = pod["metadata"]["name"]
    status = _status_of(pod, container)
    if status is None:
        raise bad_request(f'container "{container}" in pod "{name}" is not available')
    state: dict[str, Any] = status.get("state") or {}
    last = ((status.get("lastState") or {}).get("terminated") or {}).get("containerID") or ""
    ended = state.get("terminated")
    if previous:
        if not last:
            raise bad_request(f'previous terminated container "{container}" in pod "{name}" not found')
        return str(last)
    if state.get("running") is not None:
        return str(status.get("containerID") or "")
    if ended is not None:
        found = ended.get("containerID") or last
        if not found:
            raise bad_request(f'container "{container}" in pod "{name}" is terminated')
        return str(found)
    if last:
        return str(last)
    reason = (state.get("waiting") or {}).get("reason", "")
    why = _NOT_PULLED.get(reason, reason)
    if not why:
        raise bad_request(f'container "{container}" in pod "{name}" is waiting to start - no logs yet')
    raise bad_request(f'container "{container}" in pod "{name}" is waiting to start: {why}')


def _status_of(pod: Json, container: str) -> Json | None:
    status = pod.get("status") or {}
    every = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return next((one for one in every if one["name"] == container), None)


def find_log(node: Node, pod: Json, container: str, instance: str) -> ContainerLog | None:
    """The log of that instance, None if the node has it no more."""
    uid = pod["metadata"]["uid"]
    for previous in (False, True):
        log = node.log(uid, container, previous=previous)
        if log is not None and log.container_id == instance:
            return log
    return None


def unreachable(pod: Json, container: str, query: str) -> ApiError:
    """The 500 of an API server that cannot reach the kubelet (traces ``r``, ``t``)."""
    metadata = pod["metadata"]
    where = f"https://127.0.0.1:10250/containerLogs/{metadata['namespace']}/{metadata['name']}/{container}"
    passed_on = urlencode(sorted((key, value) for key, value in parse_qsl(query) if key in _PASSED_ON))
    path = f"{where}?{passed_on}" if passed_on else where
    return internal(f'Get "{path}": {NOT_LISTENING}')


async def text_of(log: ContainerLog, options: LogOptions) -> AsyncGenerator[bytes, None]:
    """
    The text that is wanted, in pieces; ends when the container has, or at once if it is not followed.

    Close it (``aclosing``) when it is not read to its end.
    """
    offset, shaper = start_of(log, options), Shaper(options)
    end = None if options.follow else log.size()
    while not shaper.full:
        size = _PIECE if end is None else min(_PIECE, end - offset)
        piece = log.read(offset, size) if size else b""
        if piece:
            offset += len(piece)
            shown = shaper.shape(piece)
            if shown:
                yield shown
        elif end is not None:
            return
        elif not await log.grown(offset):
            end = log.size()
