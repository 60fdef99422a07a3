"""A store and an embedded node, and the hands to work with them."""

from __future__ import annotations

import asyncio
import base64
import contextlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
import pytest

from asyncrun.local.kube.defaults import default_pod
from asyncrun.local.kube.node import Delays, LocalNode, NodeOptions
from asyncrun.local.kube.store import Store

Json = dict[str, Any]
DELAYS = Delays(sandbox=0.0, pulling=0.0, final=0.0, removal=0.0, retry=0.05, backoff_shown=0.01, backoff_factor=0.01)
OPTIONS = NodeOptions(delays=replace(DELAYS, unreachable=0.05, toleration_factor=0.01, eviction_check=0.05))


@dataclass
class Lab:
    """A store and a node."""

    store: Store
    node: LocalNode
    folder: Path

    def create(self, name: str, *containers: Json, **spec: Any) -> Json:
        """A pod."""
        whole = {"restartPolicy": "Never", **spec, "containers": list(containers)}
        metadata = {"name": name, "namespace": "default", "generation": 1, "labels": {"app": name}}
        return self.store.create("pods", default_pod({"kind": "Pod", "metadata": metadata, "spec": whole}))

    def secret(self, name: str, **data: str) -> None:
        """A secret."""
        encoded = {key: base64.b64encode(value.encode()).decode() for key, value in data.items()}
        self.store.create("secrets", {"metadata": {"name": name, "namespace": "default"}, "data": encoded})

    def config(self, name: str, **data: str) -> None:
        """A ConfigMap."""
        self.store.create("configmaps", {"metadata": {"name": name, "namespace": "default"}, "data": data})

    async def until(self, name: str, condition: Callable[[Json], object]) -> Json:
        """Wait for a state of the pod."""
        changes = self.store.subscribe("pods")
        pod = self.store.get("pods", "default", name)
        async with asyncio.timeout(20):
            while pod is None or pod["metadata"]["name"] != name or not condition(pod):
                _, pod = await changes.next()
        return pod

    async def gone(self, name: str) -> None:
        """Wait for its removal from the store."""
        changes = self.store.subscribe("pods")
        async with asyncio.timeout(20):
            while self.store.get("pods", "default", name) is not None:
                await changes.next()

    async def said(self, reason: str) -> Json:
        """Wait for an event."""
        changes = self.store.subscribe("events")
        async with asyncio.timeout(20):
            while not (found := [one for one in self.store.list("events") if one["reason"] == reason]):
                await changes.next()
        return found[0]

    async def ran(self, name: str, *containers: Json, **spec: Any) -> Json:
        """A pod, when it has ended."""
        self.create(name, *containers, **spec)
        return await self.until(name, ended)

    async def output(self, name: str, *containers: Json, **spec: Any) -> str:
        """What the first container of a pod prints, which must succeed."""
        pod = await self.ran(name, *containers, **spec)
        assert pod["status"]["phase"] == "Succeeded", (pod["status"], self.text(pod))
        return self.text(pod)

    def text(self, pod: Json, container: str = "main", *, previous: bool = False) -> str:
        """A log without its stamps."""
        view = self.node.log(pod["metadata"]["uid"], container, previous=previous)
        assert view is not None
        return "".join(line[31:] for line in view.read(0, 1 << 20).decode().splitlines(keepends=True))


def ended(pod: Json) -> bool:
    return pod["status"].get("phase") in ("Succeeded", "Failed")


def running(pod: Json) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def main(script: str, **more: Any) -> Json:
    return {"name": "main", "image": "busybox:1", "command": ["sh", "-c", script], **more}


def state(pod: Json, name: str = "main") -> Json:
    status = pod["status"]
    every = [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]
    return next(one["state"] for one in every if one["name"] == name)


def commands(text: str) -> list[psutil.Process]:
    """Processes below ours whose command contains that."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with contextlib.suppress(psutil.Error):
            if text in " ".join(one.cmdline()):
                found.append(one)
    return found


def left_in(folder: Path) -> list[str]:
    return [one.name for one in folder.iterdir()]


def needs_mounts(lab: Lab) -> None:
    if not lab.node.isolated:
        pytest.skip("this machine gives containers no mounts of their own")
