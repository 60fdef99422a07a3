"""Container logs of one pod in memory, with the rules of facts/kubernetes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any

import msgspec

from asyncrun.clients.budget import TokenBucket
from asyncrun.clients.kube_api import PodPage, PodsApi
from asyncrun.model.errors import NotFound, RequestRefused, Unavailable
from asyncrun.model.pod import Pod, PodEvent, read_pod
from tests.triggers.pods.log_lines import SECOND, Cut, Instance, Line, now, spelled, stamp_at

UID = "11111111-2222-3333-4444-555555555555"


class LogServer(PodsApi):
    """
    One pod. Times are the event loop's.

    :param chunk_size: bytes of each next chunk.
    :param cut: of the connection with that number, from 0; None: it is not cut.
    :param refuse: before each answer about a log; an error to raise, or None.
    :param lag: seconds until a changed status is told.
    :param kubelet_lag: seconds of these until the API server itself knows it.
    :param budget: of openings: the wait for it looks like one for the answer.
    :param end_lag: seconds from a container's end to the end of a follow.
    """

    namespace = "jobs"

    def __init__(
        self,
        *names: str,
        chunk_size: Callable[[], int] = lambda: 65536,
        cut: Callable[[int], Cut | None] = lambda number: None,
        refuse: Callable[[], Exception | None] = lambda: None,
        lag: float = 0.1,
        kubelet_lag: float = 0.0,
        end_lag: float = 0.5,
        budget: TokenBucket | None = None,
        init: Sequence[str] = (),
    ) -> None:
        self.containers: dict[str, list[Instance]] = {name: [] for name in (*init, *(names or ("main",)))}
        self.phase = "Pending"
        self.conditions: dict[str, str] = {}
        self.restart_policy = "Always"
        self.deleted = False
        self.uid = UID
        self.opened: list[dict[str, Any]] = []
        self.open_now = self.most_open = self.sent = self.gets = 0
        self.open_lag = 0.01
        """Seconds until the opening of a log is answered."""
        self.lag = lag
        self.refuse = refuse
        self._init, self._budget, self._kubelet_lag = tuple(init), budget, kubelet_lag
        self._history: list[tuple[float, Pod]] = []
        self._chunk_size, self._cut, self._end_lag = chunk_size, cut, end_lag
        self._watchers: list[Callable[[Pod], None]] = []
        self._changed = asyncio.Event()

    # What happens in the cluster.

    def start(self, name: str = "main") -> Instance:
        made = Instance(f"containerd://{name}-{len(self.containers[name])}")
        self.containers[name].append(made)
        self.phase = "Running"
        self._tell()
        return made

    def write(
        self,
        text: str | bytes,
        name: str = "main",
        *,
        at: float | None = None,
        stamp: int | None = None,
        feed: bool = True,
    ) -> None:
        moment = now() if at is None else at
        encoded = text.encode() if isinstance(text, str) else text
        line = Line(moment, stamp_at(moment) if stamp is None else stamp, encoded, b"\n" if feed else b"")
        self.containers[name][-1].lines.append(line)
        self._wake()

    def end(self, name: str = "main", exit_code: int = 0, *, phase: str = "") -> None:
        instance = self.containers[name][-1]
        instance.ended_at, instance.exit_code = now(), exit_code
        self.phase = phase or self.phase
        self._tell()

    def lose_node(self) -> None:
        """As the node controller tells it (trace t_node_lost)."""
        self.conditions = {"Ready": "False", "ContainersReady": "True"}
        self._tell()

    def finish(self, phase: str = "Succeeded") -> None:
        for name, instances in self.containers.items():
            if instances and instances[-1].ended_at is None:
                self.end(name)
        self.phase = phase
        self._tell()

    def rotate(self, name: str = "main") -> None:
        """Only what is written from now on can be read again."""
        instance = self.containers[name][-1]
        instance.rotated = sum(one.at <= now() for one in instance.lines)

    def rotate_to(self, number: int, name: str = "main") -> None:
        """Only what was written from that line on can be read again."""
        self.containers[name][-1].rotated = number

    def delete(self) -> None:
        self.deleted = True
        self._wake()

    def pod(self) -> Pod:
        statuses = [self._status(name) for name in self.containers if name not in self._init]
        return read_pod(
            msgspec.json.encode(
                {
                    "metadata": {"uid": self.uid, "name": "etl", "namespace": "jobs"},
                    "spec": {"restartPolicy": self.restart_policy},
                    "status": {
                        "phase": self.phase,
                        "conditions": [{"type": kind, "status": one} for kind, one in self.conditions.items()],
                        "containerStatuses": statuses,
                        "initContainerStatuses": [self._status(name) for name in self._init],
                    },
                }
            )
        )

    def watch_by(self, look: Callable[[Pod], None]) -> None:
        self._watchers.append(look)
        look(self.pod())

    def _status(self, name: str) -> dict[str, Any]:
        instances = self.containers[name]
        if not instances:
            return {"name": name, "state": {"waiting": {"reason": "PodInitializing"}}}
        status: dict[str, Any] = {"name": name, "restartCount": len(instances) - 1, "containerID": instances[-1].ident}
        status["state"] = _state(instances[-1])
        if len(instances) > 1:
            status["lastState"] = _state(instances[-2])
        return status

    def _tell(self) -> None:
        self._wake()
        pod = self.pod()
        self._history.append((now(), pod))
        for look in self._watchers:
            asyncio.get_running_loop().call_later(self.lag, look, pod)

    def _wake(self) -> None:
        self._changed.set()
        self._changed = asyncio.Event()

    # What it answers.

    async def get(self, name: str) -> Pod:
        self.gets += 1
        await asyncio.sleep(0.01)
        if self.deleted:
            raise NotFound("pods etl not found", code="NotFound")
        told = [pod for at, pod in self._history if at <= now() - self._kubelet_lag]
        return told[-1] if told and self._kubelet_lag else self.pod()

    @asynccontextmanager
    async def log(
        self,
        name: str,
        container: str,
        *,
        follow: bool,
        silence: float,
        since: str = "",
        previous: bool = False,
        tail_lines: int | None = None,
    ) -> AsyncIterator[_Stream]:
        number = len(self.opened)
        self.opened.append(
            {"follow": follow, "since": since, "previous": previous, "container": container, "at": now()}
        )
        if self._budget is not None:
            await self._budget.take()
        await asyncio.sleep(self.open_lag)
        if (error := self.refuse()) is not None:
            raise error
        if self.deleted:
            raise NotFound("pods etl not found", code="NotFound")
        instances = self.containers[container]
        if previous and len(instances) < 2:
            raise RequestRefused("previous terminated container not found", code="BadRequest")
        if not instances:
            raise RequestRefused("container is waiting to start", code="BadRequest")
        first = int(datetime.fromisoformat(since).timestamp()) * SECOND if since else 0
        self.open_now += 1
        self.most_open = max(self.most_open, self.open_now)
        try:
            yield _Stream(self, instances[-2 if previous else -1], follow, first, self._cut(number), silence)
        finally:
            self.open_now -= 1

    async def create(self, manifest: Mapping[str, Any]) -> Pod:
        raise NotImplementedError

    async def read(self, name: str) -> dict[str, Any]:
        raise NotImplementedError

    async def list(self, *, label_selector: str, limit: int, next_page: str = "") -> PodPage:
        raise NotImplementedError

    def watch(self, **_: Any) -> Any:
        raise NotImplementedError

    async def patch(self, name: str, body: Mapping[str, Any]) -> Pod:
        raise NotImplementedError

    async def delete_pod(self, name: str) -> None:
        raise NotImplementedError

    async def events(self, name: str, uid: str) -> Sequence[PodEvent]:
        raise NotImplementedError


def _state(instance: Instance) -> dict[str, Any]:
    if instance.ended_at is None:
        return {"running": {}}
    return {"terminated": {"exitCode": instance.exit_code, "containerID": instance.ident}}


class _Stream:
    """An open log: hands out what is readable by now; with ``follow`` waits for more until the container ended."""

    def __init__(
        self, server: LogServer, instance: Instance, follow: bool, first: int, cut: Cut | None, silence: float
    ) -> None:
        self._server, self._instance, self._follow, self._first = server, instance, follow, first
        self._cut, self._silence, self._began = cut or Cut(), silence, now()
        self._next_line = instance.rotated
        self._buffer = bytearray()
        self._sent = 0
        if instance.gone:
            self._follow = False
            self._buffer += b"unable to retrieve container logs for " + instance.ident.encode()
        self._buffer += instance.in_place

    async def chunk(self) -> bytes:
        await asyncio.sleep(0)
        quiet_until = now() + self._silence
        while True:
            if self._sent >= self._cut.after_bytes or now() >= self._began + self._cut.after:
                return self._broken()
            if not self._instance.gone:
                self._fill()
            if self._buffer:
                return self._next()
            if not self._follow or self._over():
                return b""
            if now() >= quiet_until:
                raise Unavailable("nothing came")
            await self._wait(quiet_until)

    def _fill(self) -> None:
        while (line := self._upcoming()) is not None and line.at <= now():
            if not line.feed and self._instance.ended_at is None:
                return  # a partial line appears at the container's end
            self._next_line += 1
            if line.stamp >= self._first:
                self._buffer += spelled(line.stamp) + b" " + line.text + line.feed

    def _upcoming(self) -> Line | None:
        return self._instance.lines[self._next_line] if self._next_line < len(self._instance.lines) else None

    def _next(self) -> bytes:
        size = int(min(self._server._chunk_size(), self._cut.after_bytes - self._sent, len(self._buffer)))
        piece = bytes(self._buffer[:size])
        del self._buffer[:size]
        self._sent += size
        self._server.sent += size
        return piece

    def _broken(self) -> bytes:
        if self._cut.clean:
            return b""
        raise Unavailable("the connection was cut")

    def _over(self) -> bool:
        ended = self._instance.ended_at
        return self._server.deleted or (ended is not None and now() >= ended + self._server._end_lag)

    async def _wait(self, until: float) -> None:
        moments = [until, self._began + self._cut.after]
        if (line := self._upcoming()) is not None and line.at > now():
            moments.append(line.at)
        if self._instance.ended_at is not None:
            moments.append(self._instance.ended_at + self._server._end_lag)
        loop, changed = asyncio.get_running_loop(), self._server._changed
        timer = loop.call_later(max(min(moments) - now(), 0) + 1e-6, changed.set)
        try:
            await changed.wait()
        finally:
            timer.cancel()
            if changed.is_set() and changed is self._server._changed:
                self._server._changed = asyncio.Event()
