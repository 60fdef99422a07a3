"""Recorded pods on the embedded node: what was recorded, what the node does with the same pod, both made comparable."""

from __future__ import annotations

import asyncio
import base64
import copy
import json
import re
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from asyncrun.local.kube import deletion
from asyncrun.local.kube.node import Delays, ImageFault, LocalNode, NodeOptions
from asyncrun.local.kube.node.logs import LogView
from asyncrun.local.kube.resources import of_kind
from asyncrun.local.kube.store import Store
from tests.support.traces import trace

Json = dict[str, Any]

PACE = 0.2
"""Seconds that a second of the recorded containers' sleeps and of the back-offs takes."""

DELAYS = Delays(
    sandbox=0.05,
    starting=0.05,
    pulling=0.0,
    final=0.2,
    removal=0.1,
    retry=0.5,
    backoff_shown=0.3,
    backoff_factor=PACE,
    eviction_check=0.3,
    kept_after_eviction=0.2,
    unreachable=0.3,
    toleration_factor=0.1,
)
OPTIONS = NodeOptions(
    name="k8s-node",
    images=(
        ImageFault("127.0.0.1:5999/*", "refused"),
        ImageFault("registry.invalid/*", "dns"),
        ImageFault("docker.io/library/absent:*", "absent"),
    ),
    delays=DELAYS,
)


@dataclass
class Story:
    """One pod's life: its states without repetitions, its logs by container, its events."""

    states: list[Json]
    logs: dict[str, str] = field(default_factory=dict)
    events: list[tuple[str, ...]] = field(default_factory=list)


# -- the recorded one --------------------------------------------------------------------------------------------------


def pods_of(name: str) -> list[str]:
    """Names of the pods in a trace."""
    return list(dict.fromkeys(str(one["metadata"]["name"]) for _, one in _watched(name)))


def _watched(name: str) -> Iterable[tuple[str, Json]]:
    for record in trace(name):
        if record["kind"] == "watch":
            line = json.loads(record["line"])
            if line["object"].get("kind") == "Pod" and line["type"] != "BOOKMARK":
                yield line["type"], line["object"]


def recorded(name: str, pod: str, *, deleted: bool) -> Story:
    """
    What was recorded.

    :param deleted: whether its deletion is part of the story, not only the recorder's tidying.
    """
    seen = [one for kind, one in _watched(name) if one["metadata"]["name"] == pod]
    if not deleted:
        seen = [one for one in seen if "deletionTimestamp" not in one["metadata"]]
    return Story(states(seen), _recorded_logs(name, pod), _recorded_events(name, pod, seen[0]["metadata"]["uid"]))


def _recorded_logs(name: str, pod: str) -> dict[str, str]:
    """The last whole text of each container with stamps, which are taken off."""
    texts: dict[str, bytes] = {}
    opened: dict[str, str] = {}
    for record in trace(name):
        if record["kind"] == "log-open" and record["status"] == 200:
            path = record["path"]
            if f"/{pod}/log" in path and "timestamps=true" in path and "previous" not in path:
                found = re.search(r"container=([^&]+)", path)
                opened[record["id"]] = found[1] if found else "main"
                texts[record["id"]] = b""
        elif record["kind"] == "log-chunk" and record["id"] in opened:
            texts[record["id"]] += _chunk(record)
    logs: dict[str, str] = {}
    for key, container in opened.items():
        if not texts[key].startswith(b"unable to retrieve"):
            logs[container] = without_stamps(texts[key])
    return logs


def _chunk(record: Json) -> bytes:
    return base64.b64decode(record["b64"]) if record.get("b64") else (record.get("text") or "").encode()


def _recorded_events(name: str, pod: str, uid: str) -> list[tuple[str, ...]]:
    for record in trace(name):
        if record["kind"] == "request" and record["path"].endswith(f"events?fieldSelector=involvedObject.name%3D{pod}"):
            return [event(one, uid) for one in json.loads(record["body"])["items"]]
    return []


# -- both --------------------------------------------------------------------------------------------------------------

_TIMES = {"lastTransitionTime", "startTime", "startedAt", "finishedAt", "deletionTimestamp"}
_ADDRESSES = {"hostIP", "podIP", "ip"}
_NO_LIMIT = "9007199254740988Ki"


def states(pods: Iterable[Json]) -> list[Json]:
    """Comparable states, each once where it is repeated at once."""
    found: list[Json] = []
    ids: dict[str, str] = {}
    for pod in pods:
        state = _state(pod, ids)
        if not found or found[-1] != state:
            found.append(state)
    return found


def _state(pod: Json, ids: dict[str, str]) -> Json:
    metadata = pod["metadata"]
    status = _plain(copy.deepcopy(pod["status"]), metadata["uid"], ids)
    if _NO_LIMIT in json.dumps(status.get("resources", {})):
        status["resources"] = {}  # an artefact of the recorded cluster (facts)
    status["conditions"] = {one.pop("type"): one for one in status.get("conditions", ())}
    shown = {"node": pod["spec"].get("nodeName"), "generation": metadata.get("generation"), "status": status}
    if "deletionTimestamp" in metadata:
        shown["grace"] = metadata["deletionGracePeriodSeconds"]
    return shown


def _plain(value: Any, uid: str, ids: dict[str, str], key: str = "") -> Any:
    if isinstance(value, dict):
        return {name: _plain(one, uid, ids, name) for name, one in value.items()}
    if isinstance(value, list):
        return [_plain(one, uid, ids, key) for one in value]
    return _plain_text(value, uid, ids, key) if isinstance(value, str) and value else value


def _plain_text(value: str, uid: str, ids: dict[str, str], key: str) -> str:
    if key in _TIMES and not value.startswith("1970"):
        return "<time>"
    if key == "containerID":
        return ids.setdefault(value, f"<container {len(ids)}>")
    if key in _ADDRESSES:
        return "<address>"
    return "<image>" if key == "imageID" else value.replace(uid, "<uid>")


def event(one: Json, uid: str) -> tuple[str, ...]:
    """What an event says, without times and counts."""
    path = one["involvedObject"].get("fieldPath") or ""
    return one["reportingComponent"], one["type"], one["reason"], one["message"].replace(uid, "<uid>"), path


def without_stamps(data: bytes) -> str:
    """The text; checks that the stamps are what the facts say."""
    lines = data.splitlines(keepends=True)
    stamps = [line[:30] for line in lines]
    assert all(re.fullmatch(rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z", one) for one in stamps), data[:200]
    assert stamps == sorted(set(stamps))
    return b"".join(line[31:] for line in lines).decode("utf-8", "replace")


# -- ours --------------------------------------------------------------------------------------------------------------

Play = Callable[["Stage"], Awaitable[None]]


@dataclass
class Stage:
    """A pod on the node, while its story is played."""

    store: Store
    node: LocalNode
    namespace: str
    name: str
    uid: str = ""
    seen: list[Json] = field(default_factory=list)
    logs: dict[str, bytes] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)
    removed: bool = False
    seen_before: int = 0

    async def until(self, condition: Callable[[Json], object], seconds: float = 30.0) -> Json:
        """Wait for a state of the pod; one that has passed counts, too."""
        async with asyncio.timeout(seconds):
            while not (found := [one for one in self.seen if condition(one)]):
                self.news.clear()
                await self.news.wait()
        return found[-1]

    async def gone(self) -> None:
        """Wait until it is removed from the store."""
        await self.until(lambda _: self.removed)

    async def wrote(self, container: str, text: bytes) -> None:
        """Wait until that is in the log of the container, which runs."""
        view = self.node.log(self.uid, container, previous=False)
        assert view is not None
        async with asyncio.timeout(30):
            while text not in view.read(0, 1 << 30):
                assert await view.grown(view.size()), view.read(0, 1 << 30)

    async def whole(self, view: LogView) -> bytes:
        """A log, when its container has ended."""
        async with asyncio.timeout(30):
            while await view.grown(view.size()):
                pass
        return view.read(0, 1 << 30)

    def text(self, container: str, *, previous: bool = False) -> bytes:
        """Its log now."""
        view = self.node.log(self.uid, container, previous=previous)
        return view.read(0, 1 << 30) if view is not None else b""

    def delete(self, **options: Any) -> None:
        """As the API does it."""
        kind = of_kind("Pod")
        assert kind is not None
        deletion.delete(self.store, kind, self.namespace, self.name, options)

    def evict(self) -> None:
        """As the eviction API does it."""
        kind = of_kind("Pod")
        assert kind is not None
        deletion.evict(self.store, kind, self.namespace, self.name, {})

    def read_logs(self) -> None:
        """Keep what can be read now."""
        pod = self.seen[-1]
        for one in [*(pod["spec"].get("initContainers") or ()), *pod["spec"]["containers"]]:
            if self.node.log(self.uid, one["name"], previous=False) is not None:
                self.logs[one["name"]] = self.text(one["name"])


def manifest(name: str, pod: str) -> Json:
    """The pod as the recorded API server had it after the POST, its sleeps shortened."""
    found = next(one for kind, one in _watched(name) if kind == "ADDED" and one["metadata"]["name"] == pod)
    kept = {
        key: found["metadata"][key]
        for key in ("name", "labels", "finalizers", "generation")
        if key in found["metadata"]
    }
    spec = copy.deepcopy(found["spec"])
    for container in [*spec.get("initContainers", ()), *spec["containers"]]:
        container["command"] = [_faster(one) for one in container.get("command", ())]
        if not container["command"]:
            del container["command"]
    metadata = {**kept, "namespace": found["metadata"]["namespace"]}
    return {"kind": "Pod", "apiVersion": "v1", "metadata": metadata, "spec": spec, "status": found["status"]}


def _faster(text: str) -> str:
    return re.sub(r"sleep ([\d.]+)", lambda match: f"sleep {float(match[1]) * PACE:g}", text)


async def perform(folder: Path, plays: dict[tuple[str, str], Play]) -> dict[tuple[str, str], Story]:
    """Play all of them at once on one node, by trace and pod."""
    store, node = Store(), LocalNode(folder, OPTIONS)
    await node.start(store)
    try:
        keys = list(plays)
        found = await asyncio.gather(*(_one(store, node, number, key, plays[key]) for number, key in enumerate(keys)))
        return dict(zip(keys, found, strict=True))
    finally:
        await node.stop()


async def _one(store: Store, node: LocalNode, number: int, key: tuple[str, str], play: Play) -> Story:
    pod = manifest(*key)
    namespace = pod["metadata"]["namespace"]
    stage = Stage(store, node, namespace, pod["metadata"]["name"])
    changes = store.subscribe("pods")
    created = store.create("pods", pod)
    stage.uid = created["metadata"]["uid"]

    async def follow() -> None:
        while True:
            kind, one = await changes.next()
            if one["metadata"]["uid"] == stage.uid and (kind != "ADDED" or not stage.seen):
                stage.seen.append(one)
                stage.removed = kind == "DELETED"
                stage.news.set()

    following = asyncio.create_task(follow(), name=f"follow {number}")
    try:
        await play(stage)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
    logs = {name: without_stamps(text) for name, text in stage.logs.items()}
    about = [one for one in store.list("events", namespace) if one["involvedObject"]["uid"] == stage.uid]
    about.sort(key=lambda one: int(one["metadata"]["name"].rpartition(".")[2], 16))
    return Story(states(stage.seen), logs, [event(one, stage.uid) for one in about])
