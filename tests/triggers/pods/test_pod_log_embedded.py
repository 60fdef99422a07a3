"""Followed logs of real processes over HTTP: the embedded Kubernetes, and its connections cut twice a second."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import PodsApi
from asyncrun.local.kube import EmbeddedKube
from asyncrun.model.pod import Pod
from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.pods.source import PodLog
from asyncrun.triggers.logs.pods.whole import read_whole
from tests.triggers.logs.fakes import MemorySink

SCRIPT = "i=0; while [ $i -lt 150 ]; do echo line $i; i=$((i+1)); sleep 0.02; done"
MANIFEST = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "cut-logs"},
    "spec": {
        "restartPolicy": "Never",
        "containers": [{"name": "main", "image": "busybox", "command": ["sh", "-c", SCRIPT]}],
    },
}


@pytest.fixture(scope="module")
def kube() -> Iterator[EmbeddedKube]:
    with EmbeddedKube() as embedded:
        yield embedded
        assert embedded.log_text() == ""


@pytest.fixture
def target(kube: EmbeddedKube, tmp_path: Path) -> KubeTarget:
    return KubeTarget(conn_id=None, config_file=str(kube.write_kubeconfig(tmp_path / "config")))


async def _is_final(pods: PodsApi, name: str, log: PodLog) -> Pod:
    while True:
        pod = await pods.get(name)
        log.look(pod)
        if pod.is_final:
            return pod
        await asyncio.sleep(0.2)


@pytest.mark.parametrize("how", ["end", "reset"])
async def test_connections_that_are_cut_twice_a_second_lose_and_double_nothing(
    kube: EmbeddedKube, target: KubeTarget, how: Literal["end", "reset"]
) -> None:
    settings, sink = Settings(), MemorySink()
    said: list[tuple[str, str]] = []
    async with open_kube(target, settings) as access:
        pods = access.pods("default")
        manifest = {**MANIFEST, "metadata": {"name": f"cut-logs-{how}"}}
        made = await pods.create(manifest)
        ref = PodRef(namespace="default", name=made.metadata.name, uid=made.uid)
        run_log = emitter().open(sink, ["main"], settings)
        log = PodLog(pods, ref, ["main"], run_log, lambda level, text: said.append((level, text)), settings)
        await asyncio.to_thread(kube.control.cut, "follow pods/log", how=how, every=0.5)
        await _is_final(pods, ref.name, log)
        await asyncio.to_thread(kube.control.clear_faults)
        drained = await log.drain()
        assert await run_log.finish(10)
        whole = await read_whole(pods, ref, "main", limit=1 << 20, settings=settings)
        await log.close()
        run_log.close()
    await close_all_kube()
    lines = [f"line {number}" for number in range(150)]
    assert sink.lines == lines
    assert whole == lines
    assert drained.complete
    assert said == []
    requests = await asyncio.to_thread(kube.control.requests)
    follows = [one for one in requests if one.operation == "follow pods/log" and ref.name in one.path]
    # After a clean end, which is mostly the container's, the status is waited for.
    assert len(follows) >= (2 if how == "end" else 3)
