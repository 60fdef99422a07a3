"""The reflector with the real client against the embedded API server, in real time."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions, Rule
from asyncrun.model.pod import Pod
from asyncrun.model.refs import KubeTarget, PodRef
from asyncrun.model.settings import Settings
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.subscribing_pods import subscribe_pod
from asyncrun.triggers.watch.news import Deleted, Remark, Seen
from asyncrun.triggers.watch.pods.reflector import ReflectorStatistics

SELECTOR = "asyncrun.test/deployment=d1"
SETTINGS = Settings(kube_rate=1000, pod_list_page=30, watcher_linger=0, pod_poll_interval=0.2)


@pytest.fixture(scope="module")
def kube() -> Iterator[EmbeddedKube]:
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted", bookmark_interval=0.3, heartbeat=0.2)) as kube:
        yield kube
        assert kube.log_text() == ""


class Cluster:
    def __init__(self, kube: EmbeddedKube, folder: Path) -> None:
        self.control, self._kube, self._folder = kube.control, kube, folder

    async def target(self, name: str = "admin", token: str = "") -> KubeTarget:
        path = self._folder / f"{name}.json"
        await asyncio.to_thread(self._kube.write_kubeconfig, path, token=token)
        return KubeTarget(conn_id=None, config_file=str(path))

    async def create(self, access: KubeAccess, name: str, **script: Any) -> PodRef:
        manifest = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {
                "name": name,
                "labels": {"asyncrun.test/deployment": "d1"},
                "annotations": {"asyncrun.local/script": json.dumps({"lines": 1, **script})},
            },
            "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "busybox"}]},
        }
        pod = await access.pods("default").create(manifest)
        return PodRef(namespace="default", name=name, uid=pod.uid, selector=SELECTOR)


@pytest.fixture
async def cluster(kube: EmbeddedKube, tmp_path: Path, no_leaked_tasks: None) -> AsyncIterator[Cluster]:
    yield Cluster(kube, tmp_path)
    await asyncio.to_thread(kube.control.clear_faults)
    await registry().close_all()
    await close_all_kube()


def statistics() -> ReflectorStatistics:
    (one,) = registry().statistics().values()
    assert isinstance(one.watcher, ReflectorStatistics)
    return one.watcher


async def last_phase(subscription: Subscription[Pod]) -> str:
    """The final phase, once it is told."""
    while not isinstance(news := await subscription.news(), Seen) or not news.state.is_final:
        assert not isinstance(news, Remark)
    return news.state.status.phase


async def test_cut_and_compacted_all_the_time_every_end_is_seen_by_one_watch_without_gets(cluster: Cluster) -> None:
    async with open_kube(await cluster.target(), SETTINGS) as access:
        refs = [await cluster.create(access, f"many-{number}", run=3, exit_code=number % 2) for number in range(80)]
        await asyncio.to_thread(cluster.control.cut, "watch pods", every=0.5)
        await asyncio.to_thread(cluster.control.compact, every=0.7)
        subscriptions = [subscribe_pod(access, ref, SETTINGS) for ref in refs]
        async with asyncio.timeout(40):
            phases = [await last_phase(one) for one in subscriptions]
        assert phases == ["Succeeded", "Failed"] * 40
        told = statistics()
        assert (told.gets, told.subscribed) == (0, 80)
        assert told.cuts > 1
        assert told.resource_version
        counts = await asyncio.to_thread(cluster.control.counts)
        assert counts.most_open["watch pods"] == 1
        for one in subscriptions:
            one.close()


async def test_a_deleted_pod_ends_with_its_last_state(cluster: Cluster) -> None:
    async with open_kube(await cluster.target(), SETTINGS) as access:
        ref = await cluster.create(access, "deleted", run=600)
        with subscribe_pod(access, ref, SETTINGS) as subscription:
            async with asyncio.timeout(20):
                while not isinstance(news := await subscription.news(), Seen) or news.state.status.phase != "Running":
                    pass
                await access.pods("default").delete("deleted", uid=ref.uid, grace_seconds=0)
                while not isinstance(news := await subscription.news(), Deleted):
                    assert isinstance(news, Seen)
        assert news.state.uid == ref.uid


async def test_with_get_alone_the_pod_is_polled_and_that_is_said(cluster: Cluster) -> None:
    rules = [Rule("default", ("get", "create"), ("pods",))]
    token = await asyncio.to_thread(cluster.control.add_token, rules, user="only-get")
    async with open_kube(await cluster.target("only-get", token), SETTINGS) as access:
        ref = await cluster.create(access, "polled", run=1, exit_code=3)
        with subscribe_pod(access, ref, SETTINGS) as subscription:
            heard = []
            async with asyncio.timeout(20):
                while not isinstance(news := await subscription.news(), Seen) or not news.state.is_final:
                    heard.append(news)
        (remark,) = [one for one in heard if isinstance(one, Remark)]
        assert remark.text.startswith("Pods of namespace default cannot be listed and watched, so the pod is asked for")
        assert "'only-get'" in remark.text
        assert statistics().forbidden


async def test_a_server_that_refuses_connections_for_a_while_fails_nothing(cluster: Cluster) -> None:
    async with open_kube(await cluster.target(), SETTINGS) as access:
        ref = await cluster.create(access, "away", run=2)
        with subscribe_pod(access, ref, SETTINGS) as subscription:
            async with asyncio.timeout(40):
                await subscription.news()
                await asyncio.to_thread(cluster.control.refuse, 4)
                assert await last_phase(subscription) == "Succeeded"
        assert statistics().faults > 1
