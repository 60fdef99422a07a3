"""Whatever is sent to the embedded API server: it answers, and never with a defect of its own."""

from __future__ import annotations

import asyncio
import copy
import json
import random
from typing import Any
from urllib.parse import quote

import pytest

from asyncrun.local.kube.scripted import Script, ScriptedNode
from tests.local.kube.conftest import Kube, MakeKube
from tests.local.kube.test_api_pods import PODS, recorded_creates

VALUES: list[Any] = [
    None,
    "",
    "x",
    "a" * 300,
    0,
    -1,
    1 << 70,
    1.5,
    True,
    [],
    {},
    [None],
    [{}],
    {"": ""},
    {"a": None},
    "é\0",
]
CONTENT_TYPES = [
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
    "application/json-patch+json",
    "application/apply-patch+yaml",
]


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    parts = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, one in parts for place in places(one, (*path, key)))]


def damaged(value: Any, chance: random.Random) -> Any:
    """The same with something else in one place."""
    place = chance.choice(places(value))
    new = chance.choice(VALUES)
    if not place:
        return new
    result = copy.deepcopy(value)
    parent = result
    for key in place[:-1]:
        parent = parent[key]
    if chance.random() < 0.2 and isinstance(parent, dict):
        parent[chance.choice(["nonsense", "$patch", "finalizers", "labels", "$setElementOrder/containers"])] = new
    else:
        parent[place[-1]] = new
    return result


@pytest.fixture
async def kube(make_kube: MakeKube) -> Kube:
    return await make_kube(
        ScriptedNode(Script(start=0, lines=2, interval=0.01)), namespaces=("default",), future_wait=0
    )


async def test_damaged_pods_and_patches_are_refused_or_taken(kube: Kube) -> None:
    chance = random.Random()
    seed = chance.randrange(1 << 30)
    chance.seed(seed)
    valid = [sent for _, sent, _ in recorded_creates()]
    await kube.create("target", labels={"a": "b"})
    for _ in range(200):
        pod = damaged(damaged(chance.choice(valid), chance), chance)
        status, answer = await kube.ask("POST", PODS, json.dumps(pod))
        assert status in {201, 400, 403, 404, 409, 422}, (seed, pod, answer)
        kind = chance.choice(CONTENT_TYPES)
        patch = damaged({"metadata": {"labels": {"x": "y"}}, "spec": {"containers": [{"name": "main"}]}}, chance)
        operations = damaged([{"op": "add", "path": "/metadata/labels/x", "value": "y"}], chance)
        body = json.dumps(operations if "json-patch" in kind else patch)
        status, answer = await kube.ask("PATCH", f"{PODS}/target", body, headers={"Content-Type": kind})
        assert status in {200, 400, 404, 409, 422}, (seed, kind, body, answer)
        options = damaged(
            {"preconditions": {"uid": "x"}, "gracePeriodSeconds": 1, "propagationPolicy": "Foreground"}, chance
        )
        name = chance.choice(kube.store.list("pods"))["metadata"]["name"]
        status, answer = await kube.ask("DELETE", f"{PODS}/{quote(name)}?dryRun=All", json.dumps(options))
        # 404: one that was being deleted is gone meanwhile.
        assert status in {200, 400, 404, 409}, (seed, options, answer)
        if name != "target":
            await kube.ask("DELETE", f"{PODS}/{quote(name)}", json.dumps(options))
    await asyncio.sleep(0.1)
    assert (await kube.ask("GET", PODS))[0] == 200


QUERIES = [
    "limit",
    "continue",
    "resourceVersion",
    "resourceVersionMatch",
    "labelSelector",
    "fieldSelector",
    "timeoutSeconds",
]
LOG_QUERIES = ["sinceTime", "sinceSeconds", "tailLines", "limitBytes", "previous", "timestamps", "container", "stream"]
TEXTS = [
    "",
    "0",
    "-1",
    "1",
    "x",
    "%00",
    "99999999999999999999",
    "Exact",
    "a%3Db",
    "a+in+(b",
    "%21",
    "2026-13-45T99:99:99Z",
    "%FF",
]


async def test_any_query_is_answered(kube: Kube) -> None:
    chance = random.Random()
    seed = chance.randrange(1 << 30)
    chance.seed(seed)
    await kube.create("a")
    await asyncio.sleep(0.1)
    for _ in range(300):
        names = chance.choice([QUERIES, LOG_QUERIES])
        query = "&".join(f"{chance.choice(names)}={chance.choice(TEXTS)}" for _ in range(3))
        path = f"{PODS}/a/log" if names is LOG_QUERIES else PODS
        status, answer = await kube.ask("GET", f"{path}?{query}")
        assert status in {200, 400, 410, 422, 504}, (seed, path, query, answer)
