"""The same against the embedded API server, which behaves as the recorded one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.local.kube.options import EmbeddedKubeOptions, Fault, Rule
from asyncrun.local.kube.scripted import ScriptedNode
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Store
from asyncrun.model.errors import AccessDenied, NotFound, RequestRefused, Throttled, Unavailable
from asyncrun.model.pod import read_pod
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import TARGET

SELECTOR = "asyncrun/deployment=d-1"


def manifest(name: str = "p", script: str = '{"lines": 3, "interval": 0.05, "start": 0.05}') -> dict[str, Any]:
    return {
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "labels": {"asyncrun/deployment": "d-1"},
                     "annotations": {"asyncrun.local/script": script}},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "main", "image": "busybox", "command": ["true"]}]},
    }  # fmt: skip


@pytest.fixture
async def embedded(no_leaked_tasks: None, connect: Connect) -> AsyncIterator[KubeServer]:
    async with KubeServer(Store(), ScriptedNode(), EmbeddedKubeOptions()) as server:
        connect(kube_config=kubeconfig(server.url, {"token": server.token}))
        yield server
        await close_all_kube()


@pytest.fixture
async def kube(embedded: KubeServer, settings: Settings) -> AsyncIterator[KubeAccess]:
    async with open_kube(TARGET, settings) as kube:
        yield kube


async def test_life_of_a_pod(kube: KubeAccess) -> None:
    pods = kube.pods("default")
    page = await pods.list(label_selector=SELECTOR, limit=200)
    assert page.pods == []
    made = await pods.create(manifest())
    phases = []
    async with pods.watch(
        label_selector=SELECTOR, resource_version=page.resource_version, seconds=60, silence=30
    ) as watch:
        while True:
            for line in await watch.lines():
                if line.type != "BOOKMARK":
                    assert line.uid == made.uid
                    phases.append(read_pod(line.object).status.phase)
            if phases[-1] == "Succeeded":
                break
    assert list(dict.fromkeys(phases)) == ["Pending", "Running", "Succeeded"]
    text = b""
    async with pods.log("p", "main", follow=True, silence=10) as log:
        while chunk := await log.chunk():
            text += chunk
    assert len(text.splitlines()) == 3
    assert (await pods.patch("p", {"metadata": {"labels": {"done": "yes"}}})).metadata.labels is not None
    assert (await pods.read("p"))["metadata"]["labels"]["done"] == "yes"
    assert (await pods.events("p", made.uid))[0].reason == "Scheduled"
    assert await pods.events("p", "another-uid") == []
    await pods.delete("p", uid="another-uid")
    assert (await pods.get("p")).uid == made.uid
    await pods.delete("p", uid=made.uid, grace_seconds=0)
    with pytest.raises(NotFound):
        await pods.get("p")
    await pods.delete("p", uid=made.uid)


async def test_refusals(kube: KubeAccess, embedded: KubeServer, connect: Connect) -> None:
    pods = kube.pods("default")
    await pods.create(manifest(script='{"start": 60}'))
    with pytest.raises(RequestRefused) as taken:
        await pods.create(manifest())
    assert taken.value.code == "AlreadyExists"
    with pytest.raises(RequestRefused) as invalid:
        await pods.create(manifest("K_INV"))
    assert invalid.value.code == "Invalid"
    with pytest.raises(RequestRefused, match="main"):
        async with pods.log("p", "main", follow=True, silence=5):
            pass
    with pytest.raises(NotFound):
        await kube.pods("no-such-ns").create(manifest())
    token = embedded.tokens.add([Rule(namespace="default", verbs=("get",), resources=("pods",))])
    connect(kube_config=kubeconfig(embedded.url, {"token": token}))
    await kube.renew()
    assert (await pods.get("p")).metadata.name == "p"
    for work in (pods.list(label_selector="", limit=1), pods.delete("p", uid="u"), pods.events("p", "u")):
        with pytest.raises(
            AccessDenied, match=r"must allow the verb '(list|delete)' on '(pods|events)' in a Role there"
        ):
            await work


async def test_revoked_token(kube: KubeAccess, embedded: KubeServer, connect: Connect) -> None:
    fresh = embedded.tokens.add(None)
    embedded.tokens.revoke(embedded.token)
    connect(kube_config=kubeconfig(embedded.url, {"token": fresh}))
    assert (await kube.pods("default").list(label_selector="", limit=1)).pods == []


async def test_server_that_goes_away_and_comes_back(kube: KubeAccess, embedded: KubeServer) -> None:
    pods = kube.pods("default")
    page = await pods.list(label_selector="", limit=1)
    async with pods.watch(label_selector="", resource_version=page.resource_version, seconds=60, silence=30) as watch:
        waiting = asyncio.create_task(watch.lines(), name="watching")
        await asyncio.sleep(0.1)
        embedded.refuse()
        with pytest.raises(Unavailable):
            await waiting
    with pytest.raises(Unavailable, match="did not answer"):
        await pods.list(label_selector="", limit=1)
    await embedded.accept()
    assert (await pods.list(label_selector="", limit=1)).pods == []


async def test_injected_faults(kube: KubeAccess, embedded: KubeServer) -> None:
    pods = kube.pods("default")
    embedded.faults.add(Fault(operation="list pods", status=429, retry_after=1, count=1))
    with pytest.raises(Throttled):
        await pods.list(label_selector="", limit=1)
    embedded.faults.add(Fault(operation="create pods", kind="drop_answer", count=1))
    with pytest.raises(Unavailable):
        await pods.create(manifest())
    assert (await pods.get("p")).metadata.name == "p"
