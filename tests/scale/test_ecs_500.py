"""Many ECS runs in one triggerer: the real ``TriggerRunner``, our trigger, AWS's wire protocol."""

from __future__ import annotations

import math
import time
from typing import Any

import pytest

from asyncrun.model.settings import Settings
from benchmarks.analysis import Figures, figures
from benchmarks.runner import Load, measure
from benchmarks.standin import Options, StandIn, TaskSpec
from tests.scale.judged import assert_all_ended_right, assert_every_line_once_and_in_order

_SLACK = 1  # calls; a bucket may start with one saved up


def _measured(good: int, bad: int, lifetime: float, options: Options | None = None, **load: Any) -> Figures:
    groups = [(good, TaskSpec(lifetime=lifetime)), (bad, TaskSpec(lifetime=lifetime, exit_codes=(3,)))]
    what = Load(trigger="ours", groups=groups, **load)
    with StandIn(options) as standin:
        raw = measure(what, standin)
        found = figures(what, raw, standin.truth(), standin.calls())
    print(found)  # shown where a test fails
    return found


def _assert_within_budget(found: Figures) -> None:
    settings = Settings()
    ecs = found.most_in_5s["DescribeTasks"]
    logs = found.most_in_5s["FilterLogEvents"]
    assert ecs <= math.ceil(settings.describe_rate * 5) + settings.describe_rate + _SLACK, found.rates
    assert logs <= math.ceil(settings.filter_logs_rate * 5) + settings.filter_logs_rate + _SLACK, found.rates
    assert "GetLogEvents" not in found.calls


def test_a_few_runs_end_right_with_every_line() -> None:
    found = _measured(18, 2, 6.0, limit=60.0, settle=2.0, settings={"logs_quiet_period": "4"})
    assert_all_ended_right(found, succeeded=18, failed_3=2)
    assert_every_line_once_and_in_order(found, 20 * 6)
    _assert_within_budget(found)
    assert found.rounds <= 0, "a round of 20 tasks is one DescribeTasks call"
    assert found.calls["DescribeTaskDefinition"] == 1, "one definition is read once for all runs"


@pytest.mark.scale
@pytest.mark.timeout(300)
def test_an_outage_among_throttled_calls_loses_nothing_and_is_over_when_it_is_over() -> None:
    """The runs end while AWS answers nothing at all; before and after that, a third of the calls is throttled."""
    begins = time.time() + 18
    options = Options(throttle=0.3, latency=0.3, refuse_from=begins, refuse_until=begins + 15)
    with StandIn(options) as standin:
        load = Load(trigger="ours", groups=[(10, TaskSpec(lifetime=15, startup=4, hidden=3))], limit=200)
        raw = measure(load, standin)
        found = figures(load, raw, standin.truth(), standin.calls())
    print(found)
    assert any("ServiceUnavailable" in what for what in found.errors)
    assert_all_ended_right(found, succeeded=10, failed_3=0)
    assert_every_line_once_and_in_order(found, 10 * 15)
    assert max(at for at, _, _ in raw.fired) < begins + 15 + 45


@pytest.mark.scale
@pytest.mark.timeout(600)
def test_500_runs_share_a_few_calls() -> None:
    found = _measured(500, 0, 60.0, limit=300.0)
    assert_all_ended_right(found, succeeded=500, failed_3=0)
    assert_every_line_once_and_in_order(found, 500 * 60)
    _assert_within_budget(found)
    assert found.rounds <= 0, "a round of N tasks takes ceil(N / 100) DescribeTasks calls"
    assert found.watched.longest <= 2.0


@pytest.mark.scale
@pytest.mark.timeout(600)
def test_500_runs_lose_nothing_when_a_tenth_of_the_calls_is_throttled() -> None:
    found = _measured(450, 50, 60.0, Options(throttle=0.1), limit=420.0)
    assert any("ThrottlingException" in what for what in found.errors)
    assert_all_ended_right(found, succeeded=450, failed_3=50)
    assert_every_line_once_and_in_order(found, 500 * 60)
    _assert_within_budget(found)
