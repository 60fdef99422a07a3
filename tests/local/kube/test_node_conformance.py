"""Every recorded pod on the embedded node: the same states, field by field, the same log and the same events."""

from __future__ import annotations

import asyncio
import re
import signal
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from tests.local.kube.node_lab import Json, Play, Stage, Story, perform, pods_of, recorded

FINAL = ("Succeeded", "Failed")


def is_final(pod: Json) -> bool:
    return bool(pod["status"].get("phase") in FINAL)


def is_running(pod: Json) -> bool:
    return bool(pod["status"].get("phase") == "Running")


def statuses(pod: Json) -> list[Json]:
    status = pod["status"]
    return [*status.get("initContainerStatuses", ()), *status.get("containerStatuses", ())]


def kind_of_state(pod: Json, name: str) -> str:
    return str(next(key for one in statuses(pod) if one["name"] == name for key in one["state"]))


def is_waiting(reason: str) -> Callable[[Json], bool]:
    return lambda pod: any((one["state"].get("waiting") or {}).get("reason") == reason for one in statuses(pod))


def catches_term(command: list[str]) -> bool:
    """Whether a process of ours with that command handles SIGTERM by now."""
    for process in psutil.Process().children(recursive=True):
        try:
            found = process.cmdline() == command
            text = Path(f"/proc/{process.pid}/status").read_text() if found else ""
        except (psutil.Error, OSError):
            continue
        caught = re.search(r"SigCgt:\s*(\w+)", text)
        if caught and int(caught[1], 16) >> (signal.SIGTERM - 1) & 1:
            return True
    return False


# -- what happens to the recorded pods ---------------------------------------------------------------------------------


async def runs_to_its_end(stage: Stage) -> None:
    last = await stage.until(is_final)
    stage.read_logs()
    if any("waiting" in one["state"] and one["lastState"] for one in statuses(last)):
        await stage.until(is_final_with("ContainerStatusUnknown"))


def is_final_with(reason: str) -> Callable[[Json], bool]:
    return lambda pod: (
        is_final(pod) and any((one["state"].get("terminated") or {}).get("reason") == reason for one in statuses(pod))
    )


def waits(reason: str, *, times: int = 1) -> Play:
    async def play(stage: Stage) -> None:
        def often(_: Json) -> bool:
            shown = [one for one in stage.seen if is_waiting(reason)(one)]
            return len(shown) >= times

        await stage.until(often)

    return play


async def volume_is_missing(stage: Stage) -> None:
    events = stage.store.subscribe("events")
    async with asyncio.timeout(30):
        while True:
            _, event = await events.next()
            if event["reason"] == "FailedMount" and event["involvedObject"]["uid"] == stage.uid:
                return


def deleted_at(text: bytes, **options: int) -> Play:
    async def play(stage: Stage) -> None:
        await stage.until(is_running)
        await stage.wrote("main", text)
        view = stage.node.log(stage.uid, "main", previous=False)
        assert view is not None
        stage.delete(**options)
        await stage.gone()
        stage.logs["main"] = await stage.whole(view)  # who follows it gets all of it, also of a forced deletion

    return play


async def deleted_while_pulling(stage: Stage) -> None:
    await stage.until(is_waiting("ErrImagePull"))
    stage.delete()
    await stage.gone()


async def deleted_after_its_end(stage: Stage) -> None:
    await runs_to_its_end(stage)
    stage.delete()
    await stage.gone()


async def evicted_by_the_api(stage: Stage) -> None:
    await stage.until(is_running)
    command = stage.seen[0]["spec"]["containers"][0]["command"]
    async with asyncio.timeout(30):
        while True:  # it prints nothing by which one could see that it has set its trap
            if await asyncio.to_thread(catches_term, command):
                break
            await asyncio.sleep(0.02)
    stage.evict()
    await stage.gone()


async def held_by_a_finalizer(stage: Stage) -> None:
    await stage.until(is_running)
    await stage.wrote("main", b"up")
    stage.delete(gracePeriodSeconds=5)
    await stage.until(lambda pod: pod["metadata"].get("deletionGracePeriodSeconds") == 0)
    assert stage.node.log(stage.uid, "main", previous=False) is None


async def unschedulable(stage: Stage) -> None:
    await stage.until(lambda pod: pod["status"].get("conditions"))
    stage.delete()
    await stage.gone()


async def restarts_twice(stage: Stage) -> None:
    await stage.until(lambda pod: statuses(pod) and statuses(pod)[0]["restartCount"] == 2 and not is_up(pod))
    assert b"run 3 line 3" in stage.text("main")
    assert b"run 2 line 3" in stage.text("main", previous=True)


def is_up(pod: Json) -> bool:
    return "running" in statuses(pod)[0]["state"]


def ready_is(value: str) -> Callable[[Json], bool]:
    def check(pod: Json) -> bool:
        return any((one["type"], one["status"]) == ("Ready", value) for one in pod["status"].get("conditions", ()))

    return check


async def node_is_lost_for_a_while(stage: Stage) -> None:
    await stage.until(is_running)
    await stage.node.fault("lost", {})
    await stage.until(lambda pod: is_running(pod) and ready_is("False")(pod))
    stage.seen_before = len(stage.seen)
    await stage.node.fault("recover", {})
    await stage.until(lambda _: any(ready_is("True")(one) for one in stage.seen[stage.seen_before :]))


async def node_is_lost_and_the_pod_evicted(stage: Stage) -> None:
    await stage.until(is_running)
    await stage.wrote("main", b"up")
    await stage.node.fault("lost", {})
    await stage.until(lambda pod: "deletionTimestamp" in pod["metadata"])
    await stage.node.fault("recover", {})
    await stage.gone()


# -- what may differ ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Difference:
    """
    Something in which ours may differ from what was recorded.

    :param why: it may.
    :param states: states that are left out of both.
    :param logs: what is compared of each log.
    :param events: reasons of events that are left out of both.
    """

    why: str
    states: Callable[[Json], bool] = lambda _state: False
    logs: Callable[[str], object] = str
    events: tuple[str, ...] = ()


def _lines(text: str) -> object:
    return sorted(text.splitlines())


def _mixed(state: Json) -> bool:
    kinds = {next(iter(one["state"])) for one in statuses(state)}
    return len(kinds) > 1 or (kinds == {"running"} and is_running(state))


def _backs_off(state: Json) -> bool:
    """Or would do so soon, and is being deleted."""
    is_deleted = state["generation"] == 2
    return is_waiting("ImagePullBackOff")(state) or (is_deleted and is_waiting("ErrImagePull")(state))


ALLOWED = {
    "b_exit3": Difference("stdout and stderr are two pipes: their order is not the program's (facts)", logs=_lines),
    "l_odd_output": Difference("the same", logs=_lines),
    "g2_delete_ignores_term": Difference("the sleeps are shorter, the grace is not", logs=lambda text: text[:20]),
    "g3_delete_force": Difference(
        "the container's own sleep is shorter than the 2 s that it is given, and was not", logs=lambda text: text[:12]
    ),
    "g4_delete_pending": Difference(
        "the recorded kubelet came to its next attempt within the second before it saw the deletion; on a busy machine "
        "ours shows the back-off before it sees the deletion, or is even told of it",
        states=_backs_off,
        events=("BackOff", "Failed"),
    ),
    "j3_sidecar_crashes_and_restarts": Difference(
        "a kubelet shows a back-off at its next look, up to 12 s later, here it is shown soon",
        states=lambda state: is_waiting("CrashLoopBackOff")(state) and kind_of_state(state, "main") == "running",
    ),
    "n_follow_over_restart": Difference("its last log was read at another time", logs=lambda _text: ""),
    "t_node_lost": Difference(
        "the recorded kubelet was slow, and its first two states came as one",
        states=lambda state: (
            state["status"]["conditions"].get("PodReadyToStartContainers", {}).get("status") == "False"
        ),
    ),
    "t2_node_lost_evicted": Difference(
        "a kubelet that starts again mounts the volumes of pods that end, and fails", events=("FailedMount",)
    ),
    "m_termination_message": Difference(
        "eight short containers: which of them have ended in which of the states between is a matter of chance",
        states=_mixed,
    ),
}
NONE = Difference("")

PLAYS: dict[tuple[str, str], Play] = {
    ("d_image_pull", "d-pull"): waits("ImagePullBackOff", times=3),
    ("d2_image_dns", "d2-dns"): waits("ImagePullBackOff"),
    ("d2_image_invalid", "d2-invalid"): waits("InvalidImageName"),
    ("d2_image_never", "d2-never"): waits("ErrImageNeverPull"),
    ("e_unschedulable", "e-unsched"): unschedulable,
    ("g_delete_graceful", "g-del"): deleted_at(b"up", gracePeriodSeconds=5),
    ("g2_delete_ignores_term", "g2-del"): deleted_at(b"tick 1", gracePeriodSeconds=5),
    ("g3_delete_force", "g3-del"): deleted_at(b"up", gracePeriodSeconds=0),
    ("g4_delete_pending", "g4-del"): deleted_while_pulling,
    ("g5_delete_finished", "g5-del"): deleted_after_its_end,
    ("g7_evict_api", "g7-evict"): evicted_by_the_api,
    ("g8_delete_with_finalizer", "g8-fin"): held_by_a_finalizer,
    ("n_follow_over_restart", "n-follow"): restarts_twice,
    ("o_start_errors", "o-cmd"): runs_to_its_end,
    ("o_start_errors", "o-cfg"): waits("CreateContainerConfigError"),
    ("o_start_errors", "o-vol"): volume_is_missing,
    ("o_start_errors", "o-nonroot"): waits("CreateContainerConfigError"),
    **{
        (name, pods_of(name)[0]): runs_to_its_end
        for name in (
            "a_success",
            "b_exit3",
            "c_init_two_containers",
            "c2_init_fails",
            "f_oom_pid1",
            "f2_oom_child",
            "h_active_deadline",
            "i_restart_onfailure",
            "j_native_sidecar",
            "j2_sidecar_fails_exit_code",
            "j3_sidecar_crashes_and_restarts",
            "j4_plain_second_container_keeps_running",
            "j5_sidecar_ignores_term",
            "l_odd_output",
            "l2_slow_partial_line",
            "m_termination_message",
            "p_evicted_by_kubelet",
            "p2_evicted_exit_nonzero",
            "x_logs_after_end",
        )
    },
}


LOST: dict[tuple[str, str], Play] = {
    ("t_node_lost", "t-lost"): node_is_lost_for_a_while,
    ("t2_node_lost_evicted", "t-lost"): node_is_lost_and_the_pod_evicted,
}


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], Story]:
    """All of them, at once: a real node has more than one pod, too."""
    folder: Path = tmp_path_factory.mktemp("node")
    found = asyncio.run(perform(folder, PLAYS))
    assert not list(folder.iterdir())
    return found


def of_traces(name: str) -> tuple[Difference, bool]:
    return ALLOWED.get(name, NONE), name.startswith(("e_", "g", "t2_"))


@pytest.mark.parametrize(("name", "pod"), LOST)
def test_a_lost_node_leaves_the_states_of_the_trace(name: str, pod: str, tmp_path: Path) -> None:
    allowed, deleted = of_traces(name)
    wanted = recorded(name, pod, deleted=deleted)
    ours = asyncio.run(perform(tmp_path, {(name, pod): LOST[name, pod]}))[name, pod]
    found = [one for one in ours.states if not allowed.states(one)]
    assert found == [one for one in wanted.states if not allowed.states(one)]
    events = [one for one in wanted.events if one[2] not in allowed.events]
    assert [one for one in ours.events if one[2] not in allowed.events] == events


@pytest.mark.parametrize(("name", "pod"), PLAYS)
def test_states_are_those_of_the_trace(name: str, pod: str, ours: dict[tuple[str, str], Story]) -> None:
    allowed, deleted = of_traces(name)
    wanted = [one for one in recorded(name, pod, deleted=deleted).states if not allowed.states(one)]
    found = [one for one in ours[name, pod].states if not allowed.states(one)]
    assert found == wanted


@pytest.mark.parametrize(
    ("name", "pod"), [(name, pod) for name, pod in PLAYS if recorded(name, pod, deleted=False).logs]
)
def test_logs_are_those_of_the_trace(name: str, pod: str, ours: dict[tuple[str, str], Story]) -> None:
    allowed, deleted = of_traces(name)
    for container, text in recorded(name, pod, deleted=deleted).logs.items():
        assert allowed.logs(ours[name, pod].logs.get(container, "")) == allowed.logs(text)


@pytest.mark.parametrize(("name", "pod"), PLAYS)
def test_events_are_those_of_the_trace(name: str, pod: str, ours: dict[tuple[str, str], Story]) -> None:
    allowed, deleted = of_traces(name)
    wanted = [one for one in recorded(name, pod, deleted=deleted).events if one[2] not in allowed.events]
    assert [one for one in ours[name, pod].events if one[2] not in allowed.events] == wanted
