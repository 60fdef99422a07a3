"""Pollers of clusters and task definitions: other questions, the same rounds."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import NotFound, RequestRefused
from asyncrun.triggers.watch.ecs_clusters import EcsClusterPoller
from asyncrun.triggers.watch.ecs_definitions import EcsTaskDefinitionPoller
from asyncrun.triggers.watch.news import Broken, Seen
from tests.triggers.watch.conftest import Watch

pytestmark = pytest.mark.looptime

CLUSTER = "arn:aws:ecs:eu-west-1:123456789012:cluster/"


def statuses(watch: Watch, name: str) -> list[str]:
    return [one.state.status for one in watch.news(name) if isinstance(one, Seen)]


async def test_clusters_are_told_by_name_or_arn_and_a_missing_one_is_a_state(watch: Watch) -> None:
    watch.make = lambda: EcsClusterPoller(watch.api, watch.settings, watch.renewal)  # type: ignore[method-assign, assignment, arg-type, return-value]
    raw = {"clusterName": "a", "clusterArn": CLUSTER + "a", "status": "PROVISIONING"}
    watch.api.clusters = {"a": raw, CLUSTER + "a": raw}
    watch.follow("a", CLUSTER + "a", "b")
    await asyncio.sleep(3)
    watch.api.clusters["b"] = {"clusterName": "b", "clusterArn": CLUSTER + "b", "status": "ACTIVE"}
    raw["status"] = "INACTIVE"
    await asyncio.sleep(3)
    assert statuses(watch, "a") == statuses(watch, CLUSTER + "a") == ["PROVISIONING", "INACTIVE"]
    assert statuses(watch, "b") == ["MISSING", "ACTIVE"]
    assert len(watch.api.calls) == 6


async def test_a_broken_cluster_answer_hits_that_cluster_only(watch: Watch) -> None:
    watch.make = lambda: EcsClusterPoller(watch.api, watch.settings, watch.renewal)  # type: ignore[method-assign, assignment, arg-type, return-value]
    for name in "ab":
        watch.api.clusters[name] = {"clusterName": name, "clusterArn": CLUSTER + name, "status": "ACTIVE"}
    watch.api.clusters["a"]["status"] = None
    watch.follow("a", "b")
    await asyncio.sleep(5)
    assert watch.kinds("a") == ["Broken"]
    assert watch.kinds("b") == ["Seen"]


async def test_task_definitions_are_asked_one_by_one_and_seldom(watch: Watch) -> None:
    watch.make = lambda: EcsTaskDefinitionPoller(watch.api, watch.settings, watch.renewal)  # type: ignore[method-assign, assignment, arg-type, return-value]
    watch.api.definitions = {
        "good": {"taskDefinitionArn": "arn:good:1", "status": "ACTIVE"},
        "gone": NotFound("no such definition"),
        "odd": RequestRefused("Unable to describe it", code="InvalidParameterException"),
        "bad": {"taskDefinitionArn": "arn:bad:1", "status": 7},
    }
    watch.follow(*watch.api.definitions)
    await asyncio.sleep(25)
    watch.api.definitions["good"]["status"] = "INACTIVE"
    await asyncio.sleep(20)
    assert statuses(watch, "good") == ["ACTIVE", "INACTIVE"]
    assert statuses(watch, "gone") == ["MISSING"]
    assert watch.kinds("odd") == ["Trouble"]
    assert isinstance(watch.news("bad")[-1], Broken)
    assert watch.api.times_asked("good") == 5
    await asyncio.sleep(370)
    assert isinstance(watch.news("odd")[-1], Broken)
