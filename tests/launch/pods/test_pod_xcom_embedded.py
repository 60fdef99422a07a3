"""XComs of pods whose containers run: from the file through the native sidecar, without ``pods/exec``."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import PodsApi
from asyncrun.launch.pod import PodLauncher
from asyncrun.launch.pod_finish import end_others, holds_up
from asyncrun.local.kube import EmbeddedKube
from asyncrun.model.pod import Pod
from asyncrun.model.pod_xcom import SIDECAR_NAME, HandedKind, XComInvalid, handed_over, value_of
from asyncrun.model.refs import KubeTarget
from asyncrun.model.settings import Settings
from asyncrun.spec.pod.labels import our_labels
from asyncrun.spec.pod_xcom import add_sidecar

IMAGE = "busybox:1.36"


@pytest.fixture(scope="module")
def kubeconfig(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with EmbeddedKube() as kube:
        yield str(kube.write_kubeconfig(tmp_path_factory.mktemp("kube") / "config"))


@pytest.fixture
async def pods(kubeconfig: str, no_leaked_tasks: None) -> AsyncIterator[PodsApi]:
    target = KubeTarget(conn_id=None, in_cluster=False, config_file=kubeconfig)
    async with open_kube(target, Settings(kube_rate=1000)) as access:
        yield access.pods("default")
    await close_all_kube()


def manifest(name: str, script: str, *others: dict[str, Any]) -> dict[str, Any]:
    base = {"name": "base", "image": IMAGE, "command": ["sh", "-c", script]}
    made = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": our_labels("prod", name)},
        "spec": {"restartPolicy": "Never", "containers": [base, *others], "terminationGracePeriodSeconds": 5},
    }
    return add_sidecar(made, image=IMAGE)


async def _until(pods: PodsApi, name: str, is_so: Callable[[Pod], object], *, seconds: float = 60) -> Pod:
    for _ in range(round(seconds * 10)):
        if is_so(pod := await pods.get(name)):
            return pod
        await asyncio.sleep(0.1)
    raise TimeoutError(f"pod {name} is not so after {seconds} s: {pod.status}")


async def _log(pods: PodsApi, name: str) -> list[str]:
    text = b""
    async with pods.log(name, SIDECAR_NAME, follow=False, silence=30) as stream:
        while chunk := await stream.chunk():
            text += chunk
    return [line.partition(" ")[2] for line in text.decode().splitlines()]


@pytest.mark.parametrize(
    ("name", "script", "kind", "value"),
    [
        ("small", """echo '{"rows": [1, "ä"]}' > /airflow/xcom/return.json""", HandedKind.INLINE, {"rows": [1, "ä"]}),
        ("none", "true", HandedKind.NOTHING, None),
        ("late", "sleep 1; echo 7 > /airflow/xcom/return.json; exit 3", HandedKind.INLINE, 7),
        (
            "large",
            """{ printf '"'; head -c 300000 /dev/zero | tr '\\0' x; printf '"'; } > /airflow/xcom/return.json""",
            HandedKind.IN_LOG,
            "x" * 300_000,
        ),
    ],
)
async def test_a_value_arrives(pods: PodsApi, name: str, script: str, kind: HandedKind, value: Any) -> None:
    await PodLauncher(pods).launch(manifest(name, script))
    pod = await _until(pods, name, lambda one: handed_over(one, "base"))
    handed = handed_over(pod, "base")
    assert handed is not None
    assert handed.kind is kind
    assert value_of(handed, container="base", lines=await _log(pods, name)) == value
    final = await _until(pods, name, lambda one: one.is_final)
    assert final.status.phase == ("Failed" if name == "late" else "Succeeded")  # the sidecar's end counts for nothing


async def test_a_value_that_is_no_json_is_told_with_its_place(pods: PodsApi) -> None:
    await PodLauncher(pods).launch(manifest("bad", "echo '{oops' > /airflow/xcom/return.json"))
    handed = handed_over(await _until(pods, "bad", lambda one: handed_over(one, "base")), "base")
    assert handed is not None
    with pytest.raises(XComInvalid, match=r"container 'base' .* at line 1, column 2$"):
        value_of(handed, container="base")


async def test_a_container_that_stays_is_ended_so_that_the_value_arrives(pods: PodsApi) -> None:
    proxy = {
        "name": "proxy",
        "image": IMAGE,
        "command": ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.2; done"],
    }
    placed = await PodLauncher(pods).launch(manifest("held", "echo 1 > /airflow/xcom/return.json", proxy))
    pod = await _until(pods, "held", lambda one: holds_up(one, "base"))
    assert holds_up(pod, "base") == ("proxy",)
    assert handed_over(pod, "base") is None
    said: list[str] = []
    assert await end_others(pods, placed.ref, say=said.append)
    handed = handed_over(await _until(pods, "held", lambda one: handed_over(one, "base"), seconds=15), "base")
    assert handed is not None
    assert value_of(handed, container="base") == 1
    assert said == []


def test_the_manifest_is_plain_json(tmp_path: Path) -> None:
    made = manifest("p", "true")
    assert json.loads(json.dumps(made)) == made
