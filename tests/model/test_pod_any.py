"""Pods in any state at all, also in such as no cluster ever showed: what must hold whatever comes."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.outcome import Verdict
from asyncrun.model.pod import (
    Condition,
    ContainerSpec,
    ContainerState,
    ContainerStatus,
    Metadata,
    Pod,
    PodEvent,
    PodSpec,
    PodStatus,
    Running,
    Terminated,
    Waiting,
)
from asyncrun.model.pod_diagnosis import diagnose
from asyncrun.model.pod_outcome import decide, ended_apart, needs_events
from asyncrun.model.pod_start import has_started, is_scheduled, node_trouble, start_trouble

WORDS = st.sampled_from(
    [
        "", "{", "Error", "Completed", "OOMKilled", "StartError", "ContainerStatusUnknown", "CrashLoopBackOff",
        "ErrImagePull", "ImagePullBackOff", "CreateContainerConfigError", "PodInitializing", "something new: {0} %s",
        'secret "a" not found', "couldn't find key k in Secret n/s", "The container used to be Running",
        'Usage of EmptyDir volume "{d}" exceeds the limit "5Mi"',
    ]
)  # fmt: skip
REASONS = st.sampled_from([None, "", "Evicted", "DeadlineExceeded", "NodeLost", "OutOfcpu", "Terminated", "new {"])
TIMES = st.none() | st.integers(0, 100).map(lambda second: datetime.fromtimestamp(1.8e9 + second, tz=UTC))
ENDS = st.builds(
    Terminated,
    exit_code=st.sampled_from([0, 1, 3, 127, 137, 143, 255, -1]),
    reason=WORDS, message=WORDS | st.just("asyncrun-xcom/1 inline 3 ab MTIz ."), started_at=TIMES, finished_at=TIMES,
)  # fmt: skip
STATES = st.one_of(
    st.just(ContainerState()),
    st.builds(ContainerState, waiting=st.builds(Waiting, reason=WORDS, message=WORDS)),
    st.builds(ContainerState, running=st.builds(Running, started_at=TIMES)),
    st.builds(ContainerState, terminated=ENDS),
)
LAST = st.just(ContainerState()) | st.builds(ContainerState, terminated=ENDS)
CONDITIONS = st.lists(
    st.builds(
        Condition,
        type=st.sampled_from(["PodScheduled", "Ready", "ContainersReady", "DisruptionTarget"]),
        status=st.sampled_from(["True", "False", "Unknown"]),
        reason=st.none() | WORDS, message=st.none() | WORDS,
    ),
    max_size=3,
).map(tuple)  # fmt: skip
EVENTS = st.none() | st.lists(
    st.builds(
        PodEvent,
        uid=st.just("e"), kind=st.sampled_from(["Normal", "Warning"]),
        reason=st.sampled_from(
            ["Killing", "Evicted", "Started", "Failed", "FailedMount", "Pulling", "FailedScheduling"]
        ),
        message=WORDS | st.just("Stopping container main"), count=st.integers(0, 3),
        last_at=st.none() | st.floats(0, 10),
    ),
    max_size=4,
)  # fmt: skip
SIDE = ContainerSpec(name="side", restart_policy="Always")


def statuses(*names: str) -> st.SearchStrategy[tuple[ContainerStatus, ...] | None]:
    each = [
        st.none()
        | st.builds(ContainerStatus, name=st.just(name), state=STATES, last_state=LAST, restart_count=st.integers(0, 3))
        for name in names
    ]
    return st.none() | st.tuples(*each).map(lambda made: tuple(one for one in made if one is not None))


METADATA = st.builds(
    Metadata,
    uid=st.just("u"), name=st.just("p"), namespace=st.just("n"),
    deletion_timestamp=TIMES, deletion_grace_period_seconds=st.sampled_from([None, 0, 5, 30]),
)  # fmt: skip
PODS = st.builds(
    Pod,
    metadata=METADATA,
    spec=st.builds(
        PodSpec,
        containers=st.sampled_from([None, (ContainerSpec(name="main"), ContainerSpec(name="other"))]),
        init_containers=st.sampled_from([None, (SIDE, ContainerSpec(name="init"))]),
        node_name=st.sampled_from(["", "node"]),
        restart_policy=st.sampled_from(["Never", "OnFailure", "Always", "new"]),
    ),
    status=st.builds(
        PodStatus,
        phase=st.sampled_from(["", "Pending", "Running", "Succeeded", "Failed", "Unknown"]),
        reason=REASONS, message=st.none() | WORDS, conditions=st.none() | CONDITIONS,
        container_statuses=statuses("main", "other"), init_container_statuses=statuses("side", "init"),
    ),
)  # fmt: skip


@given(PODS, EVENTS, st.booleans(), st.booleans(), st.booleans())
def test_nothing_raises_and_a_success_is_the_base_container_s_zero(
    pod: Pod, events: list[PodEvent] | None, deleted: bool, apart: bool, stopping: bool
) -> None:
    needs_events(pod, "main", end_seen_apart=apart, stopping=stopping)
    trouble = start_trouble(pod, events)
    for one in (trouble, node_trouble(pod)):
        assert one is None or (one.sentence and "\n" not in one.sentence and one.is_news(None))
    assert isinstance(has_started(pod, "main"), bool)
    assert isinstance(is_scheduled(pod), bool)
    decision = decide(pod, "main", deleted=deleted, end_seen_apart=apart, stopping=stopping, events=events)
    if decision is None:
        assert not deleted
        assert not pod.is_final
        return
    outcome = decision.outcome
    made = diagnose(outcome, pod, events, base="main", trouble=trouble)
    assert made.summary
    assert "asyncrun-xcom" not in made.text()
    if outcome.verdict is Verdict.SUCCEEDED:
        assert _codes(pod) & {0}
        assert (outcome.exit_code, outcome.decided_by) == (0, "main")


@given(PODS, METADATA, st.booleans(), EVENTS, st.data())
def test_what_ended_by_itself_keeps_its_outcome_whatever_becomes_of_its_pod(
    pod: Pod, metadata: Metadata, deleted: bool, events: list[PodEvent] | None, data: st.DataObject
) -> None:
    if not ended_apart(pod, "main"):
        return
    first = decide(pod, "main")
    assert first is not None
    later = msgspec.structs.replace(
        pod,
        metadata=metadata,
        status=msgspec.structs.replace(
            pod.status,
            phase=data.draw(st.sampled_from(["Running", "Succeeded", "Failed"])),
            reason=data.draw(REASONS),
            conditions=data.draw(CONDITIONS),
        ),
    )
    second = decide(later, "main", deleted=deleted, end_seen_apart=True, events=events)
    assert second is not None
    assert _kept(second.outcome) == _kept(first.outcome)
    assert second.complete or not first.complete


@given(PODS, st.booleans(), EVENTS)
def test_a_complete_outcome_does_not_depend_on_other_containers(
    pod: Pod, deleted: bool, events: list[PodEvent] | None
) -> None:
    whole = decide(pod, "main", deleted=deleted, events=events)
    if whole is None or not whole.complete:
        return
    main = tuple(one for one in pod.status.container_statuses or () if one.name == "main")
    init = tuple(one for one in pod.status.init_container_statuses or () if one.name == "init")
    status = msgspec.structs.replace(pod.status, container_statuses=main, init_container_statuses=init)
    alone = decide(msgspec.structs.replace(pod, status=status), "main", deleted=deleted, events=events)
    assert alone is not None
    if pod.metadata.deletion_timestamp is None:  # of a deleted pod the events must tell of all of its containers
        assert alone.outcome.verdict is whole.outcome.verdict


def _kept(outcome: object) -> tuple[object, ...]:
    return tuple(getattr(outcome, name) for name in ("verdict", "exit_code", "decided_by", "finished_at"))


def _codes(pod: Pod) -> set[int]:
    status = pod.status_of("main")
    if status is None:
        return set()
    ends = (status.state.terminated, status.last_state.terminated)
    return {one.exit_code for one in ends if one is not None}
