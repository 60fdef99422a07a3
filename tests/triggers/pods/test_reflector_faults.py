"""A Kubernetes that does not answer, or refuses, under virtual time."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.triggers.watch.news import Remark, Trouble
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.memory_kube import uid_of

pytestmark = pytest.mark.looptime

FORBIDDEN = AccessDenied("pods is forbidden: User cannot list", service="kubernetes", code="Forbidden")
REFUSED = Unavailable("connection refused", service="kubernetes")


def forbids(reflected: Reflected, *operations: str, error: RemoteError = FORBIDDEN) -> None:
    reflected.kube.fault = lambda operation: error if operation in operations else None


def permits(reflected: Reflected) -> None:
    reflected.kube.fault = lambda operation: None


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


# -- refused -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("operations", [("list", "watch"), ("watch",)])
async def test_a_forbidden_watch_falls_back_to_polling_said_once(
    reflected: Reflected, operations: tuple[str, ...]
) -> None:
    uid = reflected.pods.put(0)
    forbids(reflected, *operations)
    reflected.follow(uid)
    await asyncio.sleep(600)
    assert sorted(reflected.kinds(uid)) == ["Remark", "Seen"]
    remark = next(one for one in reflected.news(uid) if isinstance(one, Remark))
    assert remark.text == (
        "Pods of namespace jobs cannot be listed and watched, so the pod is asked for every 5 s, which sees changes "
        "later and costs far more requests. Allow the verbs list and watch on pods beside get. pods is forbidden: User "
        "cannot list"
    )
    assert 110 < reflected.kube.count("get") < 125
    assert reflected.kube.count(operations[-1]) <= 6
    assert reflected.kube.count("renew") == 1, "calls for single pods are answered: the credentials are good"
    reflected.pods.put(0, "Succeeded")
    late = reflected.pods.put(1)
    reflected.follow(late)
    await asyncio.sleep(6)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert sorted(reflected.kinds(late)) == ["Remark", "Seen"]
    assert reflected.statistics.forbidden
    assert reflected.statistics.polled == 2


async def test_once_watching_is_permitted_polling_ends(reflected: Reflected) -> None:
    uids = [reflected.pods.put(number) for number in range(20)]
    forbids(reflected, "list", "watch")
    reflected.follow(*uids)
    await asyncio.sleep(60)
    permits(reflected)
    await asyncio.sleep(200)
    reflected.kube.calls.clear()
    await asyncio.sleep(60)
    assert reflected.kube.count("get") == 0
    assert not reflected.statistics.forbidden
    reflected.pods.put(7, "Succeeded")
    await asyncio.sleep(0.1)
    assert reflected.phases(uid_of(7)) == ["Running", "Succeeded"]


async def test_a_pod_that_came_unlabelled_while_all_were_polled_is_polled_on(reflected: Reflected) -> None:
    reflected.follow(reflected.pods.put(0))
    forbids(reflected, "list", "watch")
    await asyncio.sleep(60)
    reflected.follow(reflected.pods.put(1, labels={}))
    permits(reflected)
    await asyncio.sleep(200)
    reflected.pods.put(1, "Succeeded", labels={})
    await asyncio.sleep(6)
    assert reflected.phases(uid_of(1)) == ["Running", "Succeeded"]
    assert reflected.statistics.polled == 1


async def test_without_a_selector_each_pod_is_polled_and_nothing_listed(reflected: Reflected) -> None:
    reflected.selector = ""
    uid = reflected.pods.put(0, labels={})
    reflected.follow(uid)
    await asyncio.sleep(60)
    reflected.pods.put(0, "Succeeded", labels={})
    await asyncio.sleep(6)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert {operation for _, operation, _ in reflected.kube.calls} == {"get"}
    reflected.pods.remove("p0")
    await asyncio.sleep(10)
    assert reflected.kinds(uid) == ["Seen", "Seen", "Gone"]
    calls = len(reflected.kube.calls)
    await asyncio.sleep(60)
    assert len(reflected.kube.calls) == calls


async def test_polling_many_pods_leaves_half_of_the_requests_to_others(reflected: Reflected) -> None:
    reflected.selector = ""
    reflected.follow(*[reflected.pods.put(number) for number in range(1000)])
    await asyncio.sleep(100)
    reflected.kube.calls.clear()
    await asyncio.sleep(200)
    assert 20 <= reflected.kube.count("get") / 200 <= 26


@pytest.mark.parametrize(
    "error", [FORBIDDEN, CredentialsExpired("401", code="Unauthorized"), RequestRefused("400", code="BadRequest")]
)
async def test_refused_access_is_renewed_first_and_fatal_after_the_grace(
    reflected: Reflected, error: RemoteError
) -> None:
    uids = await reflected.healthy(20)
    forbids(reflected, "get", "list", "watch", error=error)
    reflected.kube.cut()
    await asyncio.sleep(290)
    for uid in uids:
        assert reflected.kinds(uid) == ["Seen", "Trouble"]
        assert not reflected.news(uid)[-1].fatal
    await asyncio.sleep(60)
    for uid in uids:
        assert reflected.kinds(uid) == ["Seen", "Trouble", "Trouble"]
        assert reflected.news(uid)[-1].fatal
        assert reflected.news(uid)[-1].error is error
    assert 4 <= reflected.kube.count("renew") < 14


async def test_credentials_that_a_renewal_mends_are_nobodys_news(reflected: Reflected) -> None:
    uids = await reflected.healthy(20)

    def fault(operation: str) -> RemoteError | None:
        if operation == "renew":
            permits(reflected)
            return None
        return CredentialsExpired("401", code="Unauthorized")

    reflected.kube.fault = fault
    reflected.kube.cut()
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(2)
    assert reflected.phases(uids[0]) == ["Running", "Succeeded"]
    assert all(reflected.kinds(uid) == ["Seen"] for uid in uids[1:])
    assert reflected.kube.count("renew") == 1


async def test_access_that_comes_back_within_the_grace_fails_nothing(reflected: Reflected) -> None:
    uids = await reflected.healthy(20)
    forbids(reflected, "get", "list", "watch", "renew", error=CredentialsExpired("401", code="Unauthorized"))
    reflected.kube.cut()
    await asyncio.sleep(200)
    permits(reflected)
    reflected.pods.put(3, "Succeeded")
    await asyncio.sleep(70)
    for uid in uids:
        assert "Remark" not in reflected.kinds(uid)
        assert "Recovered" in reflected.kinds(uid)
        assert not any(one.fatal for one in reflected.news(uid) if isinstance(one, Trouble))
    assert reflected.phases(uid_of(3))[-1] == "Succeeded"
    assert not reflected.statistics.forbidden


async def test_when_calls_are_permitted_again_so_is_the_watch_and_nobody_hears_of_polling(reflected: Reflected) -> None:
    uids = await reflected.healthy(20)
    forbids(reflected, "get", "list", "watch")
    reflected.kube.cut()
    await asyncio.sleep(100)
    assert reflected.statistics.forbidden
    permits(reflected)
    await asyncio.sleep(10)
    assert not reflected.statistics.forbidden
    assert all("Remark" not in reflected.kinds(uid) for uid in uids)


async def test_a_deletion_that_cannot_be_confirmed_keeps_the_last_state(reflected: Reflected) -> None:
    one, other = await reflected.healthy(2)
    forbids(reflected, "get", error=REFUSED)
    reflected.pods.remove("p0", phase="Failed")
    for _ in range(20):  # that the watch is answered says nothing about the call
        await asyncio.sleep(3)
        reflected.kube.cut()
    assert reflected.phases(one) == ["Running", "Failed"]
    assert reflected.kinds(one) == ["Seen", "Seen", "Trouble"]
    assert reflected.kinds(other) == ["Seen"]
    permits(reflected)
    await asyncio.sleep(6)
    assert reflected.kinds(one)[-1] == "Deleted"


async def test_an_address_that_serves_no_kubernetes_any_more_is_fatal_after_the_grace(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    forbids(reflected, "get", "list", "watch", error=NotFound("404 page not found"))
    reflected.kube.cut()
    await asyncio.sleep(360)
    assert [one.fatal for one in reflected.news(uid) if isinstance(one, Trouble)] == [False, True]
    assert "Gone" not in reflected.kinds(uid)


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
