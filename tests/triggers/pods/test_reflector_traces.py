"""The recorded watches of a real Kubernetes, replayed with cuts and compactions in between."""

from __future__ import annotations

import asyncio
import json
import random
from typing import Any

import pytest

from asyncrun.model.pod import Pod
from asyncrun.triggers.watch.news import Deleted, Seen
from tests.support.traces import names, watched
from tests.triggers.pods.conftest import Reflected

pytestmark = pytest.mark.looptime


def pod_lines(name: str) -> list[dict[str, Any]]:
    """Each change of a pod once, in order: a trace may hold several watches of the same moments."""
    by_version: dict[int, dict[str, Any]] = {}
    for line in watched(name):
        told = json.loads(line)
        metadata = told.get("object", {}).get("metadata", {})
        if told.get("type") in ("ADDED", "MODIFIED", "DELETED") and metadata.get("uid"):
            by_version.setdefault(int(metadata["resourceVersion"]), told)
    return [by_version[version] for version in sorted(by_version)]


TRACES = [name for name in names() if len(pod_lines(name)) > 3]


def test_the_traces_are_there() -> None:
    assert len(TRACES) > 35
    assert {"g3_delete_force", "k2_watch_semantics", "w_many_at_once"} <= set(TRACES)


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("name", TRACES)
async def test_each_subscriber_of_a_recorded_watch_ends_with_its_last_line(
    reflected: Reflected, name: str, seed: int
) -> None:
    rng = random.Random(seed)
    reflected.selector, reflected.kube.version = "rec=1", 0
    last: dict[str, dict[str, Any]] = {}
    for told in pod_lines(name):
        metadata = told["object"]["metadata"]
        last[metadata["uid"]] = told
        reflected.pods.replay(json.dumps(told))
        if metadata["uid"] not in reflected.heard:
            reflected.heard[metadata["uid"]] = []
            reflected.follow(metadata["uid"], name=metadata["name"])
        if seed and rng.random() < 0.3:
            reflected.kube.cut()
        if seed and rng.random() < 0.1:
            reflected.kube.compact()
        await asyncio.sleep(0 if told["type"] == "DELETED" else rng.choice([0.0, 0.05, 1.0]))
    await asyncio.sleep(20)
    for uid, told in last.items():
        news, status = reflected.news(uid), told["object"]["status"]
        assert isinstance(news[-1], Seen) == (told["type"] != "DELETED")
        states: list[Pod] = [one.state for one in news if isinstance(one, Seen | Deleted)]
        versions = [int(state.metadata.resource_version) for state in states]
        assert versions == sorted(versions)
        if isinstance(news[-1], Seen | Deleted):  # not a deletion that fell into a gap
            assert versions[-1] == int(told["object"]["metadata"]["resourceVersion"])
            assert states[-1].status.phase == status["phase"]
            told_containers = status.get("containerStatuses", [])
            ends = [one["state"].get("terminated", {}).get("exitCode") for one in told_containers]
            seen = [one.state.terminated for one in states[-1].status.container_statuses or ()]
            assert [None if one is None else one.exit_code for one in seen] == ends
    assert seed or not any("Gone" in reflected.kinds(uid) for uid in last)


async def test_a_forced_deletion_tells_that_the_container_still_ran(reflected: Reflected) -> None:
    reflected.selector, reflected.kube.version = "rec=1", 0
    lines = pod_lines("g3_delete_force")
    uid = lines[0]["object"]["metadata"]["uid"]
    for told in lines:
        reflected.pods.replay(json.dumps(told))
        reflected.follow(*[] if uid in reflected.heard else [uid], name=told["object"]["metadata"]["name"])
        await asyncio.sleep(1)
    end = reflected.news(uid)[-1]
    assert isinstance(end, Deleted)
    (base,) = end.state.statuses()
    assert base.state.running is not None
    assert end.state.metadata.deletion_timestamp is not None


@pytest.mark.parametrize("name", ["s_apiserver_killed", "s2_apiserver_sigterm"])
async def test_the_410_that_followed_a_restart_of_the_api_server_leads_to_a_listing(
    reflected: Reflected, name: str
) -> None:
    """The ERROR line as it was recorded, and the last line before the server went, which the listing must renew."""
    (error,) = {line for line in watched(name) if json.loads(line)["type"] == "ERROR"}
    lines = pod_lines(name)
    reflected.selector, reflected.kube.version = "rec=1", 0
    for told in lines[:-1]:
        reflected.pods.replay(json.dumps(told))
    metadata = lines[-1]["object"]["metadata"]
    reflected.follow(metadata["uid"], name=metadata["name"])
    await asyncio.sleep(3)
    reflected.kube.silent = True
    reflected.pods.replay(json.dumps(lines[-1]))
    for watch in reflected.pods.watches:
        watch._ready.clear()
    reflected.kube.silent = False
    reflected.pods.replay(error)
    await asyncio.sleep(1)
    last = reflected.news(metadata["uid"])[-1]
    assert last.state.metadata.resource_version == metadata["resourceVersion"]
    assert (reflected.statistics.lists, reflected.statistics.expired) == (2, 1)
    assert reflected.kinds(metadata["uid"]) == ["Seen", "Seen"]
