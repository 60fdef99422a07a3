"""The way from the API server to the kubelet: logs and commands, and what is in their way."""

from __future__ import annotations

import time
from collections.abc import Sequence

from asyncrun.local.kube.logs import NOT_LISTENING, find_log, unreachable
from asyncrun.local.kube.node_api import ContainerLog, ExecNode, Node, Started
from asyncrun.local.kube.status import ApiError, internal, no_such_resource
from asyncrun.local.kube.store import Json


class Kubelet:
    """What the API server asks of the node, as long as the kubelet answers."""

    def __init__(self, node: Node) -> None:
        self._node = node
        self._down_until = 0.0
        self._strange = 0

    def down(self, seconds: float, *, strange: int = 1) -> None:
        """
        Let it be unreachable for a while.

        :param strange: log requests after that which get a 404 though the pod exists (trace ``r``).
        """
        self._down_until = time.monotonic() + seconds
        self._strange = strange

    @property
    def _is_down(self) -> bool:
        return time.monotonic() < self._down_until

    def check(self, pod: Json, container: str, query: str) -> None:
        """
        Whether it answers a request for a log.

        :raises ApiError: 500, or the strange 404.
        """
        if self._is_down:
            raise unreachable(pod, container, query)
        if self._strange > 0:
            self._strange -= 1
            raise no_such_resource()

    def log(self, pod: Json, container: str, instance: str) -> ContainerLog | None:
        """The log of that instance, None if it is gone."""
        return find_log(self._node, pod, container, instance)

    async def exec(self, pod: Json, container: str, command: Sequence[str], *, stdin: bool) -> Started:
        """
        Run a command in a container.

        :raises ApiError: 500: the kubelet does not answer; 501: this node runs no commands.
        :raises OSError: it cannot be started; the text is the container runtime's.
        """
        if not isinstance(self._node, ExecNode):
            raise ApiError(501, "NotImplemented", "this node runs no commands in containers")
        try:
            if self._is_down:
                raise ConnectionRefusedError
            return await self._node.exec(pod["metadata"]["uid"], container, command, stdin=stdin)
        except ConnectionRefusedError:
            raise internal(f"error dialing backend: {NOT_LISTENING}") from None
