"""A Kubernetes that refuses lists, watches or reads, under virtual time."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import (
    CredentialsExpired,
    NotFound,
    RemoteError,
    RequestRefused,
)
from asyncrun.triggers.watch.news import Remark, Trouble
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.memory_kube import uid_of
from tests.triggers.pods.refusing import FORBIDDEN, REFUSED, forbids, permits

pytestmark = pytest.mark.looptime


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
