"""What Kubernetes says about one pod in events: asked for only where they are needed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from asyncrun.clients.kube_api import KubeAccess
from asyncrun.model.errors import AccessDenied, RemoteError
from asyncrun.model.pod import PodEvent
from asyncrun.model.pod_watch import PodWatch

_FRESH = 1.0  # s; what was read since is what there is
_NONE: frozenset[tuple[str, str]] = frozenset()  # each call makes one of 216 bytes


class PodEvents:
    """
    The events of one pod, as they were read last.

    Every reading is a request of its own, so they are read only for a pod that is slow to start or did not end well.

    :param say: writes a line of ours (level, message) into the task log.
    """

    __slots__ = ("_read_at", "_ref", "_say", "_shown", "denied", "failed", "known")

    def __init__(self, watch: PodWatch, say: Callable[[str, str], None]) -> None:
        self._ref, self._say = watch.ref, say
        self.known: Sequence[PodEvent] | None = None
        """None: never read, or there is no permission."""
        self._read_at = float("-inf")
        self._shown: frozenset[tuple[str, str]] = _NONE
        self.denied = False
        """There is no permission to list events."""
        self.failed = False
        """The last reading failed in a way that may pass."""

    @property
    def evidence(self) -> Sequence[PodEvent] | None:
        """For the diagnosis; None only where there is no permission: it says what that would have added."""
        return None if self.denied else self.known or ()

    async def read(self, access: KubeAccess, *, shown: bool = False) -> None:
        """
        Read them, unless that was done a moment ago. A failure is said at most, and ends nothing.

        :param shown: what was not shown yet goes to the task log.
        """
        now = asyncio.get_running_loop().time()
        if self.denied:
            return
        if now - self._read_at < _FRESH:
            if shown:
                self._show(self.known or ())
            return
        self._read_at = now
        try:
            self.known = await access.pods(self._ref.namespace).events(self._ref.name, self._ref.uid)
        except AccessDenied:
            self.denied = True  # the diagnosis says what that permission would have added
            return
        except RemoteError as error:
            if not self.failed:
                self._say("warning", f"The events of pod {self._ref} cannot be read at the moment: {error}")
            self.failed = True
            return
        self.failed = False
        if shown:
            self._show(self.known)

    def _show(self, events: Sequence[PodEvent]) -> None:
        for event in events:
            if (key := (event.reason, event.message)) not in self._shown:
                self._shown |= {key}
                level = "warning" if event.kind == "Warning" else "info"
                self._say(level, f"Kubernetes event {event.reason}: {event.message}")
