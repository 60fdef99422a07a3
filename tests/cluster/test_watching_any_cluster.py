"""The triggerer's side on every cluster: the shared reflector, and kills; see ``test_any_cluster``."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import msgspec
import pytest
from airflow.jobs.triggerer_job_runner import TriggerRunner
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import KubeAccess
from asyncrun.launch.pod import PodLauncher
from asyncrun.model.pod import Pod
from asyncrun.model.pod_watch import PodWatch
from asyncrun.model.refs import RUN_XCOM_KEY, PodRef, RunRecord
from asyncrun.model.settings import Settings
from asyncrun.spec.pod.labels import our_labels, selector
from asyncrun.triggers.background import finish_all
from asyncrun.triggers.pod import PodTrigger
from asyncrun.triggers.registry import Subscription, registry
from asyncrun.triggers.watch.news import Deleted, Seen
from asyncrun.triggers.watch.pods.reflector import PodReflector, ReflectorStatistics
from asyncrun.triggers.watch.pods.tuning import PodTuning
from tests.cluster.conftest import Cluster, Runs
from tests.support.supervisor import Supervisor
from tests.support.triggers import call, event_of, until
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.timeout(900)

TI_ID = "0199b3f2-0000-7000-8000-000000000001"
SETTINGS = Settings(watcher_linger=0)
BRIEF = PodTuning(watch_seconds=1)
"""The API server ends each watch after one to two seconds."""


class Watched:
    """Pods of one deployment, which one reflector watches."""

    def __init__(self, cluster: Cluster, access: KubeAccess, deployment: str) -> None:
        self.cluster, self.deployment = cluster, deployment
        self._access, self._key = access, ("pods of the test", deployment)
        self.pods = access.pods(cluster.namespace)
        self.launcher = PodLauncher(self.pods)

    async def launch(self, name: str, script: str) -> PodRef:
        labels = our_labels(self.deployment, name)
        return (
            await self.launcher.launch(self.cluster.manifest(f"{self.deployment}-{name}", script, labels=labels))
        ).ref

    def subscribe(self, ref: PodRef) -> Subscription[Pod]:
        return registry().subscribe(self._key, f"{ref.name}/{ref.uid}", self._reflector, linger=0)

    def _reflector(self) -> PodReflector:
        return PodReflector(self._access, self.cluster.namespace, selector(self.deployment), SETTINGS, tuning=BRIEF)

    @property
    def statistics(self) -> ReflectorStatistics:
        (one,) = registry().statistics().values()
        assert isinstance(one.watcher, ReflectorStatistics)
        return one.watcher


@pytest.fixture
async def watched(cluster: Cluster, request: pytest.FixtureRequest, no_leaked_tasks: None) -> AsyncIterator[Watched]:
    async with open_kube(cluster.target, SETTINGS) as access:
        yield Watched(cluster, access, f"d{abs(hash(request.node.name)) % 10**8}")
        await registry().close_all()
    await close_all_kube()


async def phases_to_the_end(subscription: Subscription[Pod]) -> list[str]:
    """Each one once, the final one last."""
    found: list[str] = []
    while not found or found[-1] not in ("Succeeded", "Failed"):
        news = await subscription.news()
        assert isinstance(news, Seen), news
        if news.state.status.phase not in found:
            found.append(news.state.status.phase)
    return found


async def test_two_pods_share_a_watch_that_is_resumed_again_and_again(watched: Watched) -> None:
    refs = [await watched.launch("one", "sleep 8"), await watched.launch("two", "sleep 5; exit 3")]
    with watched.subscribe(refs[0]) as one, watched.subscribe(refs[1]) as two:
        async with asyncio.timeout(watched.cluster.seconds(60)):
            found = await asyncio.gather(phases_to_the_end(one), phases_to_the_end(two))
        assert [phases[-1] for phases in found] == ["Succeeded", "Failed"]
        told = watched.statistics
        assert (told.subscribed, told.lists, told.gets) == (2, 1, 0), told
        assert told.watches >= 3, told
        assert told.faults == 0, told
    for ref in refs:
        await watched.launcher.stop(ref)


async def test_a_pod_that_is_stopped_has_its_grace_and_another_of_its_name_is_left_alone(watched: Watched) -> None:
    script = "trap 'echo going; exit 7' TERM; echo up; sleep 600 & wait"
    ref = await watched.launch("stopped", script)
    await call(watched.cluster.until_it_says, ref.name, "up")
    await watched.launcher.stop(msgspec.structs.replace(ref, uid="00000000-0000-4000-8000-000000000000"))
    assert (await watched.pods.get(ref.name)).metadata.deletion_timestamp is None
    with watched.subscribe(ref) as subscription:
        await watched.launcher.stop(ref, grace_seconds=20)
        async with asyncio.timeout(watched.cluster.seconds(30)):
            while not isinstance(news := await subscription.news(), Deleted):
                assert isinstance(news, Seen), news
    (status,) = news.state.status.container_statuses
    assert status.state.terminated is not None
    assert status.state.terminated.exit_code == 7
    await watched.launcher.stop(ref)  # it is gone: no error


async def test_the_log_goes_on_over_a_containers_restart(
    cluster: Cluster, airflow: Supervisor, task_log: TaskLogReader
) -> None:
    """Of a pod that no operator makes: theirs, as upstream's, are never restarted."""
    script = "if [ -e /d/ran ]; then echo second; exit 0; fi; touch /d/ran; echo first; sleep 2; exit 4"
    manifest = cluster.manifest("restarts", script, labels=our_labels("", "restarts"))
    manifest["spec"] |= {"restartPolicy": "OnFailure", "volumes": [{"name": "d", "emptyDir": {}}]}
    manifest["spec"]["containers"][0]["volumeMounts"] = [{"name": "d", "mountPath": "/d"}]
    async with open_kube(cluster.target, SETTINGS) as access:
        ref = (await PodLauncher(access.pods(cluster.namespace)).launch(manifest)).ref
    now = time.time()
    watch = PodWatch(
        ref=ref, target=cluster.target, base="base", logs=("base",), end_in_triggerer=True, deferred_at=now,
        launched_at=now,
    )  # fmt: skip
    trigger = PodTrigger(watch.to_dict())
    trigger.trigger_id = TRIGGER_ID
    async with asyncio.timeout(cluster.seconds(60)):
        assert isinstance(await event_of(trigger), TaskSuccessEvent)
    assert task_log.lines("base") == ["first", "second"]
    await finish_all()


@pytest.mark.parametrize("state", ["failed", "deferred"])
async def test_a_trigger_that_is_cancelled_asks_airflow_and_deletes_the_pod_of_a_killed_task(
    cluster: Cluster, run: Runs, airflow: Supervisor, task_log: TaskLogReader, state: str
) -> None:
    """The task is marked as failed by a user, or only moves to another triggerer."""
    # A connection would be asked for from Airflow, which this event loop has to answer.
    config = {"kubernetes_conn_id": None, "config_file": str(cluster.config)}
    task = cluster.operator("echo up; sleep 600", deferrable=True, termination_grace_period=1, **config)
    watch = await call(run.deferred, task)
    killed = Killed(airflow, watch.to_dict(), watch.ref, state)
    await task_log.shows("base", "up")
    await killed.cancel_as_user()
    if state == "failed":
        await until(lambda: watch.ref.uid not in cluster.uids(), cluster.seconds(30))
    else:
        assert watch.ref.uid in await call(cluster.uids)
        (pod,) = await call(cluster.pods)
        assert pod.metadata.deletion_timestamp is None


class Killed:
    """A deferred task's trigger in Airflow's own trigger runner, and what Airflow's database says of the task."""

    def __init__(self, airflow: Supervisor, watch: dict[str, Any], ref: PodRef, state: str) -> None:
        trigger: Any = PodTrigger(watch)
        trigger.trigger_id = TRIGGER_ID
        trigger.task_instance = SimpleNamespace(
            id=TI_ID, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, context_carrier=None
        )
        airflow.xcoms["d", "r", "t", -1, RUN_XCOM_KEY] = RunRecord(ref=ref, ti_id=TI_ID).to_dict()
        airflow.states = {"r": {"t": state}}
        self._runner = TriggerRunner()
        self._task = asyncio.create_task(self._runner.run_trigger(TRIGGER_ID, trigger), name="trigger")
        self._runner.triggers[TRIGGER_ID] = {"task": self._task, "is_watcher": False, "name": "t", "events": 0}

    async def cancel_as_user(self) -> None:
        """What the runner does with triggers that are no longer in the database; again at each sync, after a second."""
        for _ in range(2):
            self._runner.to_cancel.append(TRIGGER_ID)
            await self._runner.cancel_triggers()
            await asyncio.wait([self._task], timeout=1.0)
        await asyncio.wait([self._task], timeout=30)
        assert self._task.done()
        await finish_all()
