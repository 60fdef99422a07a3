"""A task that was cleared while a trigger watched its pod: the next try wants a new pod, and the old one goes."""

from __future__ import annotations

from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowException

from asyncrun.local.kube import Rule
from asyncrun.model.refs import LaunchPhase
from tests.operators.pod_support import FOREVER, PodTries, alive, asked, operator, said
from tests.operators.support import Worker
from tests.support.kube_lab import KubeLab


@pytest.fixture
def tries(kube: KubeLab, worker: Worker, request: pytest.FixtureRequest) -> PodTries:
    return PodTries(kube, worker, request.node.name)


def test_a_pod_that_was_handed_over_is_deleted_and_another_one_created(
    kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any
) -> None:
    """Its trigger is told of the kill only after the next try has begun, or never."""
    defers = operator(kube, FOREVER, deferrable=True)
    first, second = tries.deferred(defers), tries.deferred(defers)
    assert [one["metadata"]["uid"] for one in alive(kube)] == [second.ref.uid]
    assert asked(kube, "create pods") == 2
    assert f"Pod {first.ref} of try 1 is not taken over but deleted: its task was cleared" in said(capsys, caplog)
    assert tries.noted.ref == second.ref
    assert tries.noted.phase is LaunchPhase.HANDED_OVER


def test_one_that_a_kill_is_to_leave_alone_is_taken_over(kube: KubeLab, tries: PodTries) -> None:
    defers = operator(kube, FOREVER, deferrable=True, on_kill_action="keep_pod")
    assert tries.deferred(defers).ref == tries.deferred(defers).ref
    assert asked(kube, "create pods") == 1


def test_none_is_launched_beside_one_that_may_not_be_deleted(
    kube: KubeLab, tries: PodTries, capsys: Any, caplog: Any
) -> None:
    rights = [Rule(verbs=("create", "get", "list"), resources=("pods",))]
    config = kube.kubeconfig("keeps", kube.kube.control.add_token(rights))
    defers = operator(kube, FOREVER, deferrable=True, config_file=str(config))
    first = tries.deferred(defers)
    with pytest.raises(AirflowException, match=r"denies .* to delete"):
        tries.deferred(defers)
    assert [one["metadata"]["uid"] for one in alive(kube)] == [first.ref.uid]
    text = f"Nothing is launched: pod {first.ref} could not be deleted and may still be running"
    assert text in said(capsys, caplog)
