"""The sensors' triggers, against the embedded AWS: each way in which the waiting for a state can end."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from airflow.triggers.base import TriggerEvent

from asyncrun.clients.config import uploads_logs
from asyncrun.local.aws.options import Fault
from asyncrun.model.ecs_watch import EcsClusterWatch, EcsTaskDefinitionWatch, EcsTaskStateWatch
from asyncrun.model.errors import Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.triggers.ecs import EcsClusterTrigger, EcsTaskDefinitionTrigger, EcsTaskStateTrigger
from tests.support.lab import Lab, container
from tests.support.memory_aws import MemoryAws, at
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")

TARGET = AwsTarget(conn_id=None)
Payload = dict[str, Any]
NO_ARN = "arn:aws:ecs:us-east-1:123456789012:task/default/" + "0" * 32


@pytest.fixture
async def memory(loop_closed: None) -> AsyncIterator[MemoryAws]:
    made = MemoryAws(TARGET)
    yield made
    assert made.users == 0


def cluster(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsClusterTrigger:
    watch = EcsClusterWatch(
        target=TARGET, deferred_at=time.time(), cluster=name, desired=desired, failing=failing, **fields
    )
    return EcsClusterTrigger(watch.to_dict())


def definition(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsTaskDefinitionTrigger:
    watch = EcsTaskDefinitionWatch(
        target=TARGET, deferred_at=time.time(), name=name, desired=desired, failing=failing, **fields
    )
    return EcsTaskDefinitionTrigger(watch.to_dict())


def task(name: str, *desired: str, failing: tuple[str, ...] = (), **fields: Any) -> EcsTaskStateTrigger:
    watch = EcsTaskStateWatch(
        target=TARGET, deferred_at=time.time(), cluster="default", task=name, desired=desired, failing=failing, **fields
    )
    return EcsTaskStateTrigger(watch.to_dict())


async def payload(trigger: Any) -> Payload:
    trigger.trigger_id = TRIGGER_ID
    (event,) = [event async for event in trigger.run()]
    assert type(event) is TriggerEvent
    return dict(event.payload)


def ended(status: str, state: str, message: str = "") -> Payload:
    return {"version": 1, "status": status, "state": state, "message": message}


async def call(work: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    return await asyncio.to_thread(work, *arguments, **named)


async def running(lab: Lab, command: str = "sleep 60") -> str:
    arn = str(await call(lab.run, container(command)))
    await call(lab.wait, arn, "RUNNING")
    return arn


def short(arn: str) -> str:
    return arn.rsplit("/", 1)[1]


# -- clusters ----------------------------------------------------------------------------------------------------------


async def test_a_cluster_that_is_there(lab: Lab) -> None:
    arn = (await call(lab.ecs.describe_clusters, clusters=["default"]))["clusters"][0]["clusterArn"]
    assert await payload(cluster("default", "ACTIVE", failing=("FAILED", "INACTIVE"))) == ended("success", "ACTIVE")
    assert await payload(cluster(arn, "ACTIVE")) == ended("success", "ACTIVE")


async def test_a_cluster_that_comes_later(lab: Lab, task_log: TaskLogReader) -> None:
    waiting = asyncio.create_task(payload(cluster("later", "ACTIVE", failing=("FAILED",))), name="trigger")
    await task_log.shows("asyncrun", "The state is INACTIVE, waiting for ACTIVE")
    await call(lab.ecs.create_cluster, clusterName="later")
    assert await waiting == ended("success", "ACTIVE")
    await call(lab.ecs.delete_cluster, cluster="later")


async def test_a_cluster_in_a_failing_state(lab: Lab) -> None:
    assert await payload(cluster("default", "INACTIVE", failing=("ACTIVE",))) == ended("failed", "ACTIVE")
    began = time.time()
    end = await payload(cluster("nobody", "ACTIVE", failing=("INACTIVE",)))
    assert end == ended("failed", "INACTIVE", "AWS does not know it: check the name, the region and the account")
    assert time.time() - began > 1  # missing_grace is 1 s here


async def test_a_cluster_that_is_not_shown_yet_is_waited_for_although_inactive_fails(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    """As after CreateCluster, and as the sensor waits by default."""
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "30")
    waiting = asyncio.create_task(payload(cluster("young", "ACTIVE", failing=("FAILED", "INACTIVE"))), name="trigger")
    await task_log.shows("asyncrun", "AWS does not show it yet; the waiting goes on")
    await call(lab.ecs.create_cluster, clusterName="young")
    assert await waiting == ended("success", "ACTIVE")
    waiting = asyncio.create_task(payload(cluster("young", "NEVER", failing=("INACTIVE",))), name="trigger")
    await task_log.shows("asyncrun", "The state is ACTIVE, waiting for NEVER")
    await call(lab.ecs.delete_cluster, cluster="young")
    assert await waiting == ended("failed", "INACTIVE"), "that is what ECS says: no reason to wait"


async def test_a_deadline_within_the_grace_is_a_deadline(lab: Lab, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "30")
    began = time.time()
    end = await payload(cluster("nobody", "ACTIVE", failing=("INACTIVE",), deadline=began + 1))
    assert end == ended("timeout", "MISSING")
    assert 0.9 < time.time() - began < 5


@pytest.mark.looptime
async def test_an_outage_does_not_make_a_young_cluster_missing(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "10")
    memory.known = False
    at(0.5, lambda: setattr(memory, "fault", lambda operation: Unavailable("503")))
    at(100, lambda: setattr(memory, "known", True))
    at(100, lambda: setattr(memory, "fault", lambda operation: None))
    assert await payload(cluster("young", "ACTIVE", failing=("INACTIVE",))) == ended("success", "ACTIVE")


@pytest.mark.looptime
async def test_ends_are_paced_where_each_costs_an_upload(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
    settings.setenv("AIRFLOW__ASYNCRUN__ENDS_PER_SECOND", "2")
    uploads_logs.cache_clear()
    loop = asyncio.get_running_loop()

    async def ended_at() -> float:
        await payload(cluster("default", "ACTIVE"))
        return loop.time()

    try:
        times = sorted(await asyncio.gather(*(ended_at() for _ in range(6))))
    finally:
        uploads_logs.cache_clear()
    assert times[-1] - times[0] == pytest.approx(2.5, abs=0.1)


async def test_a_cluster_that_is_gone_is_inactive_for_whoever_waits_for_that(lab: Lab) -> None:
    assert await payload(cluster("nobody", "INACTIVE", failing=("ACTIVE",))) == ended("success", "INACTIVE")


async def test_a_state_that_never_comes_times_out_with_the_last_one_seen(lab: Lab, task_log: TaskLogReader) -> None:
    began = time.time()
    assert await payload(cluster("default", "INACTIVE", deadline=began + 1)) == ended("timeout", "ACTIVE")
    assert 0.9 < time.time() - began < 5
    assert task_log.said().count("The state is ACTIVE, waiting for INACTIVE") == 1


async def test_a_deadline_that_is_over_does_not_hide_a_state_that_is_there(lab: Lab) -> None:
    """Another sensor's poller knows the state already; and a triggerer may have been away past the deadline."""
    first = asyncio.create_task(payload(cluster("default", "INACTIVE", deadline=time.time() + 2)), name="first")
    await asyncio.sleep(1)
    assert await payload(cluster("default", "ACTIVE", deadline=time.time() - 5)) == ended("success", "ACTIVE")
    assert (await first)["status"] == "timeout"


# -- task definitions --------------------------------------------------------------------------------------------------


async def test_a_task_definition_by_family_revision_and_arn(lab: Lab) -> None:
    family = await call(lab.define, container("true"))
    arn = (await call(lab.ecs.describe_task_definition, taskDefinition=family))["taskDefinition"]["taskDefinitionArn"]
    for name in (family, f"{family}:1", arn):
        assert await payload(definition(name, "ACTIVE", failing=("INACTIVE",))) == ended("success", "ACTIVE")
    await call(lab.ecs.deregister_task_definition, taskDefinition=f"{family}:1")
    assert await payload(definition(arn, "ACTIVE", failing=("INACTIVE",))) == ended("failed", "INACTIVE")
    assert await payload(definition(arn, "INACTIVE")) == ended("success", "INACTIVE")


@pytest.mark.looptime
async def test_a_task_definition_that_is_not_shown_yet_is_waited_for(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__MISSING_GRACE", "60")
    memory.known = False
    at(15, lambda: setattr(memory, "known", True))
    assert await payload(definition("young:1", "ACTIVE", failing=("INACTIVE",))) == ended("success", "ACTIVE")


async def test_a_task_definition_that_nobody_knows(lab: Lab) -> None:
    for wanted in ("ACTIVE", "INACTIVE"):
        began = time.time()
        end = await payload(definition("nobody", wanted))
        assert time.time() - began > 1  # missing_grace is 1 s here
        assert (end["status"], end["state"]) == ("failed", "MISSING")
        assert end["message"] == "AWS does not know it: check the name, the region and the account"


# -- tasks -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("by", ["ARN", "short id"])
async def test_a_task_is_followed_through_its_states(lab: Lab, task_log: TaskLogReader, by: str) -> None:
    arn = await running(lab)
    name = arn if by == "ARN" else short(arn)
    assert await payload(task(name, "RUNNING", failing=("STOPPED",))) == ended("success", "RUNNING")
    waiting = asyncio.create_task(payload(task(name, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.ecs.stop_task, task=arn)
    assert await waiting == ended("success", "STOPPED")
    assert await payload(task(name, "RUNNING", failing=("STOPPED",))) == ended("failed", "STOPPED")


async def test_the_same_task_by_id_and_by_arn_at_once(lab: Lab) -> None:
    arn = await running(lab)
    both = await asyncio.gather(payload(task(arn, "STOPPED", deadline=time.time() + 3)),
                                payload(task(short(arn), "RUNNING")))  # fmt: skip
    assert list(both) == [ended("timeout", "RUNNING"), ended("success", "RUNNING")]
    await call(lab.ecs.stop_task, task=arn)


async def test_a_task_that_stays_missing_fails_after_the_grace(lab: Lab) -> None:
    began = time.time()
    assert await payload(task(NO_ARN, "RUNNING")) == ended("failed", "MISSING", "AWS does not know it")
    assert time.time() - began > 1


async def test_a_task_that_vanishes_while_it_is_waited_for(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await running(lab)
    waiting = asyncio.create_task(payload(task(arn, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.aws.control.vanish, arn)
    assert await waiting == ended("failed", "MISSING", "AWS does not know it")


# -- trouble -----------------------------------------------------------------------------------------------------------


async def test_an_api_that_is_away_is_said_once_and_so_is_its_return(lab: Lab, task_log: TaskLogReader) -> None:
    arn = await running(lab)
    waiting = asyncio.create_task(payload(task(arn, "STOPPED")), name="trigger")
    await task_log.shows("asyncrun", "The state is RUNNING, waiting for STOPPED")
    await call(lab.aws.control.refuse_all)
    async with asyncio.timeout(40):
        while "cannot be seen at the moment; the waiting goes on" not in task_log.said():  # noqa: ASYNC110
            await asyncio.sleep(0.1)
    await call(lab.aws.control.refuse_all, refuse=False)
    async with asyncio.timeout(40):
        while "The state can be seen again" not in task_log.said():  # noqa: ASYNC110 - the other side of a socket
            await asyncio.sleep(0.1)
    await call(lab.ecs.stop_task, task=arn)
    assert await waiting == ended("success", "STOPPED")
    assert task_log.said().count("cannot be seen at the moment") == 1
    assert task_log.said().count("can be seen again") == 1
    assert task_log.said().count("The state is RUNNING") == 1


@pytest.mark.parametrize("kind", ["throttle", "http_500", "reset", "malformed"])
async def test_single_refused_calls_are_nobodys_news(lab: Lab, task_log: TaskLogReader, kind: Any) -> None:
    await call(lab.aws.control.add_faults, Fault("DescribeClusters", kind, count=2))
    assert await payload(cluster("default", "ACTIVE")) == ended("success", "ACTIVE")
    assert task_log.said() == ""


@pytest.mark.parametrize(
    ("make", "action"),
    [
        (lambda: cluster("default", "ACTIVE"), "ecs:DescribeClusters"),
        (lambda: definition("jobs", "ACTIVE"), "ecs:DescribeTaskDefinition"),
        (lambda: task(NO_ARN, "RUNNING"), "ecs:DescribeTasks"),
    ],
    ids=["cluster", "definition", "task"],
)
async def test_denied_access_fails_after_the_grace_with_the_missing_action(
    lab: Lab, task_log: TaskLogReader, make: Callable[[], Any], action: str
) -> None:
    await call(lab.aws.control.set_policy, ["ecs:RunTask"])
    end = await payload(make())
    assert (end["status"], end["state"]) == ("failed", "")
    assert action in end["message"]
    assert task_log.said().count("cannot be seen at the moment; the waiting goes on") == 1
    assert action in task_log.said()


async def test_access_that_comes_back_within_the_grace_fails_nothing(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    await call(lab.aws.control.add_faults, Fault("DescribeClusters", "expired_token", count=3))
    assert await payload(cluster("default", "ACTIVE")) == ended("success", "ACTIVE")


async def test_the_event_waits_for_the_hold_and_no_longer(lab: Lab, settings: pytest.MonkeyPatch) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__RESUME_HOLD", "2")
    began = time.time()
    await payload(cluster("default", "ACTIVE"))
    assert 1.9 < time.time() - began < 6
    late = cluster("default", "ACTIVE")
    late.watch["deferred_at"] -= 10
    began = time.time()
    await payload(late)
    assert time.time() - began < 1.5


async def test_a_connection_that_cannot_be_resolved_is_waited_for(
    lab: Lab, task_log: TaskLogReader, settings: pytest.MonkeyPatch, monkeypatch: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "30")
    monkeypatch.delenv("AWS_DEFAULT_REGION")
    waiting = asyncio.create_task(payload(cluster("default", "ACTIVE")), name="trigger")
    async with asyncio.timeout(20):
        while "AWS cannot be asked yet; the waiting goes on. No AWS region is known" not in task_log.said():  # noqa: ASYNC110
            await asyncio.sleep(0.05)
    monkeypatch.setenv("AWS_DEFAULT_REGION", lab.aws.options.region)
    assert await waiting == ended("success", "ACTIVE")
