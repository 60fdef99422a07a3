"""What kept a pod from starting is not told any more once the kubelet got past it: its events stay for an hour."""

from __future__ import annotations

import pytest

from asyncrun.model import pod_waiting
from asyncrun.model.diagnosis import Cause
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.pod import PodEvent
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import gave_up
from asyncrun.model.pod_start import StartTrouble, start_trouble
from tests.support.pod_histories import updates

MOUNT = 'MountVolume.SetUp failed for volume "v" : failed to sync configmap cache: timed out'
CREATING = next(one.pod for one in updates("a_success") if one.pod.statuses())
INITIALIZING = next(
    one.pod for one in updates("c_init_two_containers") if (found := start_trouble(one.pod)) and "prep" in found.what
)


def event(reason: str, message: str, at: float) -> PodEvent:
    return PodEvent(uid=f"{reason}{at}", kind="Normal", reason=reason, message=message, first_at=at, last_at=at)


def told(trouble: StartTrouble | None) -> str:
    return "" if trouble is None else trouble.code


@pytest.mark.parametrize(
    ("reason", "message"), [("FailedMount", MOUNT), ("FailedCreatePodSandBox", "failed to assign an IP address")]
)
def test_a_node_that_got_past_its_failures_is_pulling_now(reason: str, message: str) -> None:
    failed = event(reason, message, at=1.0)
    pulling = event("Pulling", 'Pulling image "big:1"', at=3.0)
    assert told(start_trouble(CREATING, [failed])) == reason
    assert told(start_trouble(CREATING, [failed, pulling])) == "Pulling"
    assert told(start_trouble(CREATING, [failed, event("Created", "Created container main", at=1.0)])) == ""
    again = event(reason, message, at=5.0)
    assert told(start_trouble(CREATING, [failed, pulling, again])) == reason


def test_the_init_container_that_runs_is_told_and_not_the_mount_before_it() -> None:
    heard = [event("FailedMount", MOUNT, at=1.0), event("Started", "Started container prep", at=4.0)]
    assert told(start_trouble(INITIALIZING, heard)) == "PodInitializing"


def test_a_start_that_took_too_long_is_not_blamed_on_a_mount_that_is_over() -> None:
    mount = event("FailedMount", MOUNT, at=1.0)
    said = start_trouble(CREATING, [mount])
    reason = "it did not start within startup_timeout_seconds=120"
    outcome = gave_up(Verdict.NEVER_STARTED, reason, StopCause.START, base="main", pod=CREATING)
    blamed = diagnose(outcome, CREATING, [mount], base="main", trouble=said)
    assert blamed.summary.startswith("the pod never started: volume 'v' cannot be mounted")
    heard = [mount, event("Pulled", "Successfully pulled", at=3.0)]
    made = diagnose(outcome, CREATING, heard, base="main", trouble=said)
    assert made.summary == (
        f"the pod never started: its containers are still being created, and Kubernetes gives no reason ({reason})"
    )


def test_what_failed_last_counts() -> None:
    mount, sandbox = event("FailedMount", MOUNT, at=1.0), event("FailedCreatePodSandBox", "no address", at=2.0)
    assert told(start_trouble(CREATING, [mount, sandbox])) == "FailedCreatePodSandBox"


def test_a_file_that_cannot_be_mounted_is_no_missing_program() -> None:
    message = (
        "failed to create containerd task: OCI runtime create failed: runc create failed: unable to start container "
        'process: error during container init: error mounting "/var/lib/kubelet/pods/1/volume-subpaths/v/main/0" to '
        'rootfs at "/etc/a": mount src=/a, dst=/etc/a: no such file or directory: unknown'
    )
    found = pod_waiting.of_start("main", message, "etl")
    assert found.cause is Cause.VOLUME
    assert not found.permanent
    assert "one of its volumes cannot be mounted" in found.what
    assert found.next_step == "The author of the DAG must check `volume_mounts` (path, subPath) against the image."
