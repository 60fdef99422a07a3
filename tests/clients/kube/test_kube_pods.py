"""Pods as the API server shows them: what is sent, what is read, what is left to the caller."""

from __future__ import annotations

import json
from typing import Any

import pytest
from aiohttp import web

from asyncrun.clients.kube import open_kube
from asyncrun.clients.kube_api import PodsApi
from asyncrun.clients.kube_pods import read_event
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    Expired,
    LaunchRefused,
    MalformedAnswer,
    NotFound,
    RequestRefused,
    Unavailable,
)
from asyncrun.model.settings import Settings
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import TARGET
from tests.clients.kube.standin import ApiServer, pod, recorded, status
from tests.support.traces import trace

ALL = "/api/v1/namespaces/ns/pods"
ONE = f"{ALL}/p"


@pytest.fixture(autouse=True)
def connected(connect: Connect, server: ApiServer) -> None:
    connect(kube_config=kubeconfig(server.url))


async def test_create_sends_the_manifest(server: ApiServer, settings: Settings) -> None:
    server.answers[f"POST {ALL}"] = (201, pod())
    async with open_kube(TARGET, settings) as kube:
        made = await kube.pods("ns").create({"metadata": {"name": "p"}, "spec": {}})
    assert (made.uid, made.metadata.name, made.metadata.resource_version) == ("u-1", "p", "7")
    (seen,) = server.seen
    assert seen.json == {"metadata": {"name": "p"}, "spec": {}}
    assert seen.headers["Content-Type"] == "application/json"
    assert seen.headers["User-Agent"].startswith("asyncrun/")
    assert seen.headers["Accept-Encoding"] == "identity"


@pytest.mark.parametrize(
    ("text", "kind"),
    [("already exists", RequestRefused), ("exceeded quota", LaunchRefused), ("cannot create resource", AccessDenied),
     ("Request entity too large", RequestRefused)],
)  # fmt: skip
async def test_create_that_is_refused(
    server: ApiServer, settings: Settings, text: str, kind: type[AsyncrunError]
) -> None:
    server.answers[f"POST {ALL}"] = recorded("k_bad_requests", text)
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(kind) as caught:
            await kube.pods("ns").create({})
    assert text in (getattr(caught.value, "said", "") or str(caught.value))
    assert server.count() == 1


async def test_get_and_read(server: ApiServer, settings: Settings) -> None:
    server.answers[f"GET {ONE}"] = (200, pod() | {"more": {"than": "we know"}})
    async with open_kube(TARGET, settings) as kube:
        pods: PodsApi = kube.pods("ns")
        assert (await pods.get("p")).status.phase == "Pending"
        assert (await pods.read("p"))["more"] == {"than": "we know"}
        with pytest.raises(NotFound, match='pods "gone" not found'):
            await pods.get("gone")
    assert pods.namespace == "ns"


@pytest.mark.parametrize("body", ["{", "[]", '{"metadata": {}}', '"text"'])
async def test_what_is_no_pod_is_malformed(server: ApiServer, settings: Settings, body: str) -> None:
    server.answers[f"GET {ONE}"] = (200, body)
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(MalformedAnswer):
            await kube.pods("ns").get("p")
        if body != '{"metadata": {}}':
            with pytest.raises(MalformedAnswer, match="when it was asked to get pods 'p' in namespace 'ns'"):
                await kube.pods("ns").read("p")


async def test_pages_and_redirects_of_something_on_the_way_say_nothing_about_a_pod(
    server: ApiServer, settings: Settings
) -> None:
    answers: list[Any] = [
        web.Response(status=code, text="<html>x</html>", content_type="text/html", headers={"Location": "/login"})
        for code in (200, 302, 404, 503)
    ]
    server.answers[f"GET {ONE}"] = lambda _: answers.pop(0)
    async with open_kube(TARGET, settings) as kube:
        while answers:
            with pytest.raises(Unavailable, match="but by something on the way"):
                await kube.pods("ns").get("p")
    assert server.count() == 4


async def test_list_in_pages_of_which_one_pod_cannot_be_read(server: ApiServer, settings: Settings) -> None:
    strange = pod("q", "u-2") | {"spec": {"containers": "none"}}
    server.answers[f"GET {ALL}"] = (200, {"metadata": {"resourceVersion": "9", "continue": "tok=1&2"},
                                          "items": [pod(), strange]})  # fmt: skip
    async with open_kube(TARGET, settings) as kube:
        page = await kube.pods("ns").list(label_selector="a in (b),c!=d", limit=200)
        assert [one.uid for one in page.pods] == ["u-1"]
        assert list(page.unreadable) == ["u-2"]
        assert "cannot be read" in str(page.unreadable["u-2"])
        assert (page.resource_version, page.next_page) == ("9", "tok=1&2")
        await kube.pods("ns").list(label_selector="", limit=2, next_page=page.next_page)
    assert server.seen[0].query == {"labelSelector": "a in (b),c!=d", "limit": "200"}
    assert server.seen[1].query == {"labelSelector": "", "limit": "2", "continue": "tok=1&2"}


async def test_list_of_recorded_pods(server: ApiServer, settings: Settings) -> None:
    body = next(one["body"] for one in trace("k_bad_requests") if one["kind"] == "request" and "PodList" in one["body"]
                and "remainingItemCount" in one["body"])  # fmt: skip
    server.answers[f"GET {ALL}"] = (200, body)
    async with open_kube(TARGET, settings) as kube:
        page = await kube.pods("ns").list(label_selector="", limit=1)
    assert [one.metadata.name for one in page.pods] == ["k-dup"]
    assert page.next_page == json.loads(body)["metadata"]["continue"]


async def test_expired_page(server: ApiServer, settings: Settings) -> None:
    server.answers[f"GET {ALL}"] = recorded("k3_expired_continue_token", "Expired")
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(Expired):
            await kube.pods("ns").list(label_selector="", limit=1, next_page="old")


async def test_patch_is_a_merge_patch(server: ApiServer, settings: Settings) -> None:
    server.answers[f"PATCH {ONE}"] = (200, pod(version="8"))
    async with open_kube(TARGET, settings) as kube:
        changed = await kube.pods("ns").patch("p", {"metadata": {"labels": {"a": None}}})
    assert changed.metadata.resource_version == "8"
    assert server.seen[0].json == {"metadata": {"labels": {"a": None}}}
    assert server.seen[0].headers["Content-Type"] == "application/merge-patch+json"


async def test_delete_names_the_uid_and_what_is_gone_or_another_one_is_no_error(
    server: ApiServer, settings: Settings
) -> None:
    server.answers[f"DELETE {ONE}"] = [
        (200, pod()),
        (404, status(404, "NotFound", 'pods "p" not found', "p")),
        recorded("g6_delete_foreground_preconditions", "UID in the precondition"),
        recorded("k_bad_requests", "has been modified"),
    ]
    async with open_kube(TARGET, settings) as kube:
        pods = kube.pods("ns")
        await pods.delete("p", uid="u-1", grace_seconds=0)
        await pods.delete("p", uid="u-1")
        await pods.delete("p", uid="u-1")
        with pytest.raises(RequestRefused, match="has been modified"):
            await pods.delete("p", uid="u-1")
    assert server.seen[0].json == {
        "apiVersion": "v1", "kind": "DeleteOptions", "preconditions": {"uid": "u-1"}, "gracePeriodSeconds": 0
    }  # fmt: skip
    assert "gracePeriodSeconds" not in server.seen[1].json


async def test_delete_that_a_missing_api_answers_is_not_taken_for_a_pod_that_is_gone(
    server: ApiServer, settings: Settings
) -> None:
    server.answers[f"DELETE {ONE}"] = recorded("k_bad_requests", "could not find the requested resource")
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(Unavailable):
            await kube.pods("ns").delete("p", uid="u-1")


async def test_events_of_a_pod_oldest_first(server: ApiServer, settings: Settings) -> None:
    body = next(
        one["body"]
        for one in reversed(trace("i_restart_onfailure"))
        if one["kind"] == "request" and "/events" in one["path"]
    )
    listed = json.loads(body)
    listed["items"].insert(1, {"metadata": {"uid": 5}})  # one that cannot be read is left out
    server.answers["GET /api/v1/namespaces/ns/events"] = (200, listed)
    async with open_kube(TARGET, settings) as kube:
        events = await kube.pods("ns").events("p", "u-1")
    assert events[0].reason == "Scheduled"
    assert events == sorted(events, key=lambda one: one.last_at or 0)
    assert {one.kind for one in events} == {"Normal", "Warning"}
    assert max(one.count for one in events) > 1
    assert all(one.first_at and one.last_at and one.uid and one.message for one in events)
    assert (
        server.seen[0].query["fieldSelector"] == "involvedObject.kind=Pod,involvedObject.name=p,involvedObject.uid=u-1"
    )


def test_recorded_events_of_every_trace_are_read() -> None:
    from tests.support.traces import names

    call = KubeCall("https://k8s", "list", "events", "ns")
    read = [
        read_event(json.dumps(item).encode(), call)
        for name in names()
        for one in trace(name)
        if one["kind"] == "request" and '"EventList"' in one["body"][:30]
        for item in json.loads(one["body"]).get("items") or ()
    ]
    assert len(read) > 100
    assert all(one.reason and one.last_at for one in read)


async def test_names_cannot_leave_their_place_in_the_path(server: ApiServer, settings: Settings) -> None:
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(NotFound):
            await kube.pods("n/s").get("../secrets?x")
    assert server.seen[0].query == {}
    assert server.seen[0].path == "/api/v1/namespaces/n/s/pods/../secrets?x"  # as decoded: each was one segment
