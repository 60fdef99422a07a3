"""Nodes that ran short of something: whose doing it was, and what would help."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.diagnosis import Cause, Diagnosis
from asyncrun.model.pod import read_pod
from asyncrun.model.pod_diagnosis import diagnose
from tests.support.pod_histories import decided, ended, updates


def _of(raw: dict[str, object]) -> Diagnosis:
    pod = read_pod(msgspec.json.encode(raw))
    return diagnose(decided(pod), pod, None, base="main")


def _evicted(message: str) -> Diagnosis:
    raw = msgspec.to_builtins(ended(exit_code=137))
    raw["status"].update(reason="Evicted", message=message)
    return _of(raw)


def test_a_full_disk_of_the_node_is_not_the_pods_own_limit() -> None:
    message = (
        "The node was low on resource: ephemeral-storage. Threshold quantity: 1Gi, available: 9Mi. Container main was "
        "using 5Gi, request is 0, has larger consumption of ephemeral-storage. "
    )
    made = _evicted(message)
    assert made.summary == f"the pod was evicted because its node ran short of ephemeral-storage: {message.strip()}"
    assert made.next_step.startswith("Retry. The author of the DAG should request what the program really uses")


@pytest.mark.parametrize(
    "message",
    [
        'Container main exceeded its local ephemeral storage limit "1Gi". ',
        "Pod ephemeral local storage usage exceeds the total limit of containers 1Gi. ",
    ],
)
def test_the_pods_own_limit_of_the_disk(message: str) -> None:
    made = _evicted(message)
    assert made.summary.startswith("the pod was evicted because it used more of the node's disk than it may: ")
    assert "raise the limit of ephemeral-storage" in made.next_step


def test_a_node_under_pressure_turns_the_pod_away() -> None:
    made = _evicted("The node had condition: [MemoryPressure DiskPressure]. ")
    assert made.summary.startswith(
        "the pod was turned away by its node, which was under pressure (MemoryPressure DiskPressure): "
    )
    assert made.next_step.startswith("Retry: the scheduler avoids such a node")


def test_a_device_that_is_taken_has_its_whole_name() -> None:
    raw = msgspec.to_builtins(updates("a_success")[1].pod)
    raw["status"].update(phase="Failed", reason="OutOfnvidia.com/gpu", message="said")
    made = _of(raw)
    assert (made.summary, made.cause) == (
        "the pod never started: its node had no nvidia.com/gpu left when the pod arrived there: said", Cause.CAPACITY,
    )  # fmt: skip
