"""An embedded Kubernetes and the hands to work with it."""

from __future__ import annotations

import asyncio
import base64
import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from asyncrun.local.kube import EmbeddedKube
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.spec.pod.labels import our_labels, selector
from asyncrun.triggers.pod import PodTrigger

NAMESPACE = "airflow"
SCRIPT = "asyncrun.local/script"


@dataclass
class KubeLab:
    """A server, a kubeconfig for it, and what every test does with them."""

    kube: EmbeddedKube
    folder: Path
    config: Path = field(init=False)
    pods: int = 0

    def __post_init__(self) -> None:
        self.config = self.kubeconfig("admin")

    def kubeconfig(self, name: str, token: str = "") -> Path:
        """A file of that name; with that token, or the one that may do everything."""
        return self.kube.write_kubeconfig(self.folder / f"{name}.yaml", namespace=NAMESPACE, token=token)

    @property
    def target(self) -> KubeTarget:
        return KubeTarget(conn_id=None, config_file=str(self.config))

    def call(self, method: str, path: str, body: Any = None, **query: str) -> dict[str, Any]:
        """One request of the core API, by the one who may do everything."""
        answer = httpx.request(
            method, f"{self.kube.url}/api/v1{path}", json=body, params=query, timeout=20,
            headers={"Authorization": f"Bearer {self.kube.token}"},
        )  # fmt: skip
        answer.raise_for_status()
        return dict(answer.json())

    def create(self, script: dict[str, Any] | None = None, *, name: str = "", spec: Any = None, **more: Any) -> PodRef:
        """
        A pod with our labels.

        :param script: what the scripted node plays.
        :param spec: for the node that runs processes.
        """
        self.pods += 1
        metadata = {
            "name": name or f"pod-{self.pods}",
            "labels": our_labels("", f"{self.pods:024x}"),
            "annotations": {} if script is None else {SCRIPT: json.dumps(script)},
            **more,
        }
        spec = {"restartPolicy": "Never", "containers": [{"name": "base", "image": "busybox"}], **(spec or {})}
        made = self.call("POST", f"/namespaces/{NAMESPACE}/pods", {"metadata": metadata, "spec": spec})
        return PodRef(
            namespace=NAMESPACE, name=made["metadata"]["name"], uid=made["metadata"]["uid"], selector=selector("")
        )

    def exists(self, ref: PodRef) -> bool:
        """Whether that pod, and not another of its name, is there."""
        items = self.call("GET", f"/namespaces/{NAMESPACE}/pods")["items"]
        return any(one["metadata"]["uid"] == ref.uid for one in items)

    def delete(self, ref: PodRef, grace: int | None = None) -> None:
        query = {} if grace is None else {"gracePeriodSeconds": str(grace)}
        self.call("DELETE", f"/namespaces/{NAMESPACE}/pods/{ref.name}", **query)

    def trigger(self, number: int, ref: PodRef, **fields: Any) -> PodTrigger:
        """A trigger with an id of its own: the task log tells them apart by it."""
        now = time.time()
        given = {"base": "base", "logs": ("base",), "end_in_triggerer": True, **fields}
        watch = PodWatch(ref=ref, target=given.pop("target", self.target), deferred_at=now, launched_at=now, **given)
        made = PodTrigger(watch.to_dict())
        made.trigger_id = number
        return made

    def secret(self, name: str, **values: str) -> dict[str, Any]:
        data = {key: base64.b64encode(value.encode()).decode() for key, value in values.items()}
        return {"metadata": {"name": name, "namespace": NAMESPACE}, "type": "Opaque", "data": data}

    def config_map(self, name: str, **values: str) -> dict[str, Any]:
        return {"metadata": {"name": name, "namespace": NAMESPACE}, "data": values}

    def inline_event(self, watch: PodWatch) -> Any:
        """What the trigger of that watch reports, driven in this thread."""
        from asyncrun.operators.remote import wait_here

        return wait_here(PodTrigger(watch.to_dict()))

    def until(self, good: Callable[[], Any], seconds: float = 20) -> None:
        """Until another process has come so far."""
        give_up_at = time.monotonic() + seconds
        while not good():
            assert time.monotonic() < give_up_at, "it did not come so far"
            time.sleep(0.05)

    async def gone(self, ref: PodRef) -> None:
        """Until that pod is no more."""
        async with asyncio.timeout(20):
            while await asyncio.to_thread(self.exists, ref):  # noqa: ASYNC110 - another process
                await asyncio.sleep(0.05)
