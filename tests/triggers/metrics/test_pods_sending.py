"""Metrics of pods as they leave a triggerer: real triggers, an embedded Kubernetes, Airflow's stats, a real StatsD."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest

from asyncrun.clients.config import load_settings
from asyncrun.local.kube import EmbeddedKube, EmbeddedKubeOptions, Rule
from asyncrun.model.refs import KubeTarget
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.metrics.reporter import reporter
from tests.support.kube_lab import KubeLab
from tests.support.triggers import call, start
from tests.triggers.conftest import TaskLogReader
from tests.triggers.metrics.conftest import HOST
from tests.triggers.metrics.statsd import StatsdServer

pytestmark = pytest.mark.usefixtures("every_second")


@pytest.fixture
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeLab]:
    with EmbeddedKube(EmbeddedKubeOptions(node="scripted")) as server:
        yield KubeLab(server, tmp_path_factory.mktemp("kube"))
        assert server.log_text() == ""


@pytest.fixture
def every_second(settings: pytest.MonkeyPatch, loop_closed: None) -> None:
    for name, value in {"METRICS_INTERVAL": "1", "KUBE_RATE": "1000", "POD_DELETE_DELAY": "0.2"}.items():
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name}", value)
    load_settings.cache_clear()


async def test_pods_show_in_the_metrics_of_their_triggerer(
    kube: KubeLab, task_log: TaskLogReader, statsd: StatsdServer
) -> None:
    refs = [await call(kube.create, {"lines": 30, "interval": 0.1, "exit_code": number}) for number in range(2)]
    watching = [start(kube.trigger(number, ref, end_in_triggerer=False)) for number, ref in enumerate(refs)]
    async with asyncio.timeout(20):
        while 2 not in statsd.values(f"logs.followed.{HOST}"):  # noqa: ASYNC110 - what left is what counts
            await asyncio.sleep(0.1)
    assert await call(kube.kube.control.cut, "watch pods") == 1
    await asyncio.gather(*watching)
    await reporter().finish()
    assert max(statsd.values(f"pods.watchers.{HOST}")) == 1
    assert max(statsd.values(f"pods.subscribers.{HOST}")) == max(statsd.values(f"pods.runs.{HOST}")) == 2
    assert sum(statsd.values("pods.lists")) == 1
    assert sum(statsd.values("pods.watches")) == 2
    assert sum(statsd.values("pods.cuts")) == sum(statsd.values("pods.faults")) == 1
    assert statsd.values("pods.ended.succeeded") == statsd.values("pods.ended.failed") == [1]
    assert [0 <= lag < 3000 for lag in statsd.values("pods.detection_lag")] == [True, True]
    assert statsd.values("ecs.ended.succeeded") == [], "a pod is no ECS task"
    assert sum(statsd.values("calls.kubernetes-logs")) == 2, "each log is followed"
    assert sum(statsd.values("calls.kubernetes-log-reads")) == 2, "and read once more at its end"
    assert statsd.values(f"pods.watchers.{HOST}")[-1] == statsd.values(f"logs.followed.{HOST}")[-1] == 0
    await finish_all()


async def test_pods_that_cannot_be_watched_show_as_polled(
    kube: KubeLab, task_log: TaskLogReader, statsd: StatsdServer
) -> None:
    rules = [Rule(verbs=("get",), resources=("pods", "pods/log"))]
    token = await call(kube.kube.control.add_token, rules, user="poor")
    target = KubeTarget(conn_id=None, config_file=str(await call(kube.kubeconfig, "poor", token)))
    ref = await call(kube.create, {"lines": 30, "interval": 0.1})
    watching = start(kube.trigger(1, ref, target=target, end_in_triggerer=False))
    async with asyncio.timeout(20):
        while 1 not in statsd.values(f"pods.polled.{HOST}"):  # noqa: ASYNC110 - what left is what counts
            await asyncio.sleep(0.1)
    assert sum(statsd.values("pods.gets")) >= 1
    await watching
    await finish_all()
