"""Watches and logs: lines from any portions, their ends, their breaks, their silence."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from itertools import pairwise

import msgspec
import pytest
from aiohttp import web
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.clients import kube_streams
from asyncrun.clients.kube import close_all_kube, open_kube
from asyncrun.clients.kube_api import WatchLine
from asyncrun.clients.kube_streams import LineSplitter, watch_line
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import MalformedAnswer, RequestRefused, Unavailable
from asyncrun.model.pod import read_pod
from asyncrun.model.settings import Settings
from tests.clients.conftest import longest_step
from tests.clients.kube.conftest import Connect, kubeconfig
from tests.clients.kube.one_pod import TARGET
from tests.clients.kube.standin import ApiServer, pod, recorded
from tests.support.traces import names, watched

PODS = "GET /api/v1/namespaces/ns/pods"
LOG = "GET /api/v1/namespaces/ns/pods/p/log"
CALL = KubeCall("https://k8s", "watch", "pods", "ns")


@given(st.binary(max_size=200).map(lambda one: one.replace(b"x", b"\n")), st.lists(st.integers(0, 200)))
def test_any_portions_give_the_same_lines(text: bytes, cuts: list[int]) -> None:
    splitter = LineSplitter()
    edges = sorted({0, len(text), *(min(cut, len(text)) for cut in cuts)})
    lines = [line for start, end in pairwise(edges) for line in splitter.feed(text[start:end])]
    assert [*lines, splitter.rest()] == text.split(b"\n")
    assert splitter.unfinished == len(splitter.rest())


def test_long_line_in_many_portions_costs_as_much_as_its_length() -> None:
    splitter = LineSplitter()
    for _ in range(100_000):
        assert splitter.feed(b"0123456789") == []
    assert splitter.feed(b"\n") == [b"0123456789" * 100_000]


@pytest.mark.parametrize("name", [name for name in names() if watched(name)])
def test_recorded_watches_are_read(name: str) -> None:
    for line in watched(name):
        plain = json.loads(line)
        if "type" not in plain or plain["object"].get("kind") == "Table":
            continue
        read = watch_line(line.encode(), CALL)
        meta = plain["object"].get("metadata", {})
        assert (read.type, read.uid, read.resource_version) == (
            plain["type"], meta.get("uid", ""), meta.get("resourceVersion", "")
        )  # fmt: skip
        if read.uid:
            assert read_pod(read.object).uid == read.uid
        assert json.loads(bytes(read.object)) == plain["object"]


@pytest.mark.parametrize("line", [b"nonsense", b"[]", b'{"type":"ADDED"}', b'{"type":1,"object":{}}'])
def test_line_that_is_none_is_malformed(line: bytes) -> None:
    with pytest.raises(MalformedAnswer, match=r"^The answer of Kubernetes at https://k8s cannot be read"):
        watch_line(line, CALL)


def line_of(version: int, kind: str = "MODIFIED", filler: int = 0) -> bytes:
    whole = pod(version=str(version)) | {"filler": "x" * filler}
    return json.dumps({"type": kind, "object": whole}).encode() + b"\n"


Portions = list[bytes | None]


def streaming(portions: Portions, *, end: bool = True) -> Callable[[web.Request], object]:
    """An answer in portions; None breaks the connection."""

    async def answer(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.enable_chunked_encoding()
        await response.prepare(request)
        for portion in portions:
            if portion is None:
                assert request.transport is not None
                request.transport.abort()
                return response
            await response.write(portion)
            await asyncio.sleep(0.005)
        if not end:
            await asyncio.Event().wait()
        return response

    return answer


async def watched_lines(settings: Settings, silence: float = 10) -> list[list[WatchLine]]:
    found = []
    async with (
        open_kube(TARGET, settings) as kube,
        kube.pods("ns").watch(
            label_selector="a=b,c in (d, e)", resource_version="5", seconds=300, silence=silence
        ) as watch,
    ):
        while lines := await watch.lines():
            found.append(lines)
    return found


@pytest.fixture(autouse=True)
def connected(connect: Connect, request: pytest.FixtureRequest) -> None:
    if "server" in request.fixturenames:
        connect(kube_config=kubeconfig(request.getfixturevalue("server").url))


async def test_watch_hands_over_what_came_in_order_to_the_clean_end(server: ApiServer, settings: Settings) -> None:
    first, second, third = (line_of(n) for n in (1, 2, 3))
    server.answers[PODS] = streaming([first[:10], first[10:] + second + third[:1], b"", third[1:]])
    found = await watched_lines(settings)
    assert [[one.resource_version for one in lines] for lines in found] == [["1", "2"], ["3"]]
    assert server.seen[0].query == {
        "watch": "true", "allowWatchBookmarks": "true", "labelSelector": "a=b,c in (d, e)", "resourceVersion": "5",
        "timeoutSeconds": "300",
    }  # fmt: skip


@pytest.mark.parametrize("bad", [b'{"type": garbage\n', b'{"type":"ADDED","object":{"filler":"' + b"x" * 5000])
async def test_lines_before_one_that_cannot_be_read_are_handed_over(
    server: ApiServer, settings: Settings, monkeypatch: pytest.MonkeyPatch, bad: bytes
) -> None:
    monkeypatch.setattr(kube_streams, "LONGEST_LINE", 4000)
    server.answers[PODS] = streaming([line_of(1) + line_of(2) + bad, b"x" * 5000], end=False)
    async with (
        open_kube(TARGET, settings) as kube,
        kube.pods("ns").watch(label_selector="a=b", resource_version="5", seconds=300, silence=10) as watch,
    ):
        assert [one.resource_version for one in await watch.lines()] == ["1", "2"]
        with pytest.raises(MalformedAnswer, match="cannot be read when it was asked to watch pods"):
            await watch.lines()


async def test_lines_before_a_break_are_handed_over_and_then_it_is_an_outage(
    server: ApiServer, settings: Settings
) -> None:
    server.answers[PODS] = streaming([line_of(1), line_of(2)[:20], None])
    async with (
        open_kube(TARGET, settings) as kube,
        kube.pods("ns").watch(label_selector="", resource_version="5", seconds=300, silence=10) as watch,
    ):
        assert [one.resource_version for one in await watch.lines()] == ["1"]
        with pytest.raises(
            Unavailable, match=r"broke off its answer \(.+\) when it was asked to watch pods in namespace 'ns'"
        ):
            await watch.lines()


async def test_clean_end_within_a_line_is_an_outage_and_a_whole_line_without_its_end_counts(
    server: ApiServer, settings: Settings
) -> None:
    server.answers[PODS] = streaming([line_of(1) + line_of(2)[:30]])
    with pytest.raises(Unavailable, match="broke off within a line"):
        await watched_lines(settings)
    server.answers[PODS] = streaming([line_of(1).strip()])
    assert [[one.resource_version for one in lines] for lines in await watched_lines(settings)] == [["1"]]


async def test_silent_watch_is_an_outage(server: ApiServer, settings: Settings) -> None:
    server.answers[PODS] = streaming([line_of(1)], end=False)
    with pytest.raises(Unavailable, match="broke off its answer"):
        await watched_lines(settings, silence=0.2)


async def test_watch_that_is_not_even_begun_is_an_outage_after_the_silence(
    server: ApiServer, settings: Settings
) -> None:
    server.holds["/api/v1/namespaces/ns/pods"] = asyncio.Event()
    with pytest.raises(Unavailable, match="did not answer"):
        await watched_lines(settings, silence=0.2)


async def test_lines_of_a_mebibyte_and_many_at_once_keep_the_steps_of_the_loop_short(
    server: ApiServer, settings: Settings
) -> None:
    server.answers[PODS] = streaming([line_of(1, filler=2**20), b"".join(line_of(n, filler=2000) for n in range(2000))])
    await watched_lines(settings)
    async with longest_step() as gauge:
        found = await watched_lines(settings)
    assert sum(map(len, found)) == 2001
    assert max(map(len, found)) <= 500
    assert gauge.longest < 0.1


async def test_error_line_is_handed_over(server: ApiServer, settings: Settings) -> None:
    gone = next(line for line in watched("k2_watch_semantics") if '"ERROR"' in line)
    server.answers[PODS] = streaming([gone.encode() + b"\n"])
    ((line,),) = await watched_lines(settings)
    assert (line.type, line.uid, line.resource_version) == ("ERROR", "", "")
    assert msgspec.json.decode(line.object)["code"] == 410


async def test_page_for_people_in_place_of_a_watch_is_an_outage(server: ApiServer, settings: Settings) -> None:
    server.answers[PODS] = lambda _: web.Response(text="<html>log in</html>", content_type="text/html")
    with pytest.raises(Unavailable, match="but by something on the way, such as a proxy"):
        await watched_lines(settings)


async def test_log_is_handed_over_as_it_came(server: ApiServer, settings: Settings) -> None:
    text = b"2026-11-21T01:31:02.545630132Z \xff\x00tick\n2026-"
    server.answers[LOG] = streaming([text[:10], text[10:]])
    async with (
        open_kube(TARGET, settings) as kube,
        kube.pods("ns").log("p", "main", follow=True, silence=10, since="2026-11-21T01:31:02Z") as log,
    ):
        found = []
        while chunk := await log.chunk():
            found.append(chunk)
    assert b"".join(found) == text
    assert server.seen[0].query == {
        "container": "main", "timestamps": "true", "follow": "true", "sinceTime": "2026-11-21T01:31:02Z",
    }  # fmt: skip
    assert server.seen[0].headers["Accept"] == "*/*"  # text/plain would be answered by 406 (trace k)


async def test_log_without_content_ends_at_once(server: ApiServer, settings: Settings) -> None:
    server.answers[LOG] = lambda _: web.Response(status=204)
    async with open_kube(TARGET, settings) as kube, kube.pods("ns").log("p", "main", follow=False, silence=5) as log:
        assert await log.chunk() == b""
        assert await log.chunk() == b""


async def test_log_of_a_waiting_container_is_refused(server: ApiServer, settings: Settings) -> None:
    server.answers[LOG] = recorded("k_bad_requests", "waiting to start")
    async with open_kube(TARGET, settings) as kube:
        with pytest.raises(RequestRefused, match="waiting to start") as caught:
            async with kube.pods("ns").log("p", "main", follow=True, silence=5):
                pass
    assert caught.value.code == "BadRequest"


async def test_broken_and_silent_logs_are_outages(server: ApiServer, settings: Settings) -> None:
    for portions in ([b"x\n", None], [b"x\n"]):
        server.answers[LOG] = streaming(portions, end=False)
        async with (
            open_kube(TARGET, settings) as kube,
            kube.pods("ns").log("p", "main", follow=True, silence=0.3) as log,
        ):
            assert await log.chunk() == b"x\n"
            with pytest.raises(Unavailable, match="asked to get pods/log 'p' in namespace 'ns'"):
                await log.chunk()


async def test_many_follows_hold_up_no_call(server: ApiServer, settings: Settings) -> None:
    server.answers[LOG] = streaming([b"x\n"], end=False)
    server.answers["GET /api/v1/namespaces/ns/pods/p"] = (200, pod())

    async def follow(ready: asyncio.Barrier) -> None:
        async with kube.pods("ns").log("p", "main", follow=True, silence=60) as log:
            await log.chunk()
            await ready.wait()
            with pytest.raises(Unavailable, match="this way to Kubernetes was closed"):
                await log.chunk()

    async with open_kube(TARGET, settings) as kube:
        ready = asyncio.Barrier(151)
        follows = [asyncio.create_task(follow(ready), name=f"follow-{n}") for n in range(150)]
        await ready.wait()
        assert (await kube.pods("ns").get("p")).uid == "u-1"
        await close_all_kube()
        await asyncio.gather(*follows)
