"""Many pods in one triggerer: the real ``TriggerRunner``, our trigger, Kubernetes's wire protocol."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from benchmarks.analysis import Figures, figures
from benchmarks.pods import Pods
from benchmarks.rows import STATES
from benchmarks.runner import Load, measure
from benchmarks.standin import TaskSpec
from tests.scale.judged import assert_all_ended_right, assert_every_line_once_and_in_order

_LINGERED = 8.0  # s; after the run that goes before, the shared watch ends, so that the measurement sees its own


def _measured(pods: Pods, groups: list[tuple[int, TaskSpec]], **load: Any) -> Figures:
    what = Load(trigger="ours", platform="pods", groups=groups, warm=True, settle=_LINGERED, **load)
    raw = measure(what, pods)
    found = figures(what, raw, pods.truth(), pods.calls())
    print(found)  # shown where a test fails
    assert pods.errors() == ""
    return found


def _mixed(count: int, lifetime: float) -> list[tuple[int, TaskSpec]]:
    """A tenth of them fail, by two exit codes."""
    some = count // 20
    spec = {"lifetime": lifetime, "startup": 1.0}
    return [
        (count - 2 * some, TaskSpec(**spec)),
        (some, TaskSpec(**spec, exit_codes=(3,))),
        (some, TaskSpec(**spec, exit_codes=(42,))),
    ]


def _assert_one_watch_and_no_call_per_pod(found: Figures) -> None:
    assert (found.calls["list pods"], found.calls["watch pods"]) == (1, 1)
    assert found.calls.get("get pods", 0) == 0
    assert found.calls["follow pods/log"] == found.runs, "one connection for each container's log"
    assert found.calls["get pods/log"] <= found.runs, "and one reading at its end"
    assert found.errors == {}


def test_a_few_pods_end_right_with_every_line() -> None:
    with Pods() as pods:
        found = _measured(pods, _mixed(20, 6.0), limit=60.0)
    assert_all_ended_right(found, succeeded=18, failed_3=1, failed_42=1)
    assert_every_line_once_and_in_order(found)
    _assert_one_watch_and_no_call_per_pod(found)


@pytest.mark.scale
@pytest.mark.timeout(300)
def test_500_pods_cost_one_watch_and_one_connection_for_each_log() -> None:
    with Pods() as pods:
        found = _measured(pods, _mixed(500, 40.0), stagger=20.0, limit=200.0)
    assert_all_ended_right(found, succeeded=450, failed_3=25, failed_42=25)
    assert_every_line_once_and_in_order(found)
    _assert_one_watch_and_no_call_per_pod(found)
    assert found.per_minute(*STATES) <= 0.1


@pytest.mark.scale
@pytest.mark.timeout(400)
def test_500_pods_lose_nothing_where_every_connection_is_cut_and_places_expire() -> None:
    """Every 5 s all connections break, every 7 s history is forgotten: a watch that resumes gets a 410."""
    with Pods(cut_every=5.0, compact_every=7.0) as pods:
        found = _measured(pods, _mixed(500, 40.0), stagger=20.0, limit=300.0)
        most_open = pods.server()["most_open"]
    assert most_open["watch pods"] == 1
    assert_all_ended_right(found, succeeded=450, failed_3=25, failed_42=25)
    assert_every_line_once_and_in_order(found)
    assert found.calls["watch pods"] >= 8
    assert found.calls["list pods"] >= 3, "a 410 leads to a listing"
    assert found.calls.get("get pods", 0) <= found.runs // 50, "a gap is closed by a listing, not by calls for pods"


@pytest.mark.scale
@pytest.mark.timeout(400)
def test_500_pods_of_which_somebody_deletes_50() -> None:
    groups = [*_mixed(450, 40.0), (50, TaskSpec(lifetime=60.0, startup=1.0))]
    with Pods() as pods:
        somebody = threading.Timer(45.0, pods.delete, (451, 50))
        somebody.start()
        try:
            found = _measured(pods, groups, stagger=20.0, limit=300.0)
        finally:
            somebody.join()
    assert_all_ended_right(found, succeeded=406, failed_3=22, failed_42=22, stopped_143=50)
    assert_every_line_once_and_in_order(found)
    assert (found.calls["list pods"], found.calls["watch pods"]) == (1, 1)


@pytest.mark.scale
@pytest.mark.timeout(300)
def test_500_pods_that_start_within_ten_seconds_and_end_in_the_same_second() -> None:
    with Pods() as pods:
        found = _measured(pods, _mixed(500, 20.0), stagger=10.0, end_together=True, limit=200.0)
    assert_all_ended_right(found, succeeded=450, failed_3=25, failed_42=25)
    assert_every_line_once_and_in_order(found)
    _assert_one_watch_and_no_call_per_pod(found)
