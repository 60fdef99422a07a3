"""A container of a pod: what of it ran, runs, and is waited for."""

from __future__ import annotations

import secrets
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal

from asyncrun.local.kube.node.logs import InstanceLog
from asyncrun.local.kube.node.processes import Ended, ProcessLink
from asyncrun.local.kube.store import Json

Kind = Literal["init", "sidecar", "main"]

COMPLETED, ERROR, OOM = "Completed", "Error", "OOMKilled"
EPOCH = "1970-01-01T00:00:00Z"


def new_id() -> str:
    """Of an instance, as containerd has it."""
    return f"containerd://{secrets.token_hex(32)}"


def stamp(nanoseconds: int) -> str:
    """A second as Kubernetes writes it."""
    return datetime.fromtimestamp(nanoseconds // 1_000_000_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass(slots=True, eq=False)
class Container:
    """
    One container of a pod, over all its instances.

    Exactly one of ``waiting``, ``running`` and ``terminated`` is set: the three states of the API.

    :param waiting: reason and message.
    :param running: when the present instance began.
    :param terminated: how the last instance ended, as the API shows it.
    :param last: ``lastState.terminated``: the instance before, or the last one while it waits to be restarted.
    :param exited: what happened to the present instance and is not shown yet.
    :param due: when it is to be started (again), in the event loop's time.
    :param shown_at: when it is shown as backing off.
    :param failures: ends in a row, which set the back-off.
    :param backoff: the present one, in unscaled seconds.
    :param pull_failures: the same of its image.
    :param began: when the present instance was started, in the event loop's time.
    """

    spec: Json
    kind: Kind
    waiting: tuple[str, str] | None = None
    running: str | None = None
    terminated: Json | None = None
    last: Json | None = None
    restarts: int = 0
    id: str = ""
    image_id: str = ""
    link: ProcessLink | None = None
    logs: list[InstanceLog] = field(default_factory=list)
    exited: Ended | None = None
    due: float = 0.0
    shown_at: float | None = None
    failures: int = 0
    backoff: float = 0.0
    pull_failures: int = 0
    began: float = 0.0

    @property
    def name(self) -> str:
        """Its name in the pod."""
        return str(self.spec["name"])

    @property
    def path(self) -> str:
        """Its place in the pod, for events."""
        kind = "containers" if self.kind == "main" else "initContainers"
        return f"spec.{kind}{{{self.name}}}"

    @property
    def policy(self) -> str:
        """When its image is pulled: ``Always``, ``IfNotPresent``, ``Never``."""
        return str(self.spec.get("imagePullPolicy") or "IfNotPresent")

    def wait(self, reason: str, message: str = "") -> None:
        """Be waiting; a terminated instance becomes the last one."""
        if self.terminated is not None:
            self.last = self.terminated
        self.waiting, self.running, self.terminated = (reason, message), None, None

    def start(self, instance: str, image: str, link: ProcessLink, log: InstanceLog, now: float) -> None:
        """A new instance runs."""
        self._next_instance(instance, image, log)
        self.waiting, self.running, self.terminated = None, stamp(link.started_at), None
        self.link, self.began, self.exited, self.shown_at = link, now, None, None

    def fail_to_start(self, instance: str, image: str, message: str, log: InstanceLog, at: int) -> None:
        """A new instance was created and could not be started (trace o_start_errors)."""
        self._next_instance(instance, image, log)
        ended = {"exitCode": 128, "reason": "StartError", "message": message, "startedAt": EPOCH}
        self.waiting, self.running = None, None
        self.terminated = {**ended, "finishedAt": stamp(at), "containerID": instance}

    def _next_instance(self, instance: str, image: str, log: InstanceLog) -> None:
        if self.terminated is not None:
            self.last = self.terminated
        if self.id:
            self.restarts += 1
        self.id, self.image_id = instance, image
        self.logs.append(log)
        for old in self.logs[:-2]:  # the kubelet keeps one dead instance beside the present one
            old.drop()
        del self.logs[:-2]

    def end(self) -> None:
        """Show what has happened."""
        ended, self.exited = self.exited, None
        assert ended is not None
        reason = OOM if ended.oom else COMPLETED if ended.exit_code == 0 else ERROR
        shown: Json = {"exitCode": ended.exit_code, "reason": reason}
        if ended.message:
            shown["message"] = ended.message
        shown |= {"startedAt": self.running, "finishedAt": stamp(ended.at), "containerID": self.id}
        self.waiting, self.running, self.terminated, self.link = None, None, shown, None

    @property
    def alive(self) -> bool:
        """Whether a process of it runs, as far as is known."""
        return self.link is not None and self.exited is None

    @property
    def succeeded(self) -> bool:
        """Whether its last instance ended well."""
        return self.terminated is not None and self.terminated["exitCode"] == 0
