"""What is done with a pod after its end."""

from __future__ import annotations

from itertools import product

import pytest

from asyncrun.launch.pod_finish import Finished, OnFinish, end_others, finish, holds_up, mark_checked, wants_delete
from asyncrun.launch.pod_settling import settle
from asyncrun.launch.pod_stop import stop_pod
from asyncrun.model.errors import AccessDenied, RequestRefused, Unavailable
from asyncrun.model.outcome import Outcome, StopCause, Verdict
from asyncrun.model.pod import ContainerState, ContainerStatus, Metadata, Pod, PodStatus, Running, Terminated
from asyncrun.model.refs import PodRef
from tests.launch.pods.scripted_pods import Pods, pod

pytestmark = pytest.mark.looptime

REF = PodRef(namespace="ns", name="p", uid="uid-1")
PHASES = ["Pending", "Running", "Succeeded", "Failed", "Unknown", ""]


@pytest.mark.parametrize(("action", "phase", "base"), list(product(OnFinish, PHASES, [True, False])))
def test_a_pod_is_deleted_where_upstream_deletes_it(action: OnFinish, phase: str, base: bool) -> None:
    k8s = pytest.importorskip("kubernetes").client
    from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator

    code = 0 if base else 1
    status = k8s.V1ContainerStatus(
        name="base", image="i", image_id="i", ready=False, restart_count=0,
        state=k8s.V1ContainerState(terminated=k8s.V1ContainerStateTerminated(exit_code=code)),
    )  # fmt: skip
    theirs = k8s.V1Pod(
        metadata=k8s.V1ObjectMeta(name="p", namespace="ns"),
        status=k8s.V1PodStatus(phase=phase, container_statuses=[status]),
    )
    deleted: list[object] = []

    class Manager:
        def delete_pod(self, one: object) -> None:
            deleted.append(one)

    operator = KubernetesPodOperator(task_id="t", image="i", on_finish_action=action.value)
    operator.__dict__["pod_manager"] = Manager()
    operator.process_pod_deletion(theirs)
    assert wants_delete(action, phase=phase, base_succeeded=base) == bool(deleted)


def _pods(**verbs: list[Exception | None]) -> Pods:
    pods = Pods(**verbs)
    pods.put(pod(uid="uid-1", phase="Failed"))
    return pods


async def test_a_pod_that_is_to_go_is_deleted_by_its_uid() -> None:
    pods, said = _pods(), list[str]()
    done = await finish(pods, REF, OnFinish.DELETE_POD, phase="Failed", base_succeeded=False, say=said.append)
    assert (done, pods.deleted, pods.patches, said) == (Finished.DELETED, [("uid-1", None)], [], [])


async def test_a_pod_that_is_kept_is_marked_so_that_no_retry_takes_it_over() -> None:
    pods, said = _pods(), list[str]()
    done = await finish(pods, REF, OnFinish.KEEP_POD, phase="Succeeded", base_succeeded=True, say=said.append)
    assert (done, pods.deleted, said) == (Finished.MARKED, [], [])
    assert pods.patches == [{"metadata": {"uid": "uid-1", "labels": {"already_checked": "True"}}}]


async def test_a_call_that_is_not_answered_is_made_again() -> None:
    pods, said = _pods(delete=[Unavailable("cut."), None]), list[str]()
    done = await finish(pods, REF, OnFinish.DELETE_POD, phase="Failed", base_succeeded=False, say=said.append)
    assert (done, len(pods.deleted)) == (Finished.DELETED, 1)
    assert said[0].startswith("cut. It is tried again in ")


async def test_a_pod_that_may_not_be_deleted_is_said_and_marked() -> None:
    pods, said = _pods(delete=[AccessDenied("no delete")]), list[str]()
    done = await finish(pods, REF, OnFinish.DELETE_POD, phase="Failed", base_succeeded=False, say=said.append)
    assert (done, len(pods.patches)) == (Finished.MARKED, 1)
    assert said == ["Pod ns/p could not be deleted after its end, as on_finish_action=delete_pod wants: no delete"]


@pytest.mark.parametrize("error", [AccessDenied("no patch"), RequestRefused("no", code="Invalid"), Unavailable("cut")])
async def test_a_pod_that_cannot_be_marked_is_said_and_raises_nothing(error: Exception) -> None:
    pods, said = _pods(patch=[error]), list[str]()
    assert await mark_checked(pods, REF, say=said.append) is Finished.LEFT
    assert said[-1] == (
        f"Pod ns/p could not be marked with the label already_checked=True, so a later try may look at it: {error}"
    )


@pytest.mark.parametrize("there", [[], [pod(uid="another")]])
async def test_marking_a_pod_that_is_gone_touches_no_other(there: list[Pod]) -> None:
    pods, said = Pods(), list[str]()
    for one in there:
        pods.put(one)
    assert await mark_checked(pods, REF, say=said.append) is Finished.DELETED
    assert (pods.patches, said) == ([], [])


@pytest.mark.parametrize("action", ["keep_pod", "delete_succeeded_pod"])
async def test_one_that_may_still_run_is_not_marked(action: str) -> None:
    """The next try must be able to take it over; one that is marked would get a second pod beside it."""
    pods, said = _pods(), list[str]()
    unseen = Outcome(verdict=Verdict.LOST, stop_cause=StopCause.ACCESS)
    await settle(pods, REF, action, unseen, base="base", say=said.append)
    assert (pods.calls, said) == ([], [])


async def test_one_of_which_nobody_tells_whether_it_runs_is_not_marked() -> None:
    pods, said = _pods(get=[AccessDenied("no get")]), list[str]()
    unseen = Outcome(verdict=Verdict.LOST, stop_cause=StopCause.ACCESS)
    await settle(pods, REF, "delete_active_pod", unseen, base="base", say=said.append)
    assert (pods.deleted, pods.patches) == ([], [])
    assert "cannot be asked, so it is kept: no get" in said[0]


@pytest.mark.parametrize("action", [OnFinish.KEEP_POD, OnFinish.DELETE_SUCCEEDED_POD])
async def test_one_that_is_ended_and_kept_is_marked_in_the_same_request(action: OnFinish) -> None:
    """Its end is our doing: no later try takes it for its own."""
    pods = _pods()
    await stop_pod(pods, REF, action, None)
    meta = {"uid": "uid-1", "labels": {"already_checked": "True"}}
    assert pods.patches == [{"metadata": meta, "spec": {"activeDeadlineSeconds": 1}}]


async def test_a_stop_that_was_not_carried_out_is_an_error() -> None:
    """Kubernetes also answers Conflict where others change the pod again and again."""
    modified = RequestRefused("no", code="Conflict", said="the object has been modified; please apply your changes")
    with pytest.raises(RequestRefused):
        await stop_pod(_pods(patch=[modified]), REF, OnFinish.KEEP_POD, None)
    another = "Precondition failed: UID in precondition: uid-1, UID in object meta: uid-2"
    await stop_pod(_pods(patch=[RequestRefused("no", code="Conflict", said=another)]), REF, OnFinish.KEEP_POD, None)


async def test_a_refusal_to_change_the_uid_means_that_the_pod_is_gone_in_older_clusters() -> None:
    said = 'Pod "p" is invalid: metadata.uid: Invalid value: "uid-1": field is immutable'
    pods = _pods(patch=[RequestRefused("no", code="Invalid", said=said)])
    assert await mark_checked(pods, REF, say=lambda _: None) is Finished.DELETED


ENDED, RUNS = ContainerState(terminated=Terminated()), ContainerState(running=Running())


@pytest.mark.parametrize(
    ("phase", "base", "other", "held"),
    [
        ("Running", ENDED, RUNS, ("proxy",)),
        ("Running", ENDED, ContainerState(), ("proxy",)),
        ("Running", ENDED, ENDED, ()),
        ("Running", RUNS, RUNS, ()),
        ("Failed", ENDED, RUNS, ()),
    ],
)
def test_what_holds_up_an_ended_pod_is_named(
    phase: str, base: ContainerState, other: ContainerState, held: tuple[str, ...]
) -> None:
    statuses = (ContainerStatus(name="base", state=base), ContainerStatus(name="proxy", state=other))
    of = Pod(metadata=Metadata(uid="u", name="p"), status=PodStatus(phase=phase, container_statuses=statuses))
    assert holds_up(of, "base") == held


async def test_other_containers_are_ended_by_a_deadline_which_leaves_the_pod_there() -> None:
    pods, said = _pods(), list[str]()
    assert await end_others(pods, REF, say=said.append)
    told = {"uid": "uid-1", "annotations": {"asyncrun/base-has-ended": "True"}}
    assert pods.patches == [{"metadata": told, "spec": {"activeDeadlineSeconds": 1}}]
    assert (list(pods.stored), said) == (["p"], [])


async def test_other_containers_that_cannot_be_ended_are_said() -> None:
    pods, said = _pods(patch=[AccessDenied("no patch")]), list[str]()
    assert not await end_others(pods, REF, say=said.append)
    assert said == ["The containers of pod ns/p that still run could not be ended: no patch"]
