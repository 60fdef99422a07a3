"""Which pod of an earlier try is taken over, and why."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec
import pytest

from asyncrun.launch.pod import PodLauncher
from asyncrun.launch.pod_reattach import Earlier, look_for
from asyncrun.model.errors import AccessDenied, Expired, MalformedAnswer, Unavailable
from asyncrun.model.pod import Pod
from asyncrun.model.refs import LaunchPhase, PodLaunchRecord, PodRef
from asyncrun.spec.pod.labels import selector, task_selector
from tests.launch.pods.scripted_pods import Pods, pod

SELECTOR = (
    f"{selector('prod')},dag_id=d,task_id=t,run_id=r,already_checked!=True"
)  # fmt: skip
REF = PodRef(namespace="ns", name="p", uid="uid-1", selector="asyncrun/deployment=prod")


def record(phase: LaunchPhase = LaunchPhase.LAUNCHED, ref: PodRef = REF) -> PodLaunchRecord:
    return PodLaunchRecord(ref=ref, ti_id="ti", try_number=1, phase=phase)


async def found(pods: Sequence[Pod], note: PodLaunchRecord | None = None) -> Earlier:
    api = Pods()
    for one in pods:
        api.put(one)
    return await look_for(api, note, selector=SELECTOR, base="base")


@pytest.mark.parametrize("phase", list(LaunchPhase))
async def test_a_noted_pod_that_runs_is_taken_over_whoever_answered_for_it(phase: LaunchPhase) -> None:
    earlier = await found([pod(uid="uid-1")], record(phase))
    assert (earlier.ref, earlier.why) == (REF, "Taking over pod ns/p of try 1, which still runs (phase Running)")
    assert earlier.pod is not None


@pytest.mark.parametrize(("phase", "code"), [("Succeeded", 0), ("Failed", 3), ("Running", 0), ("Failed", None)])
async def test_a_noted_pod_that_has_ended_is_taken_over_where_nobody_learnt_its_end(
    phase: str, code: int | None
) -> None:
    earlier = await found([pod(uid="uid-1", phase=phase, exit_code=code)], record())
    assert (earlier.ref, earlier.why) == (
        REF,
        "Taking over pod ns/p of try 1, whose worker died before it learnt the end: it has ended, which is this try's "
        "end",
    )


async def test_a_pod_whose_base_container_is_started_again_still_runs() -> None:
    restarting = pod(uid="uid-1", exit_code=1)
    spec = msgspec.structs.replace(restarting.spec, restart_policy="OnFailure")
    earlier = await found([msgspec.structs.replace(restarting, spec=spec)], record(LaunchPhase.HANDED_OVER))
    assert earlier.ref == REF


@pytest.mark.parametrize("phase", [LaunchPhase.HANDED_OVER, LaunchPhase.SETTLED])
async def test_a_pod_whose_end_was_reported_is_not_taken_over(phase: LaunchPhase) -> None:
    earlier = await found([pod(uid="uid-1", phase="Succeeded", exit_code=0)], record(phase))
    assert (earlier.ref, earlier.why) == (
        None,
        "pod ns/p of try 1 is not taken over: it has ended, and its end was reported",
    )


@pytest.mark.parametrize(
    ("there", "why"),
    [
        (
            [pod(uid="uid-1", phase="Failed", labels={"already_checked": "True"})],
            "pod ns/p of try 1 is not taken over: its end was dealt with (already_checked=True)",
        ),
        ([pod(uid="uid-1", is_deleted=True)], "pod ns/p of try 1 is not taken over: it is being deleted"),
        ([], "pod ns/p of try 1 is gone"),
        (
            [pod(uid="uid-2", labels={"dag_id": "another"})],
            "pod ns/p of try 1 is gone: another pod has its name now",
        ),
    ],
)
async def test_a_pod_that_was_dealt_with_or_is_gone_is_not_taken_over(there: list[Pod], why: str) -> None:
    earlier = await found(there, record())
    assert (earlier.ref, earlier.why) == (None, why)


async def test_a_pod_of_another_namespace_is_not_looked_for() -> None:
    elsewhere = PodRef(namespace="other", name="p", uid="uid-1")
    earlier = await found([], record(ref=elsewhere))
    assert earlier.why == "pod other/p of try 1 is not looked for: this try's namespace is 'ns'"


async def test_a_pod_without_our_labels_is_found_by_its_note_and_keeps_its_ref() -> None:
    unseen = PodRef(namespace="ns", name="p", uid="uid-1", selector="")
    stripped = pod(uid="uid-1", labels={"asyncrun/deployment": "", "dag_id": ""})
    assert (await found([stripped], record(ref=unseen))).ref == unseen


async def test_without_a_note_the_youngest_pod_with_the_labels_is_taken_over() -> None:
    pods = [pod("old", uid="a", age=9), pod("young", uid="b", age=1), pod("older", uid="c", age=99)]
    earlier = await found(pods)
    assert earlier.ref == PodRef(namespace="ns", name="young", uid="b", selector="asyncrun/deployment=prod")
    assert earlier.why == "Taking over pod ns/young of an earlier try, which still runs (phase Running)"


@pytest.mark.parametrize(
    ("phase", "code", "name", "why"),
    [
        (
            "Succeeded",
            0,
            "x",
            "Taking over pod ns/x of an earlier try, whose worker died before it noted it: it has succeeded since",
        ),
        (
            "Failed",
            1,
            None,
            "pod ns/x of an earlier try is not taken over: it has failed, and this try launches another one",
        ),
        (
            "Failed",
            0,
            None,
            "pod ns/x of an earlier try is not taken over: it has failed, and this try launches another one",
        ),
    ],
)
async def test_an_ended_pod_that_nobody_noted_is_taken_over_where_it_succeeded(
    phase: str, code: int, name: str | None, why: str
) -> None:
    earlier = await found([pod("x", phase=phase, exit_code=code)], record())
    assert (earlier.ref.name if earlier.ref else None, earlier.why) == (name, why)


async def test_a_noted_pod_that_was_settled_is_not_taken_over_by_its_labels() -> None:
    earlier = await found([pod(uid="uid-1", phase="Succeeded", exit_code=0)], record(LaunchPhase.SETTLED))
    assert earlier.ref is None


async def test_pods_that_are_marked_or_being_deleted_or_anothers_are_not_found() -> None:
    pods = [
        pod("a", labels={"already_checked": "True"}),
        pod("b", is_deleted=True),
        pod("c", labels={"asyncrun/deployment": "staging"}),
        pod("d", labels={"run_id": "other"}),
    ]
    assert await found(pods) == Earlier(ref=None)


async def test_all_pages_are_read_and_a_list_that_expired_is_begun_again() -> None:
    pods = Pods(list=[None, Expired("410"), None])
    for number in range(5):
        pods.put(pod(f"p{number}", uid=str(number), age=10 - number))
    newest = await PodLauncher(pods).find_existing(SELECTOR)
    assert newest is not None
    assert (newest.metadata.name, pods.calls.count("list")) == ("p4", 5)


async def test_a_list_that_always_expires_is_an_error() -> None:
    with pytest.raises(Expired):
        await PodLauncher(Pods(list=[Expired("410")])).find_existing(SELECTOR)


@pytest.mark.parametrize("error", [AccessDenied("no list"), Unavailable("cut"), MalformedAnswer("half")])
async def test_what_cannot_be_asked_is_an_error(error: Exception) -> None:
    with pytest.raises(type(error)):
        await look_for(Pods(list=[error]), None, selector=SELECTOR, base="base")
    with pytest.raises(type(error)):
        await look_for(Pods(get=[error]), record(), selector=SELECTOR, base="base")


async def test_stopping_is_by_uid_with_the_grace_that_is_given() -> None:
    pods = Pods()
    pods.put(pod(uid="uid-1"))
    launcher = PodLauncher(pods)
    await launcher.stop(PodRef(namespace="ns", name="p", uid="another"), grace_seconds=3)
    assert pods.deleted == []
    await launcher.stop(REF, grace_seconds=3)
    await launcher.stop(REF, grace_seconds=3)
    assert pods.deleted == [("uid-1", 3)]


def test_the_selector_of_these_tests_is_the_products_without_what_the_double_does_not_know() -> None:
    product = task_selector(dag_id="d", task_id="t", run_id="r", map_index=None, labels={})
    assert set(SELECTOR.split(",")) <= {selector("prod"), *product.split(",")}
