"""What an eviction or a deletion makes of a pod's outcome."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.model.pod import read_pod
from asyncrun.model.pod_outcome import decide, ended_apart, gave_up, needs_events
from tests.model.pod_states import E, F, L, N, P, S, edited, with_end
from tests.support.pod_histories import alive, ending, events, updates


def test_an_eviction_that_looks_like_a_success_is_told_by_its_event_only() -> None:
    blind = ending("p_evicted_by_kubelet")
    assert blind.asked_for_events
    assert blind.decision is not None
    assert blind.decision.outcome.verdict is S
    told = ending("p_evicted_by_kubelet", heard=events("p_evicted_by_kubelet"))
    assert told.decision is not None
    assert told.decision.outcome.verdict is E
    assert told.decision.outcome.reason == 'Usage of EmptyDir volume "d" exceeds the limit "5Mi".'


def test_an_end_while_the_pod_is_being_disrupted_is_not_its_own() -> None:
    pod = with_end(alive("b_exit3"), phase="Running", exit_code=0)
    assert ended_apart(pod, "main")
    told = {"type": "DisruptionTarget", "status": "True", "reason": "TerminationByKubelet"}
    disrupted = edited(pod, status={"conditions": [told]})
    assert not ended_apart(disrupted, "main")
    decision = decide(disrupted, "main")
    assert decision is not None
    assert (decision.outcome.verdict, decision.complete) == (E, False)


def test_events_are_asked_for_only_where_they_decide() -> None:
    assert needs_events(with_end(alive("b_exit3"), phase="Succeeded", exit_code=0), "main")
    assert not needs_events(with_end(alive("b_exit3"), phase="Succeeded", exit_code=0), "main", end_seen_apart=True)
    assert not needs_events(with_end(alive("b_exit3"), phase="Failed", exit_code=3), "main")
    assert not needs_events(with_end(alive("b_exit3"), phase="Running", exit_code=0), "main")
    graceful = next(one.pod for one in updates("g_delete_graceful") if one.pod.is_final)
    assert graceful.metadata.deletion_grace_period_seconds == 5
    assert not needs_events(graceful, "main")
    last = updates("g_delete_graceful")[-1].pod
    assert needs_events(last, "main")
    assert not needs_events(last, "main", stopping=True)


def test_an_ordinary_end_that_was_seen_late_asks_for_events_and_stays_a_success() -> None:
    late = ending("a_success", first=6, heard=events("a_success"))
    assert late.asked_for_events
    assert late.decision is not None
    assert late.decision.outcome.verdict is S


def test_what_ended_by_itself_before_an_eviction_keeps_its_outcome() -> None:
    evicted = edited(alive("a_success"), status={"reason": "Evicted", "phase": "Failed"})
    decision = decide(evicted, "main", end_seen_apart=True, events=events("p_evicted_by_kubelet"))
    assert decision is not None
    assert (decision.outcome.verdict, decision.outcome.exit_code) == (S, 0)


def test_what_befalls_a_pod_after_its_container_s_end_is_no_reason_for_it() -> None:
    late = edited(alive("b_exit3"), status={"reason": "DeadlineExceeded", "phase": "Failed"})
    decision = decide(late, "main", end_seen_apart=True)
    assert decision is not None
    outcome = decision.outcome
    assert (outcome.verdict, outcome.exit_code, outcome.code, outcome.reason) == (F, 3, "", "")


def test_a_node_that_refuses_a_pod_never_started_it() -> None:
    refused = edited(
        updates("a_success")[1].pod, status={"phase": "Failed", "reason": "OutOfcpu", "message": "Node didn't have cpu"}
    )
    decision = decide(refused, "main")
    assert decision is not None
    assert (decision.outcome.verdict, decision.outcome.code) == (N, "OutOfcpu")


def test_a_deletion_after_the_end_changes_nothing() -> None:
    seen = updates("g5_delete_finished")
    apart = False
    for one in seen:
        apart = apart or ended_apart(one.pod, "main")
    decision = decide(seen[-1].pod, "main", deleted=True, end_seen_apart=apart)
    assert decision is not None
    assert decision.outcome.verdict is S


@pytest.mark.parametrize(("name", "expected"), [("g5_delete_finished", S), ("g_delete_graceful", P)])
def test_a_deleted_pod_that_is_seen_last_only_is_judged_by_its_events(name: str, expected: Verdict) -> None:
    last = updates(name)[-1].pod
    assert last.metadata.deletion_grace_period_seconds == 0
    assert needs_events(last, "main")
    told = decide(last, "main", deleted=True, events=events(name))
    blind = decide(last, "main", deleted=True)
    assert told is not None
    assert blind is not None
    assert (told.outcome.verdict, blind.outcome.verdict) == (expected, P)


def test_events_that_were_read_before_the_container_ran_prove_nothing() -> None:
    last = updates("g_delete_graceful")[-1].pod
    early = [one for one in events("g_delete_graceful") if one.reason == "Scheduled"]
    decision = decide(last, "main", deleted=True, events=early)
    assert decision is not None
    assert decision.outcome.verdict is P


def test_events_prove_nothing_while_the_deletion_has_a_grace() -> None:
    graceful = next(one.pod for one in updates("g_delete_graceful") if one.pod.is_final)
    decision = decide(graceful, "main", events=events("a_success"))
    assert decision is not None
    assert decision.outcome.verdict is P


def test_an_init_container_whose_end_is_unknown_decides_nothing() -> None:
    raw = msgspec.to_builtins(alive("c2_init_fails"))
    unknown = {"terminated": {"exitCode": 137, "reason": "ContainerStatusUnknown"}}
    raw["status"]["initContainerStatuses"][1]["state"] = unknown
    decision = decide(read_pod(msgspec.json.encode(raw)), "main")
    assert decision is not None
    assert (decision.outcome.verdict, decision.outcome.decided_by) == (N, "main")


def test_a_container_between_two_instances_has_the_end_of_the_last_one() -> None:
    waiting = alive("n_follow_over_restart")
    crashing = next(
        one.pod
        for one in updates("n_follow_over_restart")
        if (status := one.pod.status_of("main")) and status.state.waiting and status.last_state.terminated
    )
    assert decide(waiting, "main") is None
    decision = decide(crashing, "main", deleted=True)
    assert decision is not None
    assert (decision.outcome.verdict, decision.outcome.exit_code) == (F, 1)


def test_a_restarted_container_that_runs_has_no_exit_code() -> None:
    again = next(
        one.pod
        for one in updates("n_follow_over_restart")
        if (status := one.pod.status_of("main")) and status.state.running and status.last_state.terminated
    )
    made = gave_up(P, "too long", StopCause.DEADLINE, base="main", pod=again)
    assert (made.exit_code, made.finished_at) == (None, None)
    assert made.started_at is not None


def test_a_container_that_ended_before_the_deletion_was_asked_for_ended_by_itself() -> None:
    ended = alive("a_success")
    finished = ended.status_of("main")
    assert finished is not None
    assert finished.state.terminated is not None
    at = finished.state.terminated.finished_at
    assert at is not None
    for later, expected in ((31, S), (30, P), (29, P)):
        asked = msgspec.structs.replace(
            ended.metadata,
            deletion_timestamp=at.fromtimestamp(at.timestamp() + later, tz=at.tzinfo),
            deletion_grace_period_seconds=30,
        )
        decision = decide(msgspec.structs.replace(ended, metadata=asked), "main")
        assert decision is not None
        assert decision.outcome.verdict is expected


@pytest.mark.parametrize(
    ("name", "words"),
    [
        (
            "g3_delete_force",
            "it was deleted while its container was shown as running, so how its process ended is not known",
        ),
        ("g4_delete_pending", "it was deleted before its container ran"),
        ("e_unschedulable", "it was deleted before its container ran"),
        ("g_delete_graceful", ""),
    ],
)
def test_a_deletion_says_what_it_came_before(name: str, words: str) -> None:
    found = ending(name, heard=events(name))
    assert found.decision is not None
    assert found.decision.outcome.our_reason == words


def test_a_pod_that_is_gone_without_a_deletion_is_lost_unless_we_stopped_it() -> None:
    running = next(one.pod for one in updates("a_success") if one.pod.status.phase == "Running")
    lost = decide(running, "main", deleted=True)
    ours = decide(running, "main", deleted=True, stopping=True)
    assert lost is not None
    assert ours is not None
    assert (lost.outcome.verdict, ours.outcome.verdict) == (L, P)
    assert lost.outcome.our_reason == "the pod no longer exists, and nobody was seen to delete it"


def test_a_crashing_container_that_is_deleted_keeps_its_last_exit_code() -> None:
    found = ending("n_follow_over_restart")
    assert found.decision is not None
    container = found.decision.outcome.container("main")
    assert container is not None
    assert (container.exit_code, container.reason) == (1, "Error")
