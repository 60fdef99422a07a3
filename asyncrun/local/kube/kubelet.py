"""The way from the API server to the kubelet: logs, and what is in their way."""

from __future__ import annotations

import time

from asyncrun.local.kube.logs import find_log, unreachable
from asyncrun.local.kube.node_api import ContainerLog, Node
from asyncrun.local.kube.status import no_such_resource
from asyncrun.local.kube.store import Json


class Kubelet:
    """The node's logs, as long as the kubelet answers."""

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

    def check(self, pod: Json, container: str, query: str) -> None:
        """
        Whether it answers.

        :raises ApiError: 500, or the strange 404.
        """
        if time.monotonic() < self._down_until:
            raise unreachable(pod, container, query)
        if self._strange > 0 and self._down_until:
            self._strange -= 1
            raise no_such_resource()

    def log(self, pod: Json, container: str, instance: str) -> ContainerLog | None:
        """The log of that instance, None if it is gone."""
        return find_log(self._node, pod, container, instance)
