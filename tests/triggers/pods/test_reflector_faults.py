"""A Kubernetes that does not answer, and pods that cannot be read, under virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from asyncrun.model.errors import (
    MalformedAnswer,
    RemoteError,
    Throttled,
)
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.refusing import REFUSED, forbids, permits

pytestmark = pytest.mark.looptime


# -- no answer ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [REFUSED, Throttled("429"), MalformedAnswer("<html>")])
async def test_five_minutes_of_refused_connections_fail_nothing_and_are_said_once(
    reflected: Reflected, error: RemoteError
) -> None:
    uids = await reflected.healthy(300)
    reflected.kube.calls.clear()
    forbids(reflected, "get", "list", "watch", error=error)
    reflected.kube.cut()
    await asyncio.sleep(300)
    assert all(reflected.kinds(uid) == ["Seen", "Trouble"] for uid in uids)
    assert not any(reflected.news(uid)[-1].fatal for uid in uids)
    assert len(reflected.kube.calls) < 150
    for number in range(300):
        reflected.pods.put(number, "Succeeded")
    permits(reflected)
    await asyncio.sleep(6)
    for uid in uids:
        assert reflected.phases(uid) == ["Running", "Succeeded"]
        assert sorted(reflected.kinds(uid)[2:]) == ["Recovered", "Seen"]


async def test_hundreds_of_polled_pods_do_not_hammer_a_cluster_that_is_away(reflected: Reflected) -> None:
    reflected.selector = ""
    uids = [reflected.pods.put(number) for number in range(300)]
    reflected.follow(*uids)
    await asyncio.sleep(30)
    forbids(reflected, "get", error=REFUSED)
    await asyncio.sleep(10)
    reflected.kube.calls.clear()
    await asyncio.sleep(300)
    assert all(reflected.kinds(uid) == ["Seen", "Trouble"] for uid in uids)
    assert 50 < reflected.kube.count("get") < 150
    permits(reflected)
    reflected.pods.put(299, "Succeeded")
    await asyncio.sleep(20)
    assert all("Recovered" in reflected.kinds(uid) for uid in uids)
    assert reflected.phases(uids[299])[-1] == "Succeeded"


async def test_a_cluster_that_is_away_when_the_first_pod_comes_is_said_and_waited_for(reflected: Reflected) -> None:
    uid = reflected.pods.put(0)
    forbids(reflected, "get", "list", "watch", error=REFUSED)
    reflected.follow(uid)
    await asyncio.sleep(300)
    assert reflected.kinds(uid) == ["Trouble"]
    late = reflected.pods.put(1)
    reflected.follow(late)
    await asyncio.sleep(60)
    assert reflected.kinds(late) == ["Trouble"]
    permits(reflected)
    await asyncio.sleep(6)
    assert reflected.kinds(uid)[-1] == reflected.kinds(late)[-1] == "Seen"


async def test_a_server_that_cuts_every_five_seconds_is_nobodys_news(reflected: Reflected) -> None:
    uids = await reflected.healthy(50)
    for turn in range(60):
        await asyncio.sleep(5)
        reflected.kube.cut()
        reflected.pods.put(turn % 50, "Running", message=f"turn {turn}")
        if turn % 7 == 0:
            reflected.kube.version += 1
            reflected.kube.compact()
    await asyncio.sleep(2)
    assert all("Trouble" not in reflected.kinds(uid) for uid in uids)
    assert [reflected.news(uid)[-1].state.status.message for uid in uids[:10]] == [
        f"turn {50 + one}" for one in range(10)
    ]
    assert reflected.kube.count("get") == 0


async def test_watches_that_end_at_once_again_and_again_do_not_blind_us(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    pods = reflected.pods
    reflected.kube.cut()

    async def saboteur() -> None:
        while True:
            await asyncio.sleep(0.01)
            reflected.kube.cut()

    sabotage = asyncio.create_task(saboteur())
    await asyncio.sleep(30)
    pods.put(0, "Succeeded")
    calls = len(reflected.kube.calls)
    await asyncio.sleep(60)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert len(reflected.kube.calls) - calls < 60
    sabotage.cancel()
    await asyncio.gather(sabotage, return_exceptions=True)


# -- one pod's data ----------------------------------------------------------------------------------------------------


async def test_an_unreadable_pod_breaks_that_pod_only_and_only_after_it_was_asked_for(reflected: Reflected) -> None:
    one, other = await reflected.healthy(2)
    reflected.pods.unreadable[one] = {"phase": 7}
    reflected.pods.put(0)
    await asyncio.sleep(5)
    assert reflected.kinds(one) == ["Seen"]
    await asyncio.sleep(60)
    assert reflected.kinds(one)[-1] == "Broken"
    assert str(reflected.news(one)[-1].error).endswith(". The pod may still be running.")
    assert reflected.kube.count("get") == 3
    reflected.pods.put(1, "Succeeded")
    await asyncio.sleep(1)
    assert reflected.phases(other) == ["Running", "Succeeded"]


async def test_a_pod_that_was_unreadable_for_a_moment_is_watched_on(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    reflected.pods.unreadable[uid] = {"phase": 7}
    reflected.pods.put(0)
    await asyncio.sleep(6)
    reflected.pods.unreadable.clear()
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(60)
    assert reflected.phases(uid)[-1] == "Succeeded"
    assert "Broken" not in reflected.kinds(uid)
    assert reflected.statistics.polled == 0


async def test_a_pod_that_a_listing_cannot_read_is_asked_for(reflected: Reflected) -> None:
    one, other = reflected.pods.put(0), reflected.pods.put(1)
    reflected.pods.unreadable[one] = {"phase": 7}
    reflected.follow(one, other)
    await asyncio.sleep(60)
    assert reflected.kinds(one)[-1] == "Broken"
    assert reflected.kinds(other) == ["Seen"]


async def test_a_gateways_page_instead_of_a_pod_breaks_no_pod(reflected: Reflected) -> None:
    reflected.selector = ""
    uids = [reflected.pods.put(number) for number in range(5)]
    reflected.follow(*uids)
    await asyncio.sleep(10)
    forbids(reflected, "get", error=MalformedAnswer("<html>"))
    await asyncio.sleep(120)
    assert all(reflected.kinds(uid) == ["Seen", "Trouble"] for uid in uids)
    permits(reflected)
    await asyncio.sleep(10)
    assert all(reflected.kinds(uid) == ["Seen", "Trouble", "Recovered"] for uid in uids)


# -- ourselves ---------------------------------------------------------------------------------------------------------


@pytest.mark.expects_defect
@pytest.mark.parametrize("operation", ["list", "watch", "get"])
async def test_a_crash_of_the_reflector_keeps_its_subscribers(reflected: Reflected, operation: str) -> None:
    uids = await reflected.healthy(20)
    bug: Any = ZeroDivisionError("a defect")
    forbids(reflected, operation, error=bug)
    reflected.pods.put(1, labels={})  # asked for by a call
    reflected.kube.cut()
    reflected.kube.compact()
    await asyncio.sleep(10)
    reflected.pods.put(0, "Succeeded")
    reflected.pods.remove("p2")
    permits(reflected)
    await asyncio.sleep(60)
    assert reflected.phases(uids[0]) == ["Running", "Succeeded"]
    assert reflected.kinds(uids[1]).count("Remark") == 1
    assert reflected.kinds(uids[2])[-1] in ("Gone", "Deleted")
    assert reflected.kinds(uids[3]) == ["Seen"]


async def test_a_watch_that_ends_with_another_error_goes_on_from_where_it_was(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    for watch in reflected.pods.watches:
        watch.say("ERROR", {"kind": "Status", "message": "etcd is away", "reason": "InternalError", "code": 500})
    await asyncio.sleep(0)
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(1)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert reflected.statistics.lists == 1


@pytest.mark.parametrize("status", ["{}", '{"code": "x"}', "[]", "7"])
async def test_an_error_line_that_says_nothing_is_survived(reflected: Reflected, status: str) -> None:
    (uid,) = await reflected.healthy(1)
    for watch in reflected.pods.watches:
        watch._ready.append(
            watch._pods.watch_line("ERROR", {}).__class__("ERROR", "", "", msgspec.Raw(status.encode()))
        )
        watch._wake.set()
    await asyncio.sleep(5)
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(1)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
