"""Nodes that do not answer about a pod's log, although the API server does: the end of a run does not wait for them."""

from __future__ import annotations

import asyncio
from functools import cache

import pytest

from asyncrun.clients.kube_faults import Refusal, fault
from asyncrun.clients.kube_wording import KubeCall
from asyncrun.model.errors import NotFound, RemoteError, Throttled, Unavailable
from asyncrun.triggers.logs.pods.nodes import is_of_node
from tests.support.traces import names, trace
from tests.triggers.pods.followed_run import Run
from tests.triggers.pods.log_lines import Cut, now
from tests.triggers.pods.log_server import LogServer

CALL = KubeCall("https://k8s", "get", "pods/log", "jobs", "etl")
NODE_GONE = (
    b'{"kind":"Status","status":"Failure","message":"nodes \\"n1\\" not found","reason":"NotFound",'
    b'"details":{"name":"n1","kind":"nodes"},"code":404}'
)


def recorded(name: str) -> list[RemoteError]:
    """What is made of a trace's refused logs."""
    refused = {one["id"]: one["status"] for one in trace(name) if one["kind"] == "log-open" and one["status"] >= 400}
    chunks = [one for one in trace(name) if one["kind"] == "log-chunk" and one["id"] in refused]
    found = [fault(Refusal(refused[one["id"]], one["text"].encode(), "", ""), CALL) for one in chunks]
    assert all(isinstance(one, RemoteError) for one in found)
    return [one for one in found if isinstance(one, RemoteError)]


@cache
def silent_node() -> RemoteError:
    (error,) = recorded("t_node_lost")
    return error


@pytest.mark.parametrize("name", [name for name in names() if name[0] in "rt" and recorded(name)])
def test_recorded_refusals_of_dead_nodes_are_told_from_the_api_servers(name: str) -> None:
    assert [is_of_node(error) for error in recorded(name)] == [True] * len(recorded(name))


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("no answer"),
        Unavailable("shutting down", code="ServiceUnavailable", said="apiserver is shutting down"),
        Unavailable("etcd", said="etcdserver: leader changed"),
        Throttled("busy", code="TooManyRequests", said="too many requests"),
        NotFound("gone", code="NotFound", said='pods "etl" not found'),
    ],
)
def test_others_are_not(error: RemoteError) -> None:
    assert not is_of_node(error)


@pytest.mark.looptime
async def test_a_dead_node_holds_the_end_of_a_final_pod_for_15_s_and_is_said() -> None:
    server = LogServer(refuse=lambda: silent_node() if now() > 3 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        server.write("b")
        await asyncio.sleep(60)
        server.finish("Failed")
        await asyncio.sleep(1)
        drained = await run.end()
    assert not drained.complete
    assert 10 < drained.waited < 25
    assert run.said == [
        (
            "info",
            "The log of this pod cannot be read now since its node does not answer; asyncrun goes on trying: "
            f"{silent_node()}",
        ),
        (
            "warning",
            f"The log of container main may be incomplete here: {drained.waited:.0f} s after the end its node still "
            "does not answer. The full log, while the pod is there: kubectl logs -n jobs etl -c main --timestamps",
        ),
    ]


@pytest.mark.looptime
async def test_a_dead_node_that_swallows_the_api_servers_dialling_is_not_waited_for_much_longer() -> None:
    server = LogServer(refuse=lambda: silent_node() if now() > 3 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1)
        server.open_lag = 30
        server.finish("Failed")
        await asyncio.sleep(2)
        drained = await run.end()
    assert not drained.complete
    assert drained.waited < 70


@pytest.mark.looptime
async def test_a_dead_node_holds_the_end_of_a_running_pod_for_the_usual_limit() -> None:
    server = LogServer("main", "proxy", refuse=lambda: silent_node() if now() > 3 else None, cut=lambda n: Cut(after=2))
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(10)
        server.end("main")
        await asyncio.sleep(1)
        drained = await run.end()
    assert not drained.complete
    assert 55 < drained.waited < 62


@pytest.mark.looptime
@pytest.mark.parametrize("open_lag", [0.01, 30.0])
async def test_a_node_that_is_known_to_be_lost_holds_it_for_15_s(open_lag: float) -> None:
    server = LogServer(refuse=lambda: silent_node() if now() > 3 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1)
        server.open_lag = open_lag
        await asyncio.sleep(40)
        server.lose_node()
        await asyncio.sleep(10)
        drained = await run.end()
    assert not drained.complete
    assert 10 < drained.waited < 20


@pytest.mark.looptime
async def test_a_kubelet_that_is_back_in_time_loses_nothing() -> None:
    server = LogServer(refuse=lambda: silent_node() if 3 < now() < 14 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        server.write("a")
        await asyncio.sleep(4)
        server.write("b")
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == ["a", "b"]


@pytest.mark.looptime
async def test_a_node_that_is_deleted_holds_the_end_for_some_seconds() -> None:
    error = fault(Refusal(404, NODE_GONE, "", ""), CALL)
    server = LogServer(refuse=lambda: error if now() > 3 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        server.write("b")
        await asyncio.sleep(5)
        server.finish("Failed")
        await asyncio.sleep(1)
        drained = await run.end()
    assert not drained.complete
    assert drained.waited < 15
    assert run.said == [
        ("warning", 'The log of container main may be incomplete: the API server says: nodes "n1" not found')
    ]
    assert server.gets == 0


@pytest.mark.looptime
async def test_a_clean_end_just_before_the_kubelet_is_away_is_not_believed() -> None:
    """It was the killed kubelet that ended the answer (trace r), and its log is gone when it is back."""

    def refuse() -> RemoteError | None:
        if len(server.opened) != 3:
            return None
        server.containers["main"][0].gone = True
        return silent_node()

    cuts = {0: Cut(after=2), 1: Cut(after_bytes=100, clean=True)}
    server = LogServer(cut=cuts.get, refuse=refuse)
    async with Run(server) as run:
        server.start()
        server.write("a" * 30)
        await asyncio.sleep(2)
        server.write("b")
        server.write("c")
        server.finish()
        await asyncio.sleep(1)
        assert not (await run.end()).complete
    assert run.said == [("warning", "The log of container main may be incomplete: the kubelet no longer has it")]


@pytest.mark.looptime
async def test_a_pod_that_becomes_final_after_its_kubelet_was_away_is_read_to_its_end() -> None:
    server = LogServer(
        "main", "proxy", refuse=lambda: silent_node() if 3 < now() < 32 else None, cut=lambda number: Cut(after=2)
    )
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(4)
        server.end("main")
        await asyncio.sleep(1)
        drain = asyncio.create_task(run.end())
        await asyncio.sleep(25)
        server.write("last", "proxy")
        server.finish()
        assert (await drain).complete
    assert run.lines == ["[proxy] last"]
