"""Whoever subscribes has the pod's state at once, without a call for each, and in bounded memory."""

from __future__ import annotations

import asyncio
import itertools

import pytest

from asyncrun.model.pod import read_pod
from asyncrun.triggers.watch.pods.shelf import Shelf, Shelved
from asyncrun.triggers.watch.pods.tuning import PodTuning
from tests.triggers.pods.conftest import Reflected
from tests.triggers.pods.memory_kube import uid_of


def pod(number: int, phase: str = "Running") -> Shelved:
    return Shelved(read_pod(b'{"metadata":{"name":"p","uid":"%d"},"status":{"phase":"%s"}}' % (number, phase.encode())))


@pytest.mark.looptime
async def test_a_thousand_runs_deferred_within_ten_seconds_cost_one_listing_and_no_gets(reflected: Reflected) -> None:
    for number in range(1000):
        reflected.pods.put(number, "Pending")
        if number >= 200:  # a trigger starts a second or two after its pod
            reflected.follow(uid_of(number - 200))
        await asyncio.sleep(0.01)
    reflected.follow(*[uid_of(number) for number in range(800, 1000)])
    await asyncio.sleep(0.2)
    assert all(reflected.phases(uid_of(number)) == ["Pending"] for number in range(1000))
    assert reflected.kube.count("get") == 0
    assert reflected.statistics.lists == 1
    assert reflected.statistics.watches == 1


@pytest.mark.looptime
async def test_after_a_restart_a_thousand_subscribe_to_what_one_listing_showed(reflected: Reflected) -> None:
    uids = [reflected.pods.put(number) for number in range(1000)]
    for start in range(0, 1000, 10):
        reflected.follow(*uids[start : start + 10])
        await asyncio.sleep(0.02)
    await asyncio.sleep(1)
    assert all(reflected.kinds(uid) == ["Seen"] for uid in uids)
    assert reflected.kube.count("list") == 5
    assert reflected.kube.count("get") == 0
    assert reflected.statistics.shelved == 0


@pytest.mark.looptime
async def test_beyond_the_bound_newcomers_are_asked_for_and_all_are_served(reflected: Reflected) -> None:
    reflected.tuning = PodTuning(shelf_bytes=100_000)
    uids = [reflected.pods.put(number) for number in range(1000)]
    await reflected.healthy(1)
    assert reflected.statistics.shelved_bytes <= 100_000
    reflected.follow(*uids[1:])
    await asyncio.sleep(10)
    assert all(reflected.kinds(uid) == ["Seen"] for uid in uids)
    assert 900 < reflected.kube.count("get") < 1000
    reflected.kube.calls.clear()
    reflected.pods.put(999, "Succeeded")
    await asyncio.sleep(60)
    assert reflected.kube.calls == []
    assert reflected.phases(uids[999]) == ["Running", "Succeeded"]


@pytest.mark.looptime
async def test_a_newcomer_before_its_line_waits_for_the_line(reflected: Reflected) -> None:
    await reflected.healthy(1)
    reflected.follow(uid_of(9))
    await asyncio.sleep(0.3)
    reflected.pods.put(9)
    await asyncio.sleep(5)
    assert reflected.kinds(uid_of(9)) == ["Seen"]
    assert reflected.kube.count("get") == 0


@pytest.mark.looptime
async def test_a_pod_that_was_deleted_before_its_trigger_subscribed_still_has_its_last_state(
    reflected: Reflected,
) -> None:
    await reflected.healthy(1)
    uid = reflected.pods.put(5)
    reflected.pods.remove("p5", phase="Failed")
    await asyncio.sleep(2)
    reflected.follow(uid)
    await asyncio.sleep(1)
    assert set(reflected.phases(uid)) == {"Failed"}
    assert reflected.kinds(uid)[-1] == "Deleted"


@pytest.mark.looptime
async def test_what_a_listing_no_longer_has_leaves_the_shelf(reflected: Reflected) -> None:
    await reflected.healthy(1)
    uids = [reflected.pods.put(number) for number in range(1, 10)]
    await asyncio.sleep(1)
    assert reflected.statistics.shelved == 9
    reflected.kube.silent = True  # the deletions are missed
    for number in range(1, 9):
        reflected.pods.remove(f"p{number}")
    await asyncio.sleep(150)
    reflected.kube.silent = False
    await asyncio.sleep(5)
    assert reflected.statistics.shelved == 1
    reflected.follow(uids[0], uids[8])
    await asyncio.sleep(5)
    assert reflected.kinds(uids[0]) == ["Gone"]
    assert reflected.kinds(uids[8]) == ["Seen"]


@pytest.mark.looptime
async def test_whoever_subscribes_between_two_pages_does_not_keep_a_pod_that_is_gone(reflected: Reflected) -> None:
    """Its state was on the shelf, its deletion fell into a gap, and the listing that tells is under way already."""
    await reflected.healthy(1)
    late = reflected.pods.put(5)
    await asyncio.sleep(1)
    reflected.kube.silent = True
    reflected.pods.remove("p5")
    for number in range(100, 600):
        reflected.pods.put(number)
    reflected.kube.latency = 1.0
    await asyncio.sleep(150)
    reflected.kube.silent = False
    while reflected.kube.count("list") < 3:  # noqa: ASYNC110 - the moment is the test's choice
        await asyncio.sleep(0.1)
    reflected.follow(late)
    await asyncio.sleep(10)
    assert reflected.kinds(late) == ["Seen", "Gone"]


@pytest.mark.looptime
async def test_the_event_loop_gets_its_turn_while_hundreds_of_lines_are_taken_in(reflected: Reflected) -> None:
    uids = await reflected.healthy(500)
    turns = []
    for number in range(500):
        reflected.pods.put(number, "Succeeded")
    for _ in range(100):
        turns.append(sum(len(reflected.phases(uid)) > 1 for uid in uids))
        await asyncio.sleep(0)
    steps = [later - earlier for earlier, later in itertools.pairwise(turns)]
    assert sum(steps) == 500
    assert max(steps) <= 50


@pytest.mark.looptime
async def test_nobody_is_served_from_the_shelf_what_the_watch_does_not_keep_up_to_date(reflected: Reflected) -> None:
    """Whoever comes back to a pod that was deleted, or is polled since it lost our labels."""
    await reflected.healthy(1)
    deleted, unlabelled = reflected.pods.put(1), reflected.pods.put(2)
    with reflected.subscribe(deleted), reflected.subscribe(unlabelled):
        reflected.pods.remove("p1")
        reflected.pods.put(2, labels={})
        await asyncio.sleep(1)
    assert reflected.statistics.shelved == 0
    reflected.pods.put(2, "Succeeded", labels={})
    reflected.follow(deleted, unlabelled)
    await asyncio.sleep(5)
    assert reflected.kinds(deleted) == ["Gone"]
    assert reflected.phases(unlabelled) == ["Succeeded"]


@pytest.mark.looptime
@pytest.mark.parametrize("there", [True, False])
async def test_whoever_leaves_while_a_call_is_under_way_is_asked_for_no_more(
    reflected: Reflected, *, there: bool
) -> None:
    reflected.selector = ""
    reflected.kube.latency = 2.0
    reflected.follow(reflected.pods.put(0))
    if there:
        reflected.pods.put(1)
    with reflected.subscribe(uid_of(1)):
        await asyncio.sleep(1)
    await asyncio.sleep(60)
    assert [what for _, _, what in reflected.kube.calls].count("p1") == 1


def test_the_shelf_keeps_live_pods_before_finished_ones_and_the_latest_before_the_oldest() -> None:
    shelf = Shelf(5 * 4096)
    for number in range(3):
        shelf.put(f"live {number}", pod(number))
    for number in range(3):
        shelf.put(f"over {number}", pod(number, "Succeeded"))
    assert shelf.take("over 0") is None
    shelf.put("live 0", pod(0))
    for number in range(3, 6):
        shelf.put(f"live {number}", pod(number))
    assert shelf.take("over 1") is shelf.take("over 2") is shelf.take("live 1") is None
    assert shelf.take("live 0") is not None
    assert (len(shelf), shelf.size) == (4, 4 * 4096)


def test_the_shelf_counts_json_by_its_length_and_forgets_deleted_pods_in_time() -> None:
    shelf = Shelf(1000)
    shelf.put("a", Shelved(b"x" * 400))
    shelf.put("a", Shelved(b"x" * 500))
    shelf.put("b", Shelved(b"x" * 400, deleted_at=7.0))
    assert shelf.size == 900
    shelf.keep({"a"}, deleted_since=6.0)
    assert len(shelf) == 2
    shelf.keep({"a"}, deleted_since=8.0)
    assert (len(shelf), shelf.size) == (1, 500)
    shelf.put("huge", Shelved(b"x" * 2000))
    assert (len(shelf), shelf.size) == (0, 0)
