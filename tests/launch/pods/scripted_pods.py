"""Pods of a namespace in memory, for the launcher: stored as an API server does, with answers that the test spoils."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec

from asyncrun.clients.kube_api import PodPage
from asyncrun.model.errors import NotFound, RequestRefused, Unavailable
from asyncrun.model.pod import (
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    PodSpec,
    PodStatus,
    Terminated,
)

CREATED = datetime(2026, 11, 21, tzinfo=UTC)
OWNER = {"dag_id": "d", "task_id": "t", "run_id": "r"}
LABELS = {"asyncrun/launch": "mine", "asyncrun/deployment": "prod", **OWNER}

CUT = Unavailable("The connection was cut.", service="kubernetes")
"""In the script: the answer is lost, and nothing was done."""
LOST = Unavailable("The answer was lost.", service="kubernetes")
"""In the script: it was done, and the answer is lost."""


def manifest(name: str = "p", **labels: str) -> dict[str, Any]:
    """Of a pod of this launch."""
    return {
        "metadata": {"name": name, "namespace": "ns", "labels": {**LABELS, **labels}},
        "spec": {"containers": [{"name": "base"}], "initContainers": []},
    }


def with_sidecar(name: str = "airflow-xcom-sidecar") -> dict[str, Any]:
    """The same with a native sidecar."""
    made = manifest()
    made["spec"]["initContainers"] = [{"name": name, "restartPolicy": "Always"}]
    return made


class Pods:
    """
    Stores pods, and answers each call as the script of that verb says: an error, or None for the truth.

    :ivar changes: what webhooks do to a manifest before it is stored.
    """

    namespace = "ns"

    def __init__(self, *creates: Exception | None, **verbs: list[Exception | None]) -> None:
        self.script: dict[str, list[Exception | None]] = {"create": list(creates), **verbs}
        self.stored: dict[str, Pod] = {}
        self.calls: list[str] = []
        self.deleted: list[tuple[str, int | None]] = []
        self.patches: list[Mapping[str, Any]] = []
        self.changes: Callable[[dict[str, Any]], object] = lambda _: None
        self._uids = itertools.count(1)

    def put(self, pod: Pod) -> Pod:
        """Have that pod."""
        self.stored[pod.metadata.name] = pod
        return pod

    async def create(self, manifest: Mapping[str, Any]) -> Pod:
        spoilt = await self._answer("create")
        if spoilt is not None and spoilt is not LOST:
            raise spoilt
        made: dict[str, Any] = msgspec.json.decode(msgspec.json.encode(manifest))
        self.changes(made)
        name = made["metadata"]["name"]
        if name in self.stored:
            said = f'pods "{name}" already exists'
            raise RequestRefused(
                f"Kubernetes refuses it: {said}", service="kubernetes", code="AlreadyExists", said=said
            )
        made["metadata"] |= {"uid": f"uid-{next(self._uids)}", "creationTimestamp": CREATED.isoformat()}
        pod = self.put(msgspec.convert({**made, "status": {"phase": "Pending"}}, Pod))
        if spoilt is LOST:
            raise LOST
        return pod

    async def get(self, name: str) -> Pod:
        await self._spoilt("get")
        if name not in self.stored:
            raise NotFound(f'pods "{name}" not found', service="kubernetes", operation="get pods", code="NotFound")
        return self.stored[name]

    async def list(self, *, label_selector: str, limit: int, next_page: str = "") -> PodPage:
        await self._spoilt("list")
        found = [one for one in self.stored.values() if _matches(label_selector, one.metadata.labels or {})]
        start = int(next_page or 0)
        more = str(start + 2) if len(found) > start + 2 else ""
        return PodPage(pods=found[start : start + 2], unreadable={}, resource_version="1", next_page=more)

    async def delete(self, name: str, *, uid: str, grace_seconds: int | None = None) -> None:
        await self._spoilt("delete")
        if name in self.stored and self.stored[name].uid == uid:
            del self.stored[name]
            self.deleted.append((uid, grace_seconds))

    async def patch(self, name: str, body: Mapping[str, Any]) -> Pod:
        await self._spoilt("patch")
        if name not in self.stored:
            raise NotFound(f'pods "{name}" not found', service="kubernetes", code="NotFound")
        if body["metadata"]["uid"] != self.stored[name].uid:
            said = "Precondition failed: UID in precondition"
            raise RequestRefused(said, service="kubernetes", code="Conflict", said=said)
        self.patches.append(body)
        return self.stored[name]

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AssertionError(f"the launcher must not call {name}")

    async def _spoilt(self, verb: str) -> None:
        error = await self._answer(verb)
        if error is not None:
            raise error

    async def _answer(self, verb: str) -> Exception | None:
        self.calls.append(verb)
        script = self.script.get(verb) or [None]
        await asyncio.sleep(0)
        return script.pop(0) if len(script) > 1 else script[0]


def _matches(selector: str, labels: Mapping[str, str]) -> bool:
    for one in selector.split(","):
        key, wanted = one.split("!=") if "!=" in one else one.split("=")
        if (labels.get(key) == wanted) == ("!=" in one):
            return False
    return True


def pod(
    name: str = "p",
    *,
    uid: str = "other",
    phase: str = "Running",
    age: float = 0,
    exit_code: int | None = None,
    is_deleted: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Pod:
    """
    A pod of another launch of the same task instance.

    :param age: seconds; younger ones have less.
    :param exit_code: of its base container, which has ended.
    """
    state = ContainerState(terminated=Terminated(exit_code=exit_code)) if exit_code is not None else ContainerState()
    return Pod(
        metadata=Metadata(
            uid=uid,
            name=name,
            namespace="ns",
            labels={"asyncrun/launch": "theirs", "asyncrun/deployment": "prod", **OWNER, **(labels or {})},
            creation_timestamp=CREATED - timedelta(seconds=age),
            deletion_timestamp=CREATED if is_deleted else None,
        ),
        spec=PodSpec(containers=(ContainerSpec(name="base"),), restart_policy="Never"),
        status=PodStatus(phase=phase, container_statuses=(ContainerStatus(name="base", state=state),)),
    )
