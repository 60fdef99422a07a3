"""The launcher over the wire: our client, the embedded API server, and what it answers as a real one does."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import PodsApi
from asyncrun.launch.pod import PodLauncher
from asyncrun.launch.pod_finish import Finished, OnFinish, finish, mark_checked
from asyncrun.launch.pod_reattach import look_for
from asyncrun.local.kube.options import EmbeddedKubeOptions, Fault
from asyncrun.local.kube.scripted import ScriptedNode
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Store
from asyncrun.model.errors import NotFound, OutOfCapacity, RequestRefused
from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.model.settings import Settings
from asyncrun.spec.pod.labels import our_labels, selector, task_labels, task_selector

TASK: dict[str, Any] = {"dag_id": "d", "task_id": "t", "run_id": "scheduled__2026-11-21T00:00:00+00:00"}
SELECTOR = f"{selector('prod')},{task_selector(**TASK, map_index=None, labels={})}"


def manifest(launch: str = "mine", name: str = "p") -> dict[str, Any]:
    labels = {**task_labels(**TASK, try_number=1), **our_labels("prod", launch)}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "busybox", "command": ["true"]}]},
    }


@pytest.fixture
async def server(no_leaked_tasks: None) -> AsyncIterator[KubeServer]:
    options = EmbeddedKubeOptions(quotas={"airflow": 1})
    async with KubeServer(Store(), ScriptedNode(), options) as server:
        yield server


@pytest.fixture
async def target(server: KubeServer, tmp_path: Path) -> AsyncIterator[KubeTarget]:
    path = tmp_path / "kubeconfig"
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {"server": server.url}}],
        "users": [{"name": "u", "user": {"token": server.token}}],
    }
    path.write_text(json.dumps(config))
    yield KubeTarget(conn_id=None, in_cluster=False, config_file=str(path))
    await close_all_kube()


@pytest.fixture
async def pods(target: KubeTarget) -> AsyncIterator[PodsApi]:
    async with open_kube(target, Settings(kube_rate=1000)) as access:
        yield access.pods("default")


@pytest.fixture
async def one_pod_at_most(target: KubeTarget) -> AsyncIterator[PodsApi]:
    async with open_kube(target, Settings(kube_rate=1000)) as access:
        yield access.pods("airflow")


async def test_a_launch_is_seen_by_its_selector(pods: PodsApi) -> None:
    placed = await PodLauncher(pods).launch(manifest())
    assert (placed.ref.selector, placed.is_new, placed.warning) == ("asyncrun/deployment=prod", True, "")
    page = await pods.list(label_selector=placed.ref.selector, limit=10)
    assert [one.uid for one in page.pods] == [placed.ref.uid]


async def test_a_launch_whose_answer_is_lost_makes_one_pod(server: KubeServer, pods: PodsApi) -> None:
    server.faults.add(Fault("create pods", "drop_answer", count=1))
    said: list[str] = []
    placed = await PodLauncher(pods, said.append).launch(manifest())
    assert not placed.is_new
    assert len((await pods.list(label_selector="", limit=10)).pods) == 1
    assert len(said) == 1


async def test_a_lost_launch_that_has_used_the_quota_up_itself_finds_its_pod(
    server: KubeServer, one_pod_at_most: PodsApi
) -> None:
    server.faults.add(Fault("create pods", "drop_answer", count=1))
    placed = await PodLauncher(one_pod_at_most).launch(manifest())
    assert not placed.is_new


async def test_a_full_quota_says_what_to_do(one_pod_at_most: PodsApi) -> None:
    await PodLauncher(one_pod_at_most).launch(manifest())
    with pytest.raises(OutOfCapacity) as caught:
        await PodLauncher(one_pod_at_most).launch(manifest("another", "q"))
    assert "exceeded quota: pods, requested: pods=1, used: pods=1, limited: pods=1" in str(caught.value)
    assert str(caught.value).endswith("fewer tasks be run at once (an Airflow pool); a retry may find room.")


async def test_a_namespace_that_is_not_there_is_said(target: KubeTarget) -> None:
    async with open_kube(target, Settings()) as access:
        with pytest.raises(NotFound) as caught:
            await PodLauncher(access.pods("nowhere")).launch(manifest())
    assert "namespaces \"nowhere\" not found. Create namespace 'nowhere', or correct the operator" in str(caught.value)


async def test_a_name_that_is_another_launchs_is_refused_and_the_pod_left_alone(pods: PodsApi) -> None:
    theirs = await PodLauncher(pods).launch(manifest("theirs"))
    launcher = PodLauncher(pods)
    with pytest.raises(RequestRefused, match=r"^There is a pod default/p already, launched for dag_id=d, task_id=t"):
        await launcher.launch(manifest())
    assert await launcher.take_back() is None
    assert (await pods.get("p")).uid == theirs.ref.uid


async def test_what_was_launched_is_found_by_its_task_until_it_is_marked_or_deleted(pods: PodsApi) -> None:
    launcher, said = PodLauncher(pods), list[str]()
    first = (await launcher.launch(manifest())).ref
    earlier = await look_for(pods, None, selector=SELECTOR, base="base")
    assert earlier.ref == first
    assert await mark_checked(pods, first, say=said.append) is Finished.MARKED
    assert await launcher.find_existing(SELECTOR) is None
    second = (await launcher.launch(manifest("next", "q"))).ref
    await launcher.stop(PodRef(namespace="default", name="q", uid=first.uid))
    found = await launcher.find_existing(SELECTOR)
    assert found is not None
    assert found.uid == second.uid
    action = OnFinish.DELETE_POD
    for _ in range(2):
        done = await finish(pods, second, action, phase="Running", base_succeeded=True, say=said.append)
        assert done is Finished.DELETED
    assert await launcher.find_existing(SELECTOR) is None
    assert said == []
