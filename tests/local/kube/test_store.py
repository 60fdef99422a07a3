"""The store of the embedded Kubernetes: revisions, changes, history."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncrun.local.kube.store import AlreadyExists, NotFound, Store, TooOld, record_event


def pod(name: str, **metadata: Any) -> dict[str, Any]:
    return {"kind": "Pod", "apiVersion": "v1", "metadata": {"name": name, "namespace": "ns", **metadata}, "spec": {}}


def changed(old: dict[str, Any], **metadata: Any) -> dict[str, Any]:
    return {**old, "metadata": {**old["metadata"], **metadata}}


async def test_every_change_has_a_revision_of_its_own_and_is_seen_once() -> None:
    store = Store()
    seen = store.subscribe("pods")
    first = store.create("pods", pod("a"))
    second = store.update("pods", changed(first, labels={"x": "y"}))
    removed = store.remove("pods", "ns", "a")
    found = [await seen.next() for _ in range(4)]
    assert [kind for kind, _ in found] == ["ADDED", "MODIFIED", "MODIFIED", "DELETED"]
    assert found[0][1] is first
    assert found[1][1] is second
    assert found[2][1]["metadata"]["deletionGracePeriodSeconds"] == 0
    assert found[3][1] == removed
    revisions = [int(one["metadata"]["resourceVersion"]) for _, one in found]
    assert revisions == sorted(set(revisions))
    assert revisions[-1] == store.revision
    assert store.get("pods", "ns", "a") is None


def test_an_update_that_changes_nothing_is_no_change() -> None:
    store = Store()
    first = store.create("pods", pod("a"))
    assert store.update("pods", changed(first, resourceVersion="1")) is first
    assert store.revision == int(first["metadata"]["resourceVersion"])


def test_names_are_unique_and_uids_are_not_reused() -> None:
    store = Store()
    first = store.create("pods", pod("a"))
    with pytest.raises(AlreadyExists):
        store.create("pods", pod("a"))
    store.remove("pods", "ns", "a")
    second = store.create("pods", pod("a"))
    assert second["metadata"]["uid"] != first["metadata"]["uid"]
    with pytest.raises(NotFound):
        store.update("pods", first)
    with pytest.raises(NotFound):
        store.remove("pods", "ns", "b")


def test_what_was_handed_out_never_changes() -> None:
    store = Store()
    first = store.create("pods", pod("a"))
    before = repr(first)
    store.update("pods", changed(first, labels={"x": "y"}))
    store.remove("pods", "ns", "a")
    assert repr(first) == before


def test_finalizers_keep_a_removed_pod_until_they_are_gone() -> None:
    """Trace g8_delete_with_finalizer: the change that takes the last one is never seen."""
    store = Store()
    seen = store.subscribe("pods")
    store.create("pods", pod("a", finalizers=["example.com/hold"]))
    held = store.remove("pods", "ns", "a")
    assert store.get("pods", "ns", "a") is held
    assert held["metadata"]["deletionGracePeriodSeconds"] == 0
    store.update("pods", changed(held, finalizers=None))
    assert store.get("pods", "ns", "a") is None
    changes = seen.take()
    assert [one.type for one in changes] == ["ADDED", "MODIFIED", "DELETED"]
    assert changes[-1].object["metadata"]["finalizers"] == ["example.com/hold"]


def test_a_moment_in_the_past_can_be_listed_until_it_is_compacted() -> None:
    store = Store()
    first = store.create("pods", pod("a"))
    store.create("pods", pod("b"))
    moment = store.revision
    store.update("pods", changed(first, labels={"x": "y"}))
    store.remove("pods", "ns", "b")
    store.create("pods", pod("c"))
    assert [one["metadata"]["name"] for one in store.list_at("pods", "ns", moment)] == ["a", "b"]
    assert store.list_at("pods", "ns", moment)[0] is first
    store.compact()
    with pytest.raises(TooOld, match=rf"too old resource version: {moment} \({store.revision}\)"):
        store.list_at("pods", "ns", moment)
    assert [one["metadata"]["name"] for one in store.list_at("pods", "ns", store.revision)] == ["a", "c"]


def test_changes_after_a_revision_can_be_read_until_it_is_compacted() -> None:
    store = Store()
    store.create("pods", pod("a"))
    moment = store.revision
    store.create("pods", pod("b"))
    slow = store.subscribe_after("pods", moment)
    store.compact()
    assert [one.object["metadata"]["name"] for one in slow.take()] == ["b"]
    with pytest.raises(TooOld):
        store.subscribe_after("pods", moment)
    assert store.subscribe_after("pods", store.revision).take() == []


def test_the_history_is_bounded_and_subscribers_lose_nothing() -> None:
    store = Store(history=10)
    slow = store.subscribe("pods")
    made = store.create("pods", pod("a"))
    for count in range(100):
        made = store.update("pods", changed(made, labels={"n": str(count)}))
    assert store.oldest > 1000
    assert len(slow.take()) == 101


async def test_a_waiting_subscriber_can_be_cancelled() -> None:
    store = Store()
    seen = store.subscribe("pods")
    waiting = asyncio.create_task(seen.next(), name="waiting")
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    store.create("pods", pod("a"))
    assert (await seen.next())[0] == "ADDED"


def test_events_that_repeat_are_counted() -> None:
    store = Store()
    about = store.create("pods", pod("a"))
    first = record_event(
        store, about, "BackOff", "Normal", "Back-off pulling image", field_path="spec.containers{main}"
    )
    again = record_event(
        store, about, "BackOff", "Normal", "Back-off pulling image", field_path="spec.containers{main}"
    )
    other = record_event(store, about, "Failed", "Warning", "Error: ErrImagePull", field_path="spec.containers{main}")
    assert first["count"] == 1
    assert again["count"] == 2
    assert again["metadata"]["name"] == first["metadata"]["name"]
    assert other["metadata"]["name"] != first["metadata"]["name"]
    assert len(store.list("events", "ns")) == 2
    assert first["involvedObject"]["fieldPath"] == "spec.containers{main}"


def test_the_schedulers_events_have_an_event_time_and_no_count() -> None:
    store = Store()
    about = store.create("pods", pod("a"))
    event = record_event(store, about, "FailedScheduling", "Warning", "0/1 nodes", component="default-scheduler")
    assert event["eventTime"]
    assert "count" not in event
    assert event["action"] == "Scheduling"
    again = record_event(store, about, "FailedScheduling", "Warning", "0/1 nodes", component="default-scheduler")
    assert again["series"]["count"] == 2


async def test_who_waits_for_one_name_is_woken_for_that_one_and_misses_nothing() -> None:
    store = Store()
    one = store.subscribe("pods", "a")
    waiting = asyncio.create_task(one.wait(), name="waiting for a")
    await asyncio.sleep(0)
    store.create("pods", pod("b"))
    await asyncio.sleep(0)
    assert not waiting.done()
    store.create("pods", pod("a"))
    await asyncio.wait_for(waiting, 1)
    assert [change.object["metadata"]["name"] for change in one.take()] == ["b", "a"]


async def test_who_waits_for_a_pods_events_is_woken_by_them() -> None:
    store = Store()
    about = store.create("pods", pod("a"))
    one = store.subscribe("events", "a")
    waiting = asyncio.create_task(one.wait(), name="waiting for events")
    await asyncio.sleep(0)
    record_event(store, about, "Pulled", "Normal", "present")
    await asyncio.wait_for(waiting, 1)
    assert one.behind
