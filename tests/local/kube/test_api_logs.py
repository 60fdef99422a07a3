"""Logs by the embedded API server."""

from __future__ import annotations

import asyncio
import json
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.local.kube.log_text import LogOptions, Shaper, start_of
from asyncrun.local.kube.scripted import ANNOTATION, Script, ScriptedNode
from asyncrun.local.kube.store import Store
from tests.local.kube.conftest import Kube, MakeKube, pod_manifest
from tests.local.kube.test_api_pods import PODS, settled


def script(**values: Any) -> dict[str, str]:
    return {ANNOTATION: json.dumps({"start": 0, "status_delay": 0, "final_delay": 0.05, **values})}


async def running(kube: Kube, name: str, **values: Any) -> None:
    await kube.create(name, annotations=script(**values))
    await settled(kube, name, "Running")


class Log:
    """A log of our own: a line every half second from 12:00:00 on, the last one without an end."""

    container_id = "containerd://abc"

    def __init__(self, texts: list[bytes]) -> None:
        start = datetime(2026, 11, 21, 12, tzinfo=UTC)
        self.lines = [
            f"{start + timedelta(seconds=at / 2):%Y-%m-%dT%H:%M:%S}.{at % 2 * 500_000_000:09d}Z ".encode() + text
            for at, text in enumerate(texts)
        ]
        self.data = b"\n".join(self.lines)

    def size(self) -> int:
        return len(self.data)

    def read(self, offset: int, size: int) -> bytes:
        assert offset >= 0  # a file could not be read there
        return self.data[offset : offset + size]

    async def grown(self, offset: int) -> bool:
        return False


def options(**query: str) -> LogOptions:
    return LogOptions.read(query, "a")


def read(log: Log, **query: str) -> bytes:
    asked = options(**query)
    return Shaper(asked).shape(log.read(start_of(log, asked), 1 << 24))


ODD = [b"first", b"", b"\xff\x00 odd", b"long " + b"x" * 150_000, b"fifth", b"last"]


def test_stamps_are_cut_off_unless_they_are_wanted() -> None:
    log = Log(ODD)
    assert read(log) == b"\n".join(ODD)
    assert read(log, timestamps="true") == b"\n".join(log.lines)


@pytest.mark.parametrize("lines", range(8))
def test_the_last_lines(lines: int) -> None:
    log = Log(ODD)
    expected = b"\n".join(ODD[max(0, len(ODD) - lines) :]) if lines else b""
    assert read(log, tailLines=str(lines)) == expected


@pytest.mark.parametrize(
    ("since", "first"),
    [
        ("11:59:59Z", 0),
        ("12:00:00Z", 0),
        ("12:00:00.900Z", 0),
        ("12:00:01Z", 2),
        ("12:00:02.5Z", 4),
        ("12:00:03Z", 6),
        ("13:00:01+01:00", 2),
    ],
)
def test_since_counts_whole_seconds(tmp_path: Path, since: str, first: int) -> None:
    """Trace l3_sincetime: the fraction is ignored."""
    log = Log(ODD)
    assert read(log, sinceTime=f"2026-11-21T{since}") == b"\n".join(ODD[first:])


@given(
    texts=st.lists(st.binary(max_size=40).map(lambda text: text.replace(b"\n", b" ")), min_size=1, max_size=30),
    second=st.integers(-1, 16),
    cuts=st.lists(st.integers(1, 50), min_size=1),
)
def test_any_piece_of_any_log_is_cut_alike(texts: list[bytes], second: int, cuts: list[int]) -> None:
    log = Log(texts)
    moment = datetime(2026, 11, 21, 12, tzinfo=UTC) + timedelta(seconds=second)
    asked = options(sinceTime=f"{moment:%Y-%m-%dT%H:%M:%SZ}")
    data = log.data[start_of(log, asked) :]
    shaper = Shaper(asked)
    shown = b""
    at = 0
    while at < len(data):
        size = cuts[at % len(cuts)]
        shown += shaper.shape(data[at : at + size])
        at += size
    assert shown == b"\n".join(texts[max(0, second * 2) :])


async def test_a_follow_gets_every_line_and_ends_with_the_container(kube: Kube) -> None:
    await running(kube, "a", lines=5, interval=0.1, text="hello")
    async with kube.open("GET", f"{PODS}/a/log?follow=true&timestamps=true") as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"] == "text/plain"
        lines = (await answer.read()).decode().splitlines()
    assert [one[31:] for one in lines] == ["hello"] * 5
    stamps = [one[:30] for one in lines]
    assert stamps == sorted(set(stamps))
    await settled(kube, "a", "Succeeded")
    assert (await kube.ask("GET", f"{PODS}/a/log?timestamps=true"))[1].splitlines() == lines


async def test_follow_of_anything_but_false_follows(kube: Kube) -> None:
    await running(kube, "a", lines=3, interval=0.1)
    _, text = await kube.ask("GET", f"{PODS}/a/log?follow=banana")
    assert len(text.splitlines()) == 3


@pytest.mark.parametrize("query", ["", "?follow=false", "?follow=False", "?follow=0"])
async def test_a_reader_without_follow_gets_what_is_there(kube: Kube, query: str) -> None:
    """Clients in Python write booleans as Python does."""
    await running(kube, "a", lines=100, interval=60)
    _, text = await kube.ask("GET", f"{PODS}/a/log{query}")
    assert len(text.splitlines()) == 1


async def test_limit_bytes_counts_what_is_shown(kube: Kube) -> None:
    await running(kube, "a", lines=3, burst=3, run=60, text="hello")
    assert await kube.ask("GET", f"{PODS}/a/log?limitBytes=8") == (200, "hello\nhe")
    _, stamped = await kube.ask("GET", f"{PODS}/a/log?limitBytes=33&timestamps=true")
    assert stamped[31:] == "he"
    assert await kube.ask("GET", f"{PODS}/a/log?limitBytes=8&follow=true") == (200, "hello\nhe")


async def test_an_unscheduled_pods_log_is_empty_with_204(kube: Kube) -> None:
    await kube.server.node.stop()
    await kube.create("a")
    assert await kube.ask("GET", f"{PODS}/a/log") == (204, "")


STATES: list[tuple[dict[str, Any] | None, str, str]] = [
    (None, "", 'container "main" in pod "a" is not available'),
    (
        {"waiting": {"reason": "ContainerCreating"}},
        "",
        'container "main" in pod "a" is waiting to start: ContainerCreating',
    ),
    (
        {"waiting": {"reason": "ErrImagePull"}},
        "",
        'container "main" in pod "a" is waiting to start: image can\'t be pulled',
    ),
    (
        {"waiting": {"reason": "ImagePullBackOff"}},
        "?follow=true",
        'container "main" in pod "a" is waiting to start: trying and failing to pull image',
    ),
    (
        {"waiting": {"reason": "CreateContainerConfigError"}},
        "",
        'container "main" in pod "a" is waiting to start: CreateContainerConfigError',
    ),
    ({"running": {}}, "?previous=true", 'previous terminated container "main" in pod "a" not found'),
    ({"terminated": {"exitCode": 137}}, "", 'container "main" in pod "a" is terminated'),
]


def put_state(store: Store, name: str, state: dict[str, Any] | None, **more: Any) -> None:
    """Write a container's status, as a kubelet would."""
    pod = store.get("pods", "default", name)
    assert pod is not None
    status = {} if state is None else {"containerStatuses": [{"name": "main", "state": state, "lastState": {}, **more}]}
    spec = {**pod["spec"], "nodeName": "n"}
    store.update("pods", {**pod, "spec": spec, "status": {**pod["status"], **status}})


@pytest.mark.parametrize(("state", "query", "message"), STATES)
async def test_a_container_without_a_log_is_a_bad_request(
    kube: Kube, state: dict[str, Any] | None, query: str, message: str
) -> None:
    await kube.server.node.stop()
    await kube.create("a")
    put_state(kube.store, "a", state)
    status, body = await kube.ask("GET", f"{PODS}/a/log{query}")
    assert (status, body["reason"], body["message"]) == (400, "BadRequest", message)


async def test_a_log_that_the_node_has_no_more_is_a_200_that_says_so(kube: Kube) -> None:
    await kube.server.node.stop()
    await kube.create("a")
    put_state(kube.store, "a", {"terminated": {"exitCode": 0, "containerID": "containerd://abc"}})
    for query in ("", "?follow=true&timestamps=true"):
        answer = await kube.ask("GET", f"{PODS}/a/log{query}")
        assert answer == (200, "unable to retrieve container logs for containerd://abc")


async def test_of_several_containers_one_must_be_named(kube: Kube) -> None:
    manifest = pod_manifest(
        "c-multi",
        annotations=script(run=60),
        containers=[{"name": "one", "image": "x"}, {"name": "two", "image": "x"}],
        initContainers=[{"name": "prep", "image": "x"}],
    )
    await kube.ask("POST", PODS, manifest)
    status, body = await kube.ask("GET", f"{PODS}/c-multi/log")
    message = "a container name must be specified for pod c-multi, choose one of: [prep one two]"
    assert (status, body["message"]) == (400, message)


async def test_a_kubelet_restart_ends_follows_cleanly_and_refuses_for_a_while(kube: Kube) -> None:
    """Traces r_kubelet_killed_under_follow and r2."""
    await running(kube, "a", lines=1000, interval=0.05)
    async with kube.open("GET", f"{PODS}/a/log?follow=true") as answer:
        await answer.content.readline()
        kube.server.verbs.kubelet.down(0.2, strange=1)
        assert kube.server.traffic.cut("follow *", "end") == 1
        await asyncio.wait_for(answer.read(), 2)
    status, body = await kube.ask("GET", f"{PODS}/a/log?follow=true")
    assert (status, body.get("reason")) == (500, None)
    assert "10250/containerLogs/default/a/main?follow=true" in body["message"]
    await asyncio.sleep(0.25)
    status, body = await kube.ask("GET", f"{PODS}/a/log")
    assert (status, body["message"]) == (404, "the server could not find the requested resource")
    assert (await kube.ask("GET", f"{PODS}/a/log"))[0] == 200


async def test_a_cut_follow_breaks_and_another_goes_on(make_kube: MakeKube) -> None:
    kube = await make_kube(ScriptedNode(Script(start=0, lines=40, interval=0.02, text="x", final_delay=0.05)))
    await kube.create("a")
    await settled(kube, "a", "Running")
    async with kube.open("GET", f"{PODS}/a/log?follow=true") as answer:
        await answer.content.readline()
        kube.server.traffic.cut("follow *", "reset")
        with pytest.raises(aiohttp.ClientError):
            await asyncio.wait_for(answer.read(), 2)
    _, text = await kube.ask("GET", f"{PODS}/a/log?follow=true")
    assert len(text.splitlines()) == 40


async def test_a_removed_pods_follow_still_gets_the_end(kube: Kube) -> None:
    """Trace g3_delete_force: the follow ends with the container, after the pod is gone."""
    await running(kube, "a", lines=1000, interval=0.05)
    async with kube.open("GET", f"{PODS}/a/log?follow=true") as answer:
        await answer.content.readline()
        await kube.ask("DELETE", f"{PODS}/a?gracePeriodSeconds=0")
        await asyncio.wait_for(answer.read(), 2)
    status, body = await kube.ask("GET", f"{PODS}/a/log")
    assert (status, body["message"]) == (404, 'pods "a" not found')
