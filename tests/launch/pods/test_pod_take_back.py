"""What a launch may have left is taken back where nobody wants it any more: no pod stays, and no other one is hit."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from asyncrun.clients.patience import patiently
from asyncrun.launch.pod import PodLauncher
from asyncrun.model.errors import AccessDenied, MalformedAnswer, OutOfCapacity, RequestRefused, Unavailable
from asyncrun.model.refs import PodRef
from tests.launch.pods.scripted_pods import CUT, LOST, Pods, manifest, pod

pytestmark = pytest.mark.looptime

OURS = PodRef(namespace="ns", name="p", uid="uid-1", selector="asyncrun/deployment=prod")


async def test_what_was_placed_is_deleted_by_its_uid() -> None:
    pods = Pods()
    launcher = PodLauncher(pods)
    await launcher.launch(manifest())
    assert await launcher.take_back(grace_seconds=3) == OURS
    assert pods.deleted == [("uid-1", 3)]
    assert await launcher.take_back() is None


@pytest.mark.parametrize("open_answer", [LOST, MalformedAnswer("half")])
async def test_what_an_unanswered_launch_made_is_found_and_deleted(open_answer: Exception) -> None:
    pods = Pods(LOST, open_answer, AccessDenied("expired meanwhile"), get=[AccessDenied("the same")])
    launcher = PodLauncher(pods)
    with pytest.raises(AccessDenied):
        await launcher.launch(manifest())
    pods.script["get"] = [None]
    assert await launcher.take_back() == OURS
    assert (pods.stored, pods.deleted) == ({}, [("uid-1", None)])


@pytest.mark.parametrize("answers", [[OutOfCapacity("quota")], [RequestRefused("no", code="Invalid")]])
async def test_a_launch_that_was_answered_by_a_refusal_has_nothing_to_take_back(answers: list[Exception]) -> None:
    pods = Pods(*answers)
    launcher = PodLauncher(pods)
    with pytest.raises((OutOfCapacity, RequestRefused)):
        await launcher.launch(manifest())
    asked = len(pods.calls)
    assert await launcher.take_back() is None
    assert len(pods.calls) == asked


async def test_what_an_unanswered_launch_did_not_make_is_looked_for_twice() -> None:
    pods = Pods(CUT, OutOfCapacity("quota"))
    launcher = PodLauncher(pods)
    with pytest.raises(OutOfCapacity):
        await launcher.launch(manifest())
    pods.calls.clear()
    assert await launcher.take_back() is None
    assert pods.calls == ["get", "get"]


async def test_a_pod_that_is_stored_only_after_its_connection_was_cut_is_found() -> None:
    pods = Pods()
    launcher = PodLauncher(pods)
    launcher.unanswered = manifest()

    async def late() -> None:
        await asyncio.sleep(0.5)
        await pods.create(manifest())

    storing = asyncio.create_task(late())
    assert await launcher.take_back() == OURS
    await storing
    assert pods.stored == {}


async def test_another_launchs_pod_of_that_name_is_left_alone() -> None:
    pods = Pods()
    pods.put(pod())
    launcher = PodLauncher(pods)
    launcher.unanswered = manifest()
    assert await launcher.take_back() is None
    assert list(pods.stored) == ["p"]


@pytest.mark.parametrize("verb", ["get", "delete"])
async def test_taking_back_can_be_repeated_where_it_was_not_answered(verb: str) -> None:
    pods = Pods(LOST, AccessDenied("no"))
    launcher = PodLauncher(pods)
    launcher.unanswered = manifest()
    with pytest.raises(Unavailable):
        await pods.create(manifest())
    pods.script[verb] = [Unavailable("cut"), None]
    with pytest.raises(Unavailable):
        await launcher.take_back()
    assert await launcher.take_back() == OURS
    assert pods.stored == {}


class Killed(Exception):
    pass


@pytest.mark.parametrize(("first", "is_left"), [(LOST, True), (CUT, False)])
async def test_nothing_more_is_sent_once_nobody_wants_the_pod(first: Exception, is_left: bool) -> None:
    def before_request() -> None:
        if pods.calls:
            raise Killed

    pods = Pods(first, None)
    launcher = PodLauncher(pods, before_request=before_request)
    with pytest.raises(Killed):
        await launcher.launch(manifest())
    assert pods.calls == ["create"]
    assert bool(await launcher.take_back()) == is_left
    assert pods.stored == {}


class Hanging(Pods):
    """Stores the pod and then does not answer."""

    async def create(self, manifest: Any) -> Any:
        await super().create(manifest)
        await asyncio.sleep(10_000)


async def test_a_launch_that_is_cancelled_under_way_is_taken_back() -> None:
    pods = Hanging()
    launcher = PodLauncher(pods)
    launching = asyncio.create_task(launcher.launch(manifest()))
    await asyncio.sleep(30)
    launching.cancel("killed")
    with pytest.raises(asyncio.CancelledError) as caught:
        await launching
    assert caught.value.args == ("killed",)
    assert await launcher.take_back() == OURS
    assert pods.stored == {}


@pytest.mark.parametrize("steps", range(12))
async def test_wherever_a_launch_is_cancelled_no_pod_stays(steps: int) -> None:
    pods = Pods(LOST, CUT, None, get=[CUT, None])
    launcher = PodLauncher(pods)
    launching = asyncio.create_task(launcher.launch(manifest()))
    for _ in range(steps):
        await asyncio.sleep(0)
        if steps > 4:
            await asyncio.sleep(0.4)
    launching.cancel()
    await asyncio.wait([launching])
    await patiently(launcher.take_back, lambda _: None)
    assert pods.stored == {}
    assert (launcher.placed, launcher.unanswered) == (None, None)
