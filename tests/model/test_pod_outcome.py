"""When a pod's outcome is known, and what it is: every recorded pod."""

from __future__ import annotations

import msgspec
import pytest

from asyncrun.model.outcome import StopCause, Verdict, to_blame
from asyncrun.model.pod import read_pod
from asyncrun.model.pod_outcome import decide, ended_apart, gave_up
from tests.model.pod_states import E, F, L, N, P, S, code_of, with_end
from tests.support.pod_histories import alive, ending, events, pod_names, raw_pods, updates
from tests.support.traces import names

# trace, pod, base: verdict, exit code, decided by, code
RECORDED: dict[tuple[str, str, str], tuple[Verdict, int | None, str, str]] = {
    ("a_success", "", "main"): (S, 0, "main", ""),
    ("a3_end_timing", "", "main"): (S, 0, "main", ""),
    ("a5_stdout_stderr_order", "", "main"): (S, 0, "main", ""),
    ("b_exit3", "", "main"): (F, 3, "main", ""),
    ("c2_init_fails", "", "main"): (F, 7, "i2", ""),
    ("c_init_two_containers", "", "one"): (S, 0, "one", ""),
    ("c_init_two_containers", "", "two"): (F, 2, "two", ""),
    ("d2_image_dns", "", "main"): (P, None, "main", ""),
    ("d2_image_invalid", "", "main"): (P, None, "main", ""),
    ("d2_image_never", "", "main"): (P, None, "main", ""),
    ("d_image_pull", "", "main"): (P, None, "main", ""),
    ("e_unschedulable", "", "main"): (P, None, "main", ""),
    ("f2_oom_child", "", "main"): (F, 137, "main", ""),
    ("f_oom_pid1", "", "main"): (F, 137, "main", ""),
    ("g2_delete_ignores_term", "", "main"): (P, 137, "main", ""),
    ("g3_delete_force", "", "main"): (P, None, "main", ""),
    ("g4_delete_pending", "", "main"): (P, None, "main", ""),
    ("g5_delete_finished", "", "main"): (S, 0, "main", ""),
    ("g6_delete_foreground_preconditions", "", "main"): (P, 137, "main", ""),
    ("g7_evict_api", "", "main"): (E, 0, "main", "EvictionByEvictionAPI"),
    ("g8_delete_with_finalizer", "", "main"): (P, 0, "main", ""),
    ("g_delete_graceful", "", "main"): (P, 0, "main", ""),
    ("h_active_deadline", "", "main"): (F, 0, "main", "DeadlineExceeded"),
    ("i_restart_onfailure", "", "main"): (S, 0, "main", ""),
    ("j2_sidecar_fails_exit_code", "", "main"): (S, 0, "main", ""),
    ("j3_sidecar_crashes_and_restarts", "", "main"): (S, 0, "main", ""),
    ("j4_plain_second_container_keeps_running", "", "main"): (S, 0, "main", ""),
    ("j5_sidecar_ignores_term", "", "main"): (S, 0, "main", ""),
    ("j_native_sidecar", "", "main"): (S, 0, "main", ""),
    ("l2_slow_partial_line", "", "main"): (S, 0, "main", ""),
    ("l3_sincetime", "", "main"): (S, 0, "main", ""),
    ("l_odd_output", "", "main"): (S, 0, "main", ""),
    ("m_termination_message", "", "file"): (F, 1, "file", ""),
    ("m_termination_message", "", "binary"): (S, 0, "binary", ""),
    ("n_follow_over_restart", "", "main"): (P, 1, "main", ""),
    ("o_start_errors", "o-cmd", "main"): (N, None, "main", ""),
    ("o_start_errors", "o-cfg", "main"): (P, None, "main", ""),
    ("o_start_errors", "o-vol", "main"): (P, None, "main", ""),
    ("o_start_errors", "o-nonroot", "main"): (P, None, "main", ""),
    ("p2_evicted_exit_nonzero", "", "main"): (E, 143, "main", "Evicted"),
    ("p_evicted_by_kubelet", "", "main"): (E, 0, "main", "Evicted"),
    ("q_log_rotation", "", "main"): (S, 0, "main", ""),
    ("r2_kubelet_stopped_term_under_follow", "", "main"): (S, 0, "main", ""),
    ("r_kubelet_killed_under_follow", "", "main"): (S, 0, "main", ""),
    ("t2_node_lost_evicted", "", "main"): (E, 0, "main", "DeletionByTaintManager"),
    ("u_exec_websocket", "", "main"): (P, 137, "main", ""),
    ("v_quiet_follow", "", "main"): (S, 0, "main", ""),
    ("x_logs_after_end", "", "main"): (S, 0, "main", ""),
}
MANY = ("a2_last_line_race", "a4_burst_race", "w_many_at_once")
# The node does not answer, the watch was cut with the API server, the pod left the watch's selector.
UNDECIDED = ("t_node_lost", "s_apiserver_killed", "s2_apiserver_sigterm", "k2_watch_semantics")
WITHOUT_PODS = ("k3_expired_continue_token", "k_bad_requests")


@pytest.mark.parametrize(("case", "expected"), RECORDED.items(), ids=lambda one: "-".join(map(str, one)))
def test_recorded_pods_end_as_they_did(
    case: tuple[str, str, str], expected: tuple[Verdict, int | None, str, str]
) -> None:
    name, pod, base = case
    found = ending(name, pod, base, heard=events(name, pod))
    assert found.decision is not None
    made = found.decision.outcome
    assert (made.verdict, made.exit_code, made.decided_by, made.code) == expected


@pytest.mark.parametrize("name", MANY)
def test_every_pod_of_a_crowd_ends_by_its_own_exit_code(name: str) -> None:
    codes = {}
    for pod in pod_names(name):
        decision = ending(name, pod).decision
        assert decision is not None
        codes[int(pod.rpartition("-")[2])] = (decision.outcome.verdict, decision.outcome.exit_code)
    fails = name == "w_many_at_once"  # every second one of them does
    assert len(codes) > 10
    assert codes == {number: (F, 1) if fails and number % 2 else (S, 0) for number in codes}


def test_no_recorded_pod_is_forgotten() -> None:
    assert {*(name for name, _, _ in RECORDED), *MANY, *UNDECIDED, *WITHOUT_PODS} == set(names())
    assert [name for name in WITHOUT_PODS if raw_pods(name)] == []


@pytest.mark.parametrize("name", UNDECIDED[:3])
def test_a_pod_that_nothing_more_is_heard_of_is_undecided(name: str) -> None:
    assert ending(name).decision is None


# -- when --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "base"),
    [
        ("a_success", "main"),
        ("b_exit3", "main"),
        ("f_oom_pid1", "main"),
        ("j4_plain_second_container_keeps_running", "main"),
        ("j5_sidecar_ignores_term", "main"),
        ("c_init_two_containers", "one"),
        ("c2_init_fails", "main"),
        ("i_restart_onfailure", "main"),
    ],
)
def test_an_end_of_its_own_is_known_before_the_final_phase(name: str, base: str) -> None:
    found = ending(name, base=base)
    assert found.pod.status.phase in ("Running", "Pending")
    assert not found.asked_for_events


def test_a_container_that_will_be_restarted_has_not_ended() -> None:
    seen = updates("i_restart_onfailure")
    ended = [one.pod for one in seen if (one.pod.status_of("main") or None) and code_of(one.pod) == 1]
    assert len(ended) == 2
    assert [decide(one, "main") for one in ended] == [None, None]
    assert decide(alive("n_follow_over_restart"), "main") is None


@pytest.mark.parametrize(
    ("policy", "own", "exit_code", "ended"),
    [
        ("Never", None, 0, True),
        ("Never", None, 1, True),
        ("OnFailure", None, 0, True),
        ("OnFailure", None, 1, False),
        ("Always", None, 0, False),
        ("Always", None, 1, False),
        ("Always", "Never", 1, True),
        ("Never", "OnFailure", 1, False),
    ],
)
def test_restart_policies_decide_whether_an_end_is_the_last(
    policy: str, own: str | None, exit_code: int, ended: bool
) -> None:
    raw = msgspec.to_builtins(with_end(alive("b_exit3"), phase="Running", exit_code=exit_code))
    raw["spec"]["restartPolicy"] = policy
    raw["spec"]["containers"][0]["restartPolicy"] = own
    pod = read_pod(msgspec.json.encode(raw))
    assert (decide(pod, "main") is not None) is ended
    assert ended_apart(pod, "main") is ended


def test_a_kill_that_nobody_explains_is_incomplete_until_the_final_phase() -> None:
    running = with_end(alive("b_exit3"), phase="Running", exit_code=143)
    decision = decide(running, "main")
    assert decision is not None
    assert (decision.outcome.verdict, decision.complete) == (F, False)
    decision = decide(with_end(running, phase="Failed", exit_code=143), "main", end_seen_apart=True)
    assert decision is not None
    assert decision.complete


def test_out_of_memory_is_complete_at_once() -> None:
    found = ending("f2_oom_child")
    assert found.decision is not None
    assert found.pod.status.phase == "Running"
    assert found.decision.outcome.container("main") is not None


# -- the facts ---------------------------------------------------------------------------------------------------------


def test_an_unknown_end_has_no_exit_code_and_does_not_touch_a_success() -> None:
    last = updates("j3_sidecar_crashes_and_restarts")[-1].pod
    decision = decide(last, "main", end_seen_apart=True)
    assert decision is not None
    side = decision.outcome.container("side")
    assert side is not None
    assert (side.exit_code, side.reason, side.essential) == (None, "ContainerStatusUnknown", False)
    assert decision.outcome.verdict is S


def test_an_unknown_end_of_the_base_container_is_lost() -> None:
    unknown = with_end(alive("b_exit3"), phase="Failed", exit_code=137, reason="ContainerStatusUnknown")
    decision = decide(unknown, "main")
    assert decision is not None
    assert (decision.outcome.verdict, decision.outcome.exit_code) == (L, None)
    assert decision.outcome.our_reason == (
        "the node no longer knew the container, so how its process ended is not known"
    )


def test_a_container_that_could_not_be_started_has_no_exit_code_and_no_times() -> None:
    found = ending("o_start_errors", "o-cmd")
    assert found.decision is not None
    container = found.decision.outcome.container("main")
    assert container is not None
    assert (container.exit_code, container.reason, container.started_at) == (None, "StartError", None)
    assert container.message.endswith('exec: "/no/such": stat /no/such: no such file or directory: unknown')


def test_an_init_container_that_failed_is_to_blame() -> None:
    found = ending("c2_init_fails")
    assert found.decision is not None
    blamed = to_blame(found.decision.outcome)
    assert blamed is not None
    assert (blamed.name, blamed.exit_code) == ("i2", 7)
    essential = {one.name for one in found.decision.outcome.containers if one.essential}
    assert essential == {"i1", "i2", "i3", "main"}


def test_containers_come_in_the_order_of_the_definition_with_their_times() -> None:
    found = ending("m_termination_message", base="file")
    assert found.decision is not None
    made = found.decision.outcome
    assert [one.name for one in made.containers] == [
        "file", "nofile", "fallback", "fallbackok", "fallbacklong", "big", "binary", "otherpath"
    ]  # fmt: skip
    first = made.containers[0]
    assert first.started_at is not None
    assert first.finished_at is not None
    assert made.started_at == first.started_at <= first.finished_at == made.finished_at
    assert [one.name for one in made.containers if one.essential] == ["file"]


def test_termination_messages_are_kept_but_for_their_middle() -> None:
    found = ending("m_termination_message", base="file")
    assert found.decision is not None
    made = {one.name: one.message for one in found.decision.outcome.containers}
    assert made["file"] == "from the file"
    assert made["fallback"] == "fb line1\nfb line2"
    assert len(made["big"]) == 1536  # the kubelet's share for one of eight containers
    long = with_end(alive("b_exit3"), phase="Failed", exit_code=1, message="a" * 6000 + "b" * 6000)
    decision = decide(long, "main")
    assert decision is not None
    kept = decision.outcome.containers[0].message
    assert len(kept) < 2000
    assert kept.startswith("aaa")
    assert " [...] " in kept
    assert kept.endswith("bbb")


def test_a_handed_over_xcom_is_no_message() -> None:
    handed = with_end(
        alive("a_success"), phase="Succeeded", exit_code=0, message="asyncrun-xcom/1 inline 3 c0ffee MTIz ."
    )
    decision = decide(handed, "main")
    assert decision is not None
    assert [one.message for one in decision.outcome.containers] == [""]


def test_giving_up_keeps_what_was_seen() -> None:
    made = gave_up(Verdict.NEVER_STARTED, "too late", StopCause.START, base="main", pod=alive("d_image_pull"))
    assert (made.verdict, made.stop_cause, made.our_reason) == (N, StopCause.START, "too late")
    assert [(one.name, one.exit_code, one.reason) for one in made.containers] == [("main", None, "ImagePullBackOff")]
    assert gave_up(L, "gone", base="main").containers == ()
