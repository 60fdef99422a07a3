"""What all pods of the node share."""

from __future__ import annotations

import asyncio
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from asyncrun.local.kube.node.images import Images
from asyncrun.local.kube.node.options import NodeOptions
from asyncrun.local.kube.node.processes import Processes
from asyncrun.local.kube.node.scheduling import Rules
from asyncrun.local.kube.store import Store


@dataclass(slots=True)
class Machine:
    """
    Shared state.

    :param folder: of everything that pods have on disk.
    :param isolated: whether containers get mounts of their own.
    :param why_not: why they do not.
    :param reachable: cleared while the node is lost: its kubelet sees and says nothing.
    :param closing: the node stops: nothing is started or said any more.
    """

    store: Store
    options: NodeOptions
    folder: Path
    processes: Processes
    images: Images
    rules: Rules
    isolated: bool = False
    why_not: str = ""
    reachable: asyncio.Event = field(default_factory=asyncio.Event)
    closing: bool = False
    _addresses: int = 0

    @property
    def host(self) -> str:
        """The node's address."""
        return "127.0.0.1"

    @property
    def root(self) -> str | None:
        """Empty directory over which each container's root is mounted."""
        return str(self.folder / "root") if self.isolated else None

    @property
    def capacity(self) -> Mapping[str, str]:
        """Of the node."""
        return {"cpu": self.options.cpu, "memory": self.options.memory}

    def new_address(self) -> str:
        """Of a pod: a loopback address of its own, where all of them lead to this machine."""
        if platform.system() != "Linux":
            return self.host
        self._addresses += 1
        number = self._addresses % (250 * 250)
        return f"127.244.{number // 250}.{number % 250 + 2}"
