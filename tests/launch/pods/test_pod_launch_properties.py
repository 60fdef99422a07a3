"""Whatever is answered, lost or cancelled, in whatever order: one pod of ours at most, and no other one is touched."""

from __future__ import annotations

import asyncio
from typing import Any

import looptime
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrun.launch.pod import Placed, PodLauncher
from asyncrun.model.errors import (
    AccessDenied,
    AsyncrunError,
    LaunchRefused,
    MalformedAnswer,
    OutOfCapacity,
    RequestRefused,
    Throttled,
)
from tests.launch.pods.scripted_pods import CUT, LOST, Pods, manifest, pod

REFUSALS = [AccessDenied("a"), LaunchRefused("l"), OutOfCapacity("o"), RequestRefused("r", code="Conflict")]
CREATES = [None, LOST, CUT, MalformedAnswer("m"), Throttled("t"), *REFUSALS]
READS = [None, CUT, AccessDenied("a"), Throttled("t"), MalformedAnswer("m")]


class Quota(Pods):
    """Lets one pod exist; what is over that is refused before anybody looks at its name, as Kubernetes does."""

    async def create(self, manifest: Any) -> Any:
        if self.stored:
            self.calls.append("create")
            raise OutOfCapacity("exceeded quota")
        return await super().create(manifest)


async def _story(pods: Pods, has_other: bool, cancel_after: float | None) -> None:
    if has_other:
        pods.put(pod(uid="theirs"))
    launcher = PodLauncher(pods)
    launching = asyncio.create_task(launcher.launch(manifest()))
    if cancel_after is not None:
        await asyncio.sleep(cancel_after)
        launching.cancel("killed")
    await asyncio.wait([launching])
    placed: Placed | None = None
    if not launching.cancelled():
        error = launching.exception()
        assert error is None or isinstance(error, AsyncrunError)
        placed = launching.result() if error is None else None
    ours = [one for one in pods.stored.values() if one.uid != "theirs"]
    assert len(ours) <= 1
    if placed is not None:
        assert [one.uid for one in ours] == [placed.ref.uid]
        assert launcher.placed == placed.ref
        assert launcher.unanswered is None
    pods.script = {}  # Kubernetes is well again
    await launcher.take_back()
    assert [one.uid for one in pods.stored.values()] == ["theirs"] * has_other
    assert (launcher.placed, launcher.unanswered) == (None, None)


@settings(max_examples=300, deadline=None)
@given(
    creates=st.lists(st.sampled_from(CREATES), min_size=1, max_size=5),
    gets=st.lists(st.sampled_from(READS), min_size=1, max_size=4),
    has_other=st.booleans(),
    has_quota=st.booleans(),
    cancel_after=st.none() | st.sampled_from([0.0, 0.4, 0.9, 1.6, 4.0, 300.0]),
)
def test_a_launch_leaves_one_pod_or_none(
    creates: list[Exception | None],
    gets: list[Exception | None],
    has_other: bool,
    has_quota: bool,
    cancel_after: float | None,
) -> None:
    async def play() -> None:
        kind = Quota if has_quota and not has_other else Pods
        await _story(kind(*creates, get=gets), has_other, cancel_after)

    with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
        runner.run(play())
