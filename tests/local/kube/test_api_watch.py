"""Watches and lists of the embedded API server (traces k2_watch_semantics, k3_expired_continue_token)."""

from __future__ import annotations

import asyncio
import json
from typing import Any
from urllib.parse import quote

import aiohttp
import pytest

from tests.local.kube.conftest import Kube, MakeKube
from tests.support.traces import trace

PODS = "/api/v1/namespaces/default/pods"


async def watch(kube: Kube, query: str, *, path: str = PODS) -> list[dict[str, Any]]:
    """All lines of a watch with a ``timeoutSeconds``."""
    async with kube.open("GET", f"{path}?watch=true&{query}") as answer:
        return [json.loads(line) async for line in answer.content]


class Lines:
    """The lines of an open watch, one by one."""

    def __init__(self, answer: aiohttp.ClientResponse) -> None:
        self._answer = answer

    async def next(self) -> tuple[str, dict[str, Any]]:
        line = json.loads(await asyncio.wait_for(self._answer.content.readline(), 5))
        return line["type"], line["object"]


def shape(lines: list[dict[str, Any]]) -> list[tuple[str, str]]:
    return [(one["type"], one["object"]["metadata"].get("name", "")) for one in lines]


async def quiet(kube: Kube, *names: str, **labels: str) -> None:
    """Pods on which nothing happens: they have no node."""
    for name in names:
        kube.store.create(
            "pods",
            {
                "kind": "Pod",
                "apiVersion": "v1",
                "metadata": {"name": name, "namespace": "default", "labels": labels},
                "spec": {"containers": [{"name": "main", "image": "x"}]},
                "status": {"phase": "Succeeded"},
            },
        )


async def label(kube: Kube, name: str, **labels: str | None) -> dict[str, Any]:
    headers = {"Content-Type": "application/merge-patch+json"}
    status, pod = await kube.ask("PATCH", f"{PODS}/{name}", {"metadata": {"labels": labels}}, headers=headers)
    assert status == 200
    assert isinstance(pod, dict)
    return pod


async def test_without_a_version_the_present_comes_first(kube: Kube) -> None:
    await quiet(kube, "a", "b")
    for version in ("", "&resourceVersion=0"):
        assert shape(await watch(kube, f"timeoutSeconds=1{version}")) == [("ADDED", "a"), ("ADDED", "b")]


async def test_from_a_version_on_every_later_change_comes(kube: Kube) -> None:
    await quiet(kube, "a")
    version = kube.store.revision
    await label(kube, "a", x="y")
    await kube.ask("DELETE", f"{PODS}/a")
    lines = await watch(kube, f"resourceVersion={version}&timeoutSeconds=1")
    assert [one["type"] for one in lines] == ["MODIFIED", "MODIFIED", "DELETED"]
    assert lines[0]["object"]["metadata"]["resourceVersion"] == str(version + 1)


async def test_a_version_that_is_too_old_is_an_error_line_in_a_200(kube: Kube) -> None:
    await quiet(kube, "a")
    oldest = kube.store.compact()
    async with kube.open("GET", f"{PODS}?watch=true&resourceVersion=1") as answer:
        assert answer.status == 200
        lines = [json.loads(line) async for line in answer.content]
    recorded = next(json.loads(one["line"]) for one in trace("k2_watch_semantics") if "too old" in one.get("line", ""))
    assert lines == [
        {**recorded, "object": {**recorded["object"], "message": f"too old resource version: 1 ({oldest})"}}
    ]


async def test_a_version_of_the_future_is_silence(kube: Kube) -> None:
    version = kube.store.revision + 100
    task = asyncio.create_task(watch(kube, f"resourceVersion={version}&timeoutSeconds=1"), name="watch")
    await asyncio.sleep(0.2)
    await quiet(kube, "a")
    assert await task == []


@pytest.mark.parametrize("tag", ["sendInitialEvents without the match", "rv=abc", "timeoutSeconds=banana"])
async def test_wrong_options_are_refused_as_recorded(kube: Kube, tag: str) -> None:
    opened, line = (one for one in trace("k2_watch_semantics") if one.get("tag") == tag and one["kind"] != "watch-end")
    status, body = await kube.ask("GET", opened["path"].replace("rec4", "default"))
    assert status == opened["status"]
    assert body == json.loads(line["line"])


async def test_leaving_the_selector_is_a_deletion_and_coming_back_an_addition(kube: Kube) -> None:
    await quiet(kube, "a", rec="1")
    version = kube.store.revision
    left = await label(kube, "a", rec="2")
    await label(kube, "a", rec="3")
    await label(kube, "a", rec="1")
    lines = await watch(kube, f"labelSelector=rec%3D1&resourceVersion={version}&timeoutSeconds=1")
    assert [one["type"] for one in lines] == ["DELETED", "ADDED"]
    assert lines[0]["object"]["metadata"]["labels"] == {"rec": "1"}, "as it was before"
    assert lines[0]["object"]["metadata"]["resourceVersion"] == left["metadata"]["resourceVersion"]


async def test_the_same_name_again_has_another_uid(kube: Kube) -> None:
    await quiet(kube, "a")
    async with kube.open("GET", f"{PODS}?watch=true&fieldSelector=metadata.name%3Da") as answer:
        lines = Lines(answer)
        _, first = await lines.next()
        await kube.ask("DELETE", f"{PODS}/a")
        assert (await lines.next())[0] == "MODIFIED"
        assert (await lines.next())[0] == "DELETED"
        await quiet(kube, "b", "a")
        kind, second = await lines.next()
    assert kind == "ADDED"
    assert second["metadata"]["name"] == "a"
    assert second["metadata"]["uid"] != first["metadata"]["uid"]


async def test_bookmarks_come_at_their_interval_and_before_the_end(make_kube: MakeKube) -> None:
    kube = await make_kube(bookmark_interval=0.4)
    await quiet(kube, "a")
    lines = await watch(kube, f"allowWatchBookmarks=true&resourceVersion={kube.store.revision}&timeoutSeconds=1")
    assert lines == [], "no bookmark in the last two seconds of a watch"
    version = kube.store.revision
    task = asyncio.create_task(
        watch(kube, f"allowWatchBookmarks=true&resourceVersion={version}&timeoutSeconds=3"), name="watch"
    )
    await asyncio.sleep(0.1)
    for _ in range(3):
        kube.store.tick()
    lines = await task
    assert {one["type"] for one in lines} == {"BOOKMARK"}
    assert len(lines) == 3, "0.4, 0.8, and two seconds before the end"
    assert lines[0]["object"] == {
        "kind": "Pod",
        "apiVersion": "v1",
        "metadata": {"resourceVersion": str(version + 3)},
        "spec": {"containers": None},
        "status": {},
    }
    silent = await watch(kube, f"resourceVersion={version}&timeoutSeconds=1")
    assert silent == []


async def test_initial_events_end_with_a_bookmark(kube: Kube) -> None:
    await quiet(kube, "a")
    query = "allowWatchBookmarks=true&sendInitialEvents=true&resourceVersionMatch=NotOlderThan&timeoutSeconds=1"
    lines = await watch(kube, query)
    assert [one["type"] for one in lines] == ["ADDED", "BOOKMARK"]
    assert lines[1]["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}


async def test_a_pods_own_path_is_no_watch_but_the_old_one_is(kube: Kube) -> None:
    await quiet(kube, "a", "b")
    status, pod = await kube.ask("GET", f"{PODS}/a?watch=true&timeoutSeconds=1")
    assert (status, pod["kind"]) == (200, "Pod")
    lines = await watch(kube, "timeoutSeconds=1", path="/api/v1/watch/namespaces/default/pods/a")
    assert shape(lines) == [("ADDED", "a")]


async def test_a_watch_of_all_namespaces_sees_all(kube: Kube) -> None:
    await quiet(kube, "a")
    pod = {"metadata": {"name": "b"}, "spec": {"containers": [{"name": "m", "image": "x"}]}}
    await kube.ask("POST", "/api/v1/namespaces/airflow/pods", pod)
    lines = await watch(kube, "timeoutSeconds=1", path="/api/v1/pods")
    assert {one["object"]["metadata"]["namespace"] for one in lines} == {"default", "airflow"}


SELECTORS = {
    "a=1": "p q",
    "a==1,b": "q",
    "a!=1": "r s",
    "a in (1,2)": "p q r",
    "a notin (1)": "r s",
    "a": "p q r",
    "!a": "s",
    "a,!b": "p r",
    "b=": "q",
    "": "p q r s",
}


@pytest.mark.parametrize("selector", SELECTORS)
async def test_label_selectors(kube: Kube, selector: str) -> None:
    await quiet(kube, "p", a="1")
    await quiet(kube, "q", a="1", b="")
    await quiet(kube, "r", a="2")
    await quiet(kube, "s")
    _, found = await kube.ask("GET", f"{PODS}?labelSelector={quote(selector)}")
    assert " ".join(one["metadata"]["name"] for one in found["items"]) == SELECTORS[selector]


@pytest.mark.parametrize("selector", ["a=b=c(", "=1", "a in 1", "a in (1", "a,,b", "a ~ b"])
async def test_label_selectors_that_make_no_sense_are_refused(kube: Kube, selector: str) -> None:
    status, body = await kube.ask("GET", f"{PODS}?labelSelector={quote(selector)}")
    assert (status, body["reason"]) == (400, "BadRequest")


async def test_field_selectors(kube: Kube) -> None:
    await quiet(kube, "a", "b")
    for selector, names in {
        "metadata.name=a": ["a"],
        "metadata.name!=a": ["b"],
        "status.phase=Succeeded,metadata.namespace=default": ["a", "b"],
        "spec.nodeName=": ["a", "b"],
        "status.phase=Running": [],
    }.items():
        _, found = await kube.ask("GET", f"{PODS}?fieldSelector={quote(selector)}")
        assert [one["metadata"]["name"] for one in found["items"]] == names, selector


async def test_items_of_a_list_do_not_say_their_kind(kube: Kube) -> None:
    await quiet(kube, "a")
    _, found = await kube.ask("GET", PODS)
    assert found["kind"] == "PodList"
    assert not found["items"][0].keys() & {"kind", "apiVersion"}
    assert found["metadata"] == {"resourceVersion": str(kube.store.revision)}


async def test_pages_of_a_list_show_one_moment(kube: Kube) -> None:
    await quiet(kube, "a", "b", "c", "d")
    status, first = await kube.ask("GET", f"{PODS}?limit=2")
    assert first["metadata"]["remainingItemCount"] == 2
    kube.store.remove("pods", "default", "c")
    await quiet(kube, "e")
    await label(kube, "d", late="1")
    token = first["metadata"]["continue"]
    status, rest = await kube.ask("GET", f"{PODS}?limit=2&continue={token}")
    assert status == 200
    assert [one["metadata"]["name"] for one in rest["items"]] == ["c", "d"]
    assert rest["items"][1]["metadata"]["labels"] == {}
    assert rest["metadata"] == {"resourceVersion": first["metadata"]["resourceVersion"]}


async def test_pages_of_all_namespaces(kube: Kube) -> None:
    await quiet(kube, "a", "b", "c")
    names: list[str] = []
    token = ""
    while True:
        _, page = await kube.ask("GET", f"/api/v1/pods?limit=1&labelSelector=%21x&continue={token}")
        names += [one["metadata"]["name"] for one in page["items"]]
        assert "remainingItemCount" not in page["metadata"], "unknown with a selector"
        token = page["metadata"].get("continue", "")
        if not token:
            break
    assert names == ["a", "b", "c"]


async def test_an_expired_page_is_refused_and_offers_an_inconsistent_one(kube: Kube) -> None:
    await quiet(kube, "a", "b", "c")
    _, first = await kube.ask("GET", f"{PODS}?limit=1")
    kube.store.remove("pods", "default", "b")
    kube.store.compact()
    status, body = await kube.ask("GET", f"{PODS}?limit=1&continue={first['metadata']['continue']}")
    recorded = json.loads(trace("k3_expired_continue_token")[0]["body"])
    assert status == 410
    again = body["metadata"].pop("continue")
    recorded["metadata"].pop("continue")
    assert body == recorded
    _, rest = await kube.ask("GET", f"{PODS}?continue={again}")
    assert [one["metadata"]["name"] for one in rest["items"]] == ["c"]


async def test_lists_at_a_version_that_is_gone_or_not_there_yet(make_kube: MakeKube) -> None:
    kube = await make_kube(future_wait=0.05)
    await quiet(kube, "a")
    exact = f"{PODS}?resourceVersionMatch=Exact&resourceVersion"
    version = kube.store.revision
    await quiet(kube, "b")
    _, old = await kube.ask("GET", f"{exact}={version}")
    assert [one["metadata"]["name"] for one in old["items"]] == ["a"]
    kube.store.compact()
    recorded = [json.loads(one["body"]) for one in trace("k3_expired_continue_token")[1:4]]
    assert await kube.ask("GET", f"{exact}={version}") == (410, recorded[0])
    for answer, body in zip(
        [await kube.ask("GET", f"{exact}=99999999"), await kube.ask("GET", f"{PODS}?resourceVersion=99999999")],
        recorded[1:],
        strict=True,
    ):
        assert answer == (504, {**body, "message": body["message"].replace("2521", str(kube.store.revision))})


async def test_a_cut_watch_goes_on_from_where_it_was(kube: Kube) -> None:
    await quiet(kube, "a")
    async with kube.open("GET", f"{PODS}?watch=true") as answer:
        lines = Lines(answer)
        _, pod = await lines.next()
        assert kube.server.traffic.cut("watch pods", "reset") == 1
        with pytest.raises(aiohttp.ClientError):
            await lines._answer.content.readline()
    await label(kube, "a", x="y")
    version = pod["metadata"]["resourceVersion"]
    assert [one["type"] for one in await watch(kube, f"resourceVersion={version}&timeoutSeconds=1")] == ["MODIFIED"]


async def test_a_watch_that_is_cut_cleanly_ends(kube: Kube) -> None:
    async with kube.open("GET", f"{PODS}?watch=true") as answer:
        assert answer.status == 200
        kube.server.traffic.cut("watch *", "end")
        assert await answer.read() == b""


async def test_a_frozen_watch_says_nothing_until_it_is_thawed(make_kube: MakeKube) -> None:
    kube = await make_kube(bookmark_interval=0.1)
    async with kube.open("GET", f"{PODS}?watch=true&allowWatchBookmarks=true") as answer:
        lines = Lines(answer)
        assert (await lines.next())[0] == "BOOKMARK"
        kube.server.traffic.flowing.clear()
        await quiet(kube, "a")
        await asyncio.sleep(0.3)
        buffered = answer.content.total_bytes
        await asyncio.sleep(0.3)
        assert answer.content.total_bytes == buffered
        kube.server.traffic.flowing.set()
        while (line := await lines.next())[0] == "BOOKMARK":
            pass
        assert line[1]["metadata"]["name"] == "a"


async def test_a_client_that_is_gone_leaves_nothing_open(kube: Kube) -> None:
    async with kube.open("GET", f"{PODS}?watch=true") as answer:
        assert answer.status == 200
        assert kube.server.traffic.open["watch pods"] == 1
        answer.close()
    for _ in range(100):
        if not kube.server.traffic.open["watch pods"]:
            break
        await asyncio.sleep(0.02)
    assert kube.server.traffic.open["watch pods"] == 0
    assert not kube.server.traffic.streams
