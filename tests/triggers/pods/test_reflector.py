"""The pod reflector on the shared registry: one list, one watch, and what each subscriber hears of it."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import Unavailable
from asyncrun.triggers.watch.news import Deleted, Gone, Seen
from asyncrun.triggers.watch.pods.tuning import PodTuning
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.memory_kube import uid_of

pytestmark = pytest.mark.looptime


async def test_one_list_and_one_watch_serve_all_pods_and_none_is_asked_for(reflected: Reflected) -> None:
    uids = await reflected.healthy(500)
    reflected.kube.calls.clear()
    for number in range(500):
        reflected.pods.put(number, "Succeeded")
    await asyncio.sleep(1)
    assert all(reflected.phases(uid) == ["Running", "Succeeded"] for uid in uids)
    await asyncio.sleep(3600)
    assert reflected.kube.count("get") == reflected.kube.count("list") == 0
    assert reflected.kube.count("watch") < 3600 / 300 + 1
    assert all(reflected.kinds(uid) == ["Seen", "Seen"] for uid in uids)
    assert reflected.statistics.subscribed == 500
    assert reflected.statistics.lists == 1
    assert reflected.statistics.resource_version_age < 121


async def test_410_relists_and_keeps_subscribers(reflected: Reflected) -> None:
    """As an ERROR line in a 200, and as an HTTP status."""
    (uid,) = await reflected.healthy(1)
    for phase, as_status in (("Pending", False), ("Succeeded", True)):
        reflected.kube.status_410 = as_status
        reflected.kube.fault = lambda operation: Unavailable("down")
        reflected.kube.cut()
        await asyncio.sleep(2)
        reflected.pods.put(0, phase)
        reflected.kube.version += 1
        reflected.kube.compact()
        reflected.kube.fault = lambda operation: None
        await asyncio.sleep(6)
        assert reflected.phases(uid)[-1] == phase
    assert reflected.statistics.expired == 2
    assert reflected.statistics.lists == 3
    assert reflected.kinds(uid) == ["Seen"] * 3


async def test_after_a_cut_the_watch_goes_on_from_the_last_line_or_bookmark(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    reflected.kube.version += 500  # other objects change
    await asyncio.sleep(61)
    bookmarked = str(reflected.kube.version)
    reflected.kube.cut()
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(1)
    assert [what for _, operation, what in reflected.kube.calls if operation == "watch"][-1] == bookmarked
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert reflected.statistics.lists == 1
    assert reflected.statistics.cuts == 1


async def test_a_deletion_that_fell_into_a_gap_is_found_by_the_listing(reflected: Reflected) -> None:
    one, other = await reflected.healthy(2)
    reflected.kube.fault = lambda operation: Unavailable("down")
    reflected.kube.cut()
    await asyncio.sleep(1)
    reflected.pods.remove("p0")
    reflected.kube.compact()
    reflected.kube.fault = lambda operation: None
    await asyncio.sleep(6)
    assert reflected.kinds(one) == ["Seen", "Gone"]
    assert reflected.kinds(other) == ["Seen"]
    assert reflected.kube.count("get") == 1, "a call confirms it"


async def test_a_deleted_pods_last_state_is_not_lost(reflected: Reflected) -> None:
    uids = await reflected.healthy(2)
    reflected.pods.remove("p0", phase="Failed", reason="DeadlineExceeded")
    reflected.pods.remove("p1")  # by force
    await asyncio.sleep(1)
    last = [reflected.news(uid)[-1] for uid in uids]
    assert all(isinstance(one, Deleted) for one in last)
    assert [(one.state.status.phase, one.state.status.reason) for one in last] == [
        ("Failed", "DeadlineExceeded"),
        ("Running", None),
    ]
    assert reflected.kube.count("get") == 2


async def test_a_pod_that_lost_our_labels_is_polled_from_then_on_and_that_is_said_once(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    await reflected.pods.patch("p0", {"metadata": {"labels": {"asyncrun.test/deployment": None}}})
    await asyncio.sleep(1)
    assert reflected.statistics.polled == 1
    reflected.pods.put(0, "Succeeded", labels={})
    await asyncio.sleep(6)
    assert reflected.phases(uid)[-1] == "Succeeded"
    reflected.pods.remove("p0")
    await asyncio.sleep(10)
    assert reflected.kinds(uid) == ["Seen", "Seen", "Remark", "Seen", "Gone"]
    remark = next(news for news in reflected.news(uid) if type(news).__name__ == "Remark")
    assert remark.text == (
        "The pod does not carry the labels by which asyncrun watches pods (asyncrun.test/deployment=d1), so it is "
        "asked for every 5 s. Something has changed or removed them"
    )


async def test_a_pod_whose_labels_come_back_is_watched_again(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    reflected.pods.put(0, labels={})
    await asyncio.sleep(20)
    reflected.pods.put(0)
    await asyncio.sleep(6)
    reflected.kube.calls.clear()
    await asyncio.sleep(100)
    assert reflected.kube.count("get") == 0
    assert reflected.statistics.polled == 0
    assert "Deleted" not in reflected.kinds(uid)


async def test_an_answer_from_before_a_deletion_does_not_hide_the_deletion(reflected: Reflected) -> None:
    reflected.tuning = PodTuning(shelf_bytes=0)
    await reflected.healthy(1)
    uid = reflected.pods.put(1)
    await asyncio.sleep(1)
    reflected.kube.latency = 2.0
    reflected.follow(uid)
    await asyncio.sleep(2)  # the call is answered, and the answer is on its way
    assert reflected.kube.count("get") == 1
    reflected.pods.remove("p1", phase="Failed")
    await asyncio.sleep(6)
    assert reflected.kinds(uid) == ["Seen", "Deleted"]
    assert reflected.phases(uid)[-1] == "Failed"


async def test_an_answer_that_a_line_has_overtaken_is_no_news(reflected: Reflected) -> None:
    reflected.tuning = PodTuning(shelf_bytes=0)
    await reflected.healthy(1)
    uid = reflected.pods.put(1, "Pending")
    await asyncio.sleep(1)
    reflected.kube.latency = 2.0
    reflected.follow(uid)
    await asyncio.sleep(2)
    reflected.pods.put(1, "Succeeded")
    await asyncio.sleep(6)
    assert reflected.phases(uid) == ["Succeeded"]
    assert reflected.kube.count("get") == 1


async def test_a_last_state_that_was_not_the_last_one_is_not_told_as_such(reflected: Reflected) -> None:
    """It left the selector, nobody could confirm that, it came back, and was deleted when nobody looked."""
    (uid,) = await reflected.healthy(1)
    reflected.kube.fault = lambda operation: Unavailable("down") if operation == "get" else None
    reflected.pods.put(0, labels={})
    await asyncio.sleep(1)
    reflected.pods.put(0)
    await asyncio.sleep(1)
    reflected.kube.fault = lambda operation: Unavailable("down")
    reflected.kube.cut()
    reflected.pods.remove("p0")
    reflected.kube.compact()
    await asyncio.sleep(1)
    reflected.kube.fault = lambda operation: None
    await asyncio.sleep(10)
    assert reflected.kinds(uid)[-1] == "Gone"


async def test_old_lines_that_come_again_change_nothing_and_cost_nothing(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    shelved = reflected.pods.put(1, "Pending")
    reflected.pods.put(0, labels={})  # leaves the selector, which looks like a deletion, and comes back
    reflected.pods.put(0)
    reflected.pods.put(1, "Succeeded")
    await asyncio.sleep(6)
    reflected.kube.calls.clear()
    (watch,) = reflected.pods.watches
    for change in reflected.pods.history[:-1]:
        watch.tell(change)
        await asyncio.sleep(0.1)
    reflected.follow(shelved)
    await asyncio.sleep(1)
    assert reflected.kube.calls == []
    assert set(reflected.phases(uid)) == {"Running"}
    assert reflected.phases(shelved) == ["Succeeded"]


async def test_another_pod_under_the_same_name_is_nobodys_news(reflected: Reflected) -> None:
    """Deleted and created again: a new uid under the old name, in the same watch (k2_watch_semantics)."""
    (uid,) = await reflected.healthy(1)
    reflected.pods.remove("p0", phase="Failed")
    successor = reflected.pods.put(77, "Pending", name="p0")
    reflected.follow(successor, name="p0")
    reflected.pods.put(77, "Succeeded", name="p0")
    await asyncio.sleep(2)
    assert reflected.phases(uid)[-1] == "Failed"
    assert reflected.kinds(uid)[-1] == "Deleted"
    assert reflected.phases(successor)[-1] == "Succeeded"
    assert {news.state.uid for news in reflected.news(uid)} == {uid}
    assert {news.state.uid for news in reflected.news(successor)} == {successor}


async def test_a_pod_that_was_gone_before_anybody_subscribed_is_gone(reflected: Reflected) -> None:
    await reflected.healthy(1)
    reflected.pods.put(5, name="p4")
    reflected.follow(uid_of(3), uid_of(4))
    await asyncio.sleep(5)
    for uid in (uid_of(3), uid_of(4)):
        assert reflected.kinds(uid) == ["Gone"]
        assert isinstance(reflected.news(uid)[0], Gone)
    await asyncio.sleep(100)
    assert reflected.kube.count("get") == 4


async def test_pages_are_listed_to_the_end_and_begun_again_when_one_expires(reflected: Reflected) -> None:
    uids = [reflected.pods.put(number) for number in range(950)]
    reflected.kube.latency = 1.0
    reflected.follow(*uids[:10], *uids[-10:])
    await asyncio.sleep(2.2)
    reflected.kube.version += 1
    reflected.kube.compact()
    await asyncio.sleep(9)
    assert all(reflected.kinds(uid) == ["Seen"] for uid in (*uids[:10], *uids[-10:]))
    assert reflected.statistics.lists == 1
    assert reflected.statistics.expired == 1
    assert 7 <= reflected.kube.count("list") <= 8
    assert reflected.kube.count("get") == 0


async def test_a_watch_that_hangs_silently_is_replaced_and_nothing_is_missed(reflected: Reflected) -> None:
    (uid,) = await reflected.healthy(1)
    reflected.kube.silent = True
    await asyncio.sleep(30)
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(115)
    assert reflected.phases(uid) == ["Running"]
    await asyncio.sleep(10)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    assert reflected.statistics.silent == 1


async def test_a_history_that_went_back_does_not_blind_us(reflected: Reflected) -> None:
    """An etcd restored from a backup: a place in the future hangs for ever, and new states have lower versions."""
    (uid,) = await reflected.healthy(1)
    reflected.kube.version -= 500
    reflected.pods.history.clear()
    reflected.pods.put(0, "Succeeded")
    reflected.kube.cut()
    await asyncio.sleep(160)
    assert reflected.phases(uid) == ["Running", "Succeeded"]
    reflected.pods.remove("p0")
    await asyncio.sleep(1)
    assert reflected.kinds(uid)[-1] == "Deleted"


async def test_whoever_subscribes_again_has_the_state_at_once(reflected: Reflected) -> None:
    uid, other = await reflected.healthy(2)
    with reflected.subscribe(uid) as again:
        assert isinstance(again.latest, Seen)
    reflected.readers[0].cancel()
    await asyncio.sleep(1)
    reflected.pods.put(0, "Succeeded")
    await asyncio.sleep(1)
    with reflected.subscribe(uid) as again:
        assert isinstance(again.latest, Seen)
        assert again.latest.state.status.phase == "Succeeded"
    assert reflected.kube.count("get") == 0
    assert reflected.kinds(other) == ["Seen"]
