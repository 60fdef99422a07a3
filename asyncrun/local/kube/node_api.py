"""What the API server asks of a node: the interface between ``asyncrun.local.kube`` and what runs the containers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any, Protocol, runtime_checkable

from asyncrun.local.kube.log_text import Text
from asyncrun.local.kube.store import Store


class ContainerLog(Text, Protocol):
    """
    The log of one instance of a container, as it grows.

    It is what ``/log?timestamps=true`` returns, byte for byte: lines of a stamp (RFC 3339, UTC, always 9
    decimals: 30 bytes), a blank, the text, and a newline. The container's last line may have no newline.
    """

    @property
    def container_id(self) -> str:
        """Of the instance, with its scheme: ``containerd://...``."""

    async def grown(self, offset: int) -> bool:
        """
        Wait until there is more, or never will be.

        :param offset: bytes that the caller has.
        :returns: True: it is longer than that; False: the container has ended, and its log is whole and not longer.
        """


class Node(Protocol):
    """
    Runs the pods of a store: schedules, starts, reports, ends and finally removes them.

    It subscribes to ``pods`` by itself, writes statuses with ``store.update``, events with ``record_event``, and
    finishes graceful deletions (``deletionTimestamp`` set, ``deletionGracePeriodSeconds`` seconds) with
    ``store.remove``. A pod that is gone from the store is killed at once.
    """

    async def start(self, store: Store) -> None:
        """Begin; pods that are in the store already are taken over."""

    async def stop(self) -> None:
        """Kill every container and return when nothing is left."""

    def log(self, pod_uid: str, container: str, *, previous: bool) -> ContainerLog | None:
        """
        The log of a container's present instance, or of the last one that ended.

        :param pod_uid: of a pod that has not been removed from the store.
        :param previous: the instance before the present one.
        :returns: None if the node has no such instance (never started, or thrown away).
        :raises ConnectionError: the node cannot be reached.
        """


class Started(Protocol):
    """A command that runs in a container; ``asyncio.subprocess.Process`` with pipes is one."""

    @property
    def stdin(self) -> asyncio.StreamWriter | None:
        """None: it has none."""

    @property
    def stdout(self) -> asyncio.StreamReader | None:
        """Its output."""

    @property
    def stderr(self) -> asyncio.StreamReader | None:
        """Its other output."""

    async def wait(self) -> int:
        """Its exit code, negative for a signal."""

    def kill(self) -> None:
        """
        End it.

        :raises ProcessLookupError: perhaps, if it has ended.
        """


@runtime_checkable
class ExecNode(Protocol):
    """Optional: a node that can run commands in its containers (``/exec``)."""

    async def exec(self, pod_uid: str, container: str, command: Sequence[str], *, stdin: bool) -> Started:
        """
        Run a command with the container's environment, mounts and user.

        :raises ConnectionRefusedError: the node cannot be reached.
        :raises OSError: it cannot be started; the text is the container runtime's.
        """


@runtime_checkable
class FaultyNode(Node, Protocol):
    """Optional: what a node can be told to do by the control endpoint."""

    async def fault(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """
        Do something that happens to real nodes.

        :param name: ``image`` (arguments ``image`` pattern, ``error``, ``times``), ``unschedulable`` (``message``,
            ``labels``), ``lost`` (``seconds``), ``evict`` (``namespace``, ``name``, ``message``), ``restart`` ...
        :raises ValueError: it does not know that one.
        """
