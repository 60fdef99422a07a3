"""What is done with a pod after its end."""

from __future__ import annotations

from itertools import product

import pytest

from asyncrun.launch.pod_finish import Finished, OnFinish, end_others, finish, holds_up, mark_checked, wants_delete
from asyncrun.model.errors import AccessDenied, RequestRefused, Unavailable
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
