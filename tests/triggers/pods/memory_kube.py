"""
A Kubernetes API server in memory, behind our interfaces: what it holds and how it fails is written by the test.

Versions, label selectors, watches, bookmarks, compaction and 410s behave as recorded (facts/kubernetes). ``MemoryKube``
is the access; what each namespace's ``PodsApi`` does is in ``MemoryPods``.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from asyncrun.clients.kube_api import PodPage, SidecarDefaults, WatchLine
from asyncrun.model.errors import Expired, MalformedAnswer, NotFound, RemoteError, RequestRefused, Unavailable
from asyncrun.model.pod import Pod, PodEvent, read_pod
from asyncrun.triggers.watch.pods.labels import matches

SELECTOR = "asyncrun.test/deployment=d1"
LABELS = {"asyncrun.test/deployment": "d1"}
BOOKMARKS = 60.0  # s


def uid_of(number: int) -> str:
    return f"00000000-0000-4000-8000-{number:012d}"


def expired(place: str) -> Expired:
    return Expired(f"too old resource version: {place}", service="kubernetes", code="Expired")


class MemoryKube:
    """
    One target's way to a cluster, in memory. Each call takes ``latency`` seconds, and its answer is of half of them
    before; ``fault`` may raise for an operation.

    :param fault: told the operation: get, list, watch, log, events, create, patch, delete, renew.
    """

    server = "https://memory:6443"
    namespace: str | None = None
    own_namespace: str | None = None
    in_cluster = False
    sidecar = SidecarDefaults()

    def __init__(self) -> None:
        self.key = ("memory kube", id(self))
        self.version = 1000
        self.compacted = 0
        self.latency = 0.02
        self.fault: Callable[[str], RemoteError | None] = lambda operation: None
        self.status_410 = False
        """A place that is no longer kept is refused with HTTP status 410, and not by an ERROR line."""
        self.silent = False
        """Open watches bring nothing, no bookmark either."""
        self.calls: list[tuple[float, str, str]] = []
        """(loop's time, operation, name of the pod or place)"""
        self.logs: dict[tuple[str, str], bytes] = {}
        self.told: dict[str, list[PodEvent]] = {}
        self.deleted_by_calls: list[tuple[str, int | None]] = []
        self._namespaces: dict[str, MemoryPods] = {}

    def times(self, operation: str) -> list[float]:
        """The loop's times of these calls."""
        return [at for at, called, _ in self.calls if called == operation]

    def pods(self, namespace: str) -> MemoryPods:
        if namespace not in self._namespaces:
            self._namespaces[namespace] = MemoryPods(self, namespace)
        return self._namespaces[namespace]

    async def renew(self) -> None:
        await self.call("renew")

    async def call(self, operation: str, what: str = "") -> None:
        self.calls.append((asyncio.get_running_loop().time(), operation, what))
        await asyncio.sleep(self.latency / 2)
        if (error := self.fault(operation)) is not None:
            raise error

    async def answer(self) -> None:
        """The way back of an answer."""
        await asyncio.sleep(self.latency / 2)

    def count(self, operation: str) -> int:
        """Calls so far."""
        return sum(one == operation for _, one, _ in self.calls)

    def compact(self) -> None:
        """Forget how the present was reached: older places and pages are expired."""
        self.compacted = self.version

    def cut(self) -> None:
        """Break every open watch."""
        for one in self._namespaces.values():
            for watch in list(one.watches):
                watch.cut()


class MemoryPods:
    """Pods of one namespace; a ``PodsApi``."""

    def __init__(self, kube: MemoryKube, namespace: str) -> None:
        self.kube, self.namespace = kube, namespace
        self.objects: dict[str, dict[str, Any]] = {}
        self.history: list[tuple[int, str, dict[str, Any], dict[str, Any] | None]] = []
        """(version, type, object, the object before)"""
        self.watches: list[MemoryWatch] = []
        self.unreadable: dict[str, Any] = {}
        """By uid: a status that is no status, in every answer about that pod."""
        self._snapshots: dict[str, tuple[int, list[dict[str, Any]]]] = {}
        self._tokens = itertools.count(1)

    # -- what the test does --------------------------------------------------------------------------------------------

    def put(self, number: int, phase: str = "Running", *, name: str = "", labels: Any = LABELS, **status: Any) -> str:
        """Create or change a pod; returns its uid. Its name is ``p<number>`` unless given."""
        name = name or f"p{number}"
        before = self.objects.get(name)
        if before is not None and before["metadata"]["uid"] != uid_of(number):
            self.remove(name)
            before = None
        metadata = {"name": name, "namespace": self.namespace, "uid": uid_of(number), "labels": labels}
        body = {
            "metadata": metadata,
            "spec": {"containers": [{"name": "base", "image": "busybox"}]},
            "status": {"phase": phase, **status},
        }
        self._record("MODIFIED" if before else "ADDED", body)
        return uid_of(number)

    def remove(self, name: str, **status: Any) -> None:
        """Delete a pod; its last state may differ from the one before."""
        body = dict(self.objects[name])
        body["status"] = {**body["status"], **status}
        self._record("DELETED", body)

    def replay(self, line: str) -> None:
        """A recorded watch line happens now, with its own version."""
        told = msgspec.json.decode(line)
        if told["type"] in ("BOOKMARK", "ERROR"):
            for watch in self.watches:
                watch.say(told["type"], told["object"])
            return
        version = int(told["object"]["metadata"]["resourceVersion"])
        self.kube.version = max(self.kube.version, version)
        self._record(told["type"], told["object"], version)

    def _record(self, kind: str, body: dict[str, Any], version: int | None = None) -> None:
        if version is None:
            self.kube.version += 1
            version = self.kube.version
            body = {**body, "metadata": {**body["metadata"], "resourceVersion": str(version)}}
        name = body["metadata"]["name"]
        before = self.objects.pop(name, None)
        if kind != "DELETED":
            self.objects[name] = body
        self.history.append((version, kind, body, before))
        for watch in self.watches:
            watch.tell(self.history[-1])

    # -- PodsApi -------------------------------------------------------------------------------------------------------

    async def create(self, manifest: Mapping[str, Any]) -> Pod:
        await self.kube.call("create")
        name = manifest["metadata"]["name"]
        if name in self.objects:
            raise RequestRefused(f'pods "{name}" already exists', service="kubernetes", code="AlreadyExists")
        uid = uid_of(len(self.history) + 10**6)
        metadata = {"namespace": self.namespace, "uid": uid, **manifest["metadata"]}
        self._record("ADDED", {**manifest, "metadata": metadata, "status": {"phase": "Pending"}})
        return read_pod(self._json(self.objects[name]))

    async def get(self, name: str) -> Pod:
        await self.kube.call("get", name)
        body = self.objects.get(name)
        await self.kube.answer()
        return read_pod(self._json(body if body is not None else self._named("")))

    async def read(self, name: str) -> dict[str, Any]:
        await self.kube.call("get", name)
        return dict(self._named(name))

    async def list(self, *, label_selector: str, limit: int, next_page: str = "") -> PodPage:
        await self.kube.call("list", next_page)
        if next_page:
            version, bodies = self._snapshots.pop(next_page)
            if version < self.kube.compacted:
                raise expired(next_page)
        else:
            version = self.kube.version
            chosen = [one for one in self.objects.values() if matches(label_selector, one["metadata"]["labels"])]
            bodies = sorted(chosen, key=lambda one: str(one["metadata"]["name"]))
        await self.kube.answer()
        page, rest, token = bodies[:limit], bodies[limit:], ""
        if rest:
            token = f"page {next(self._tokens)}"
            self._snapshots[token] = (version, rest)
        pods, unreadable = [], {}
        for body in page:
            try:
                pods.append(read_pod(self._json(body)))
            except MalformedAnswer as error:
                unreadable[body["metadata"]["uid"]] = error
        return PodPage(pods, unreadable, str(version), token)

    @asynccontextmanager
    async def watch(
        self, *, label_selector: str, resource_version: str, seconds: float, silence: float
    ) -> AsyncIterator[MemoryWatch]:
        await self.kube.call("watch", resource_version)
        is_expired = int(resource_version) < self.kube.compacted
        if is_expired and self.kube.status_410:
            raise expired(resource_version)
        watch = MemoryWatch(self, label_selector, seconds, silence)
        if is_expired:
            message = f"too old resource version: {resource_version}"
            watch.say("ERROR", {"kind": "Status", "message": message, "reason": "Expired", "code": 410})
            watch.end()
        elif int(resource_version) > self.kube.version:
            watch.deaf = True  # hangs silently (k2_watch_semantics)
        else:
            for change in self.history:
                if change[0] > int(resource_version):
                    watch.tell(change)
        self.watches.append(watch)
        try:
            yield watch
        finally:
            self.watches.remove(watch)

    async def patch(self, name: str, body: Mapping[str, Any]) -> Pod:
        await self.kube.call("patch", name)
        old = self._named(name)
        labels = {**(old["metadata"]["labels"] or {}), **body.get("metadata", {}).get("labels", {})}
        labels = {key: value for key, value in labels.items() if value is not None}
        self._record("MODIFIED", {**old, "metadata": {**old["metadata"], "labels": labels}})
        return read_pod(self._json(self.objects[name]))

    async def delete(self, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        await self.kube.call("delete", name)
        self.kube.deleted_by_calls.append((name, grace_seconds))
        if name in self.objects and self.objects[name]["metadata"]["uid"] == uid:
            self.remove(name)

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
    ) -> AsyncIterator[MemoryLog]:
        await self.kube.call("log", name)
        self._named(name)
        yield MemoryLog(self.kube.logs.get((name, container), b""))

    async def events(self, name: str, uid: str) -> Sequence[PodEvent]:
        await self.kube.call("events", name)
        return self.kube.told.get(uid, [])

    def _named(self, name: str) -> dict[str, Any]:
        if name not in self.objects:
            raise NotFound(f'pods "{name}" not found', service="kubernetes", code="NotFound")
        return self.objects[name]

    def _json(self, body: dict[str, Any]) -> bytes:
        uid = body["metadata"].get("uid", "")
        return msgspec.json.encode({**body, "status": self.unreadable[uid]} if uid in self.unreadable else body)

    def watch_line(self, kind: str, body: dict[str, Any]) -> WatchLine:
        metadata = body.get("metadata") or {}
        version, raw = metadata.get("resourceVersion", ""), msgspec.Raw(self._json({"metadata": {}, **body}))
        return WatchLine(kind, metadata.get("uid", ""), version, raw)


class MemoryLog:
    """A log that has ended."""

    def __init__(self, text: bytes) -> None:
        self._text = text

    async def chunk(self) -> bytes:
        text, self._text = self._text, b""
        return text


class MemoryWatch:
    """An open watch; a ``WatchStream``."""

    def __init__(self, pods: MemoryPods, selector: str, seconds: float, silence: float) -> None:
        self._pods, self._selector, self._silence = pods, selector, silence
        self._loop = asyncio.get_running_loop()
        self._ends_at = self._loop.time() + seconds
        self._bookmark_at = self._loop.time() + BOOKMARKS
        self._ready: list[WatchLine] = []
        self._wake = asyncio.Event()
        self._over = False
        self._broken: RemoteError | None = None
        self.deaf = False

    def tell(self, change: tuple[int, str, dict[str, Any], dict[str, Any] | None]) -> None:
        """A pod changed: what that looks like through the selector. Leaving it arrives as DELETED, with old labels."""
        version, kind, body, before = change
        now = kind != "DELETED" and matches(self._selector, body["metadata"].get("labels"))
        was = before is not None and matches(self._selector, before["metadata"].get("labels"))
        if now:
            self.say("MODIFIED" if was and kind != "ADDED" else "ADDED", body)
        elif was:
            told = body
            if kind != "DELETED" and before is not None:
                told = {**before, "metadata": {**before["metadata"], "resourceVersion": str(version)}}
            self.say("DELETED", told)

    def say(self, kind: str, body: dict[str, Any]) -> None:
        """That line comes."""
        if not self.deaf:
            self._ready.append(self._pods.watch_line(kind, body))
            self._wake.set()

    def end(self) -> None:
        """Its clean end comes, after the lines."""
        self._over = True
        self._wake.set()

    def cut(self, error: RemoteError | None = None) -> None:
        """The connection breaks; what was on its way is lost."""
        self._ready.clear()
        self._broken = error or Unavailable("the connection broke", service="kubernetes")
        self._wake.set()

    async def lines(self) -> list[WatchLine]:
        silent_at = self._loop.time() + self._silence
        while True:
            now, mute = self._loop.time(), self.deaf or self._pods.kube.silent
            if self._broken is not None:
                raise self._broken
            if self._ready and not mute:
                ready, self._ready = self._ready, []
                return ready
            if self._over or now >= self._ends_at:
                return []
            if now >= silent_at:
                raise Unavailable("nothing came for too long", service="kubernetes")
            if now >= self._bookmark_at:
                self._bookmark_at = now + BOOKMARKS
                self.say("BOOKMARK", {"metadata": {"resourceVersion": str(self._pods.kube.version)}})
                continue
            self._wake.clear()
            try:
                async with asyncio.timeout_at(min(self._ends_at, silent_at, self._bookmark_at) + 0.001):
                    await self._wake.wait()
            except TimeoutError:
                pass
