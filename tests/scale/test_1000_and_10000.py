"""A thousand runs with logs, and ten thousand without, in one triggerer: right, and with few calls."""

from __future__ import annotations

import math
from typing import Any

import pytest

from asyncrun.model.settings import Settings
from benchmarks.analysis import Figures
from benchmarks.measurement import Measurement, made
from benchmarks.rows import STATES
from tests.scale.judged import assert_all_ended_right, assert_every_line_once_and_in_order

pytestmark = pytest.mark.scale

_SLACK = 1  # calls; a bucket may start with one saved up


def _made(**what: Any) -> Figures:
    found = made(Measurement(trigger="ours", **what))
    print(found)  # shown where a test fails
    return found


def _assert_few_calls_of_ecs(found: Figures) -> None:
    settings = Settings()
    most = found.most_in_5s["DescribeTasks"]
    assert most <= math.ceil(settings.describe_rate * 5) + settings.describe_rate + _SLACK, found.rates
    # Newcomers are asked for early, three times in a row at most, with a call that is not full.
    assert found.rounds <= 3, "a round of N tasks takes ceil(N / 100) DescribeTasks calls, and those for newcomers"
    assert found.calls["DescribeTaskDefinition"] <= 2, "one definition is read once for all runs"
    assert found.errors == {} or set(found.errors) == {"FilterLogEvents ResourceNotFoundException"}


def _assert_one_watch_and_no_call_per_pod(found: Figures) -> None:
    assert found.calls["list pods"] <= 2
    assert found.calls["watch pods"] <= 2 + found.run_minutes / found.runs / 5, "one, renewed every five minutes"
    assert found.calls.get("get pods", 0) <= found.runs // 100
    assert found.per_minute(*STATES) <= 0.1


@pytest.mark.timeout(900)
def test_1000_ecs_tasks_with_logs_deferred_within_10_seconds_and_ending_together() -> None:
    found = _made(platform="ecs", runs=1000, lifetime=60.0, stagger=10.0, end_together=True)
    assert_all_ended_right(found, succeeded=found.runs * 9 // 10, failed_3=found.runs // 10)
    assert_every_line_once_and_in_order(found)
    _assert_few_calls_of_ecs(found)


@pytest.mark.timeout(900)
def test_1000_pods_with_logs_deferred_within_10_seconds_and_ending_together() -> None:
    found = _made(platform="pods", runs=1000, lifetime=60.0, stagger=10.0, end_together=True)
    assert_all_ended_right(found, succeeded=found.runs * 9 // 10, failed_3=found.runs // 10)
    assert_every_line_once_and_in_order(found)
    _assert_one_watch_and_no_call_per_pod(found)
    assert found.calls["follow pods/log"] == found.runs, "one connection for each container's log"


@pytest.mark.timeout(1800)
def test_10000_ecs_tasks_without_logs() -> None:
    found = _made(platform="ecs", runs=10_000, lines=0.0, lifetime=150.0, stagger=60.0)
    assert_all_ended_right(found, succeeded=found.runs * 9 // 10, failed_3=found.runs // 10)
    _assert_few_calls_of_ecs(found)
    assert "FilterLogEvents" not in found.calls


@pytest.mark.timeout(1800)
def test_10000_pods_without_logs() -> None:
    found = _made(platform="pods", runs=10_000, lines=0.0, lifetime=150.0, stagger=120.0)
    assert_all_ended_right(found, succeeded=found.runs * 9 // 10, failed_3=found.runs // 10)
    _assert_one_watch_and_no_call_per_pod(found)
    assert "follow pods/log" not in found.calls
