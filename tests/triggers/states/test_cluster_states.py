"""The cluster sensor's trigger, against the embedded AWS: clusters that are there, come later, fail or are gone."""

from __future__ import annotations

import asyncio
import time

import pytest

from asyncrun.model.errors import Unavailable
from tests.support.lab import Lab
from tests.support.memory_aws import MemoryAws, at
from tests.support.triggers import call
from tests.triggers.conftest import TaskLogReader
from tests.triggers.states.support import cluster, ended, payload

pytestmark = pytest.mark.usefixtures("settings", "loop_closed", "task_log")


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


async def test_a_cluster_that_is_gone_is_inactive_for_whoever_waits_for_that(lab: Lab) -> None:
    assert await payload(cluster("nobody", "INACTIVE", failing=("ACTIVE",))) == ended("success", "INACTIVE")
