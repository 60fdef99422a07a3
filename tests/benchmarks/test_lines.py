"""What became of each line and run: lost, doubled, in the wrong place, left to a worker; how long they were watched."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest

from benchmarks.analysis import figures
from benchmarks.figures import Figures
from benchmarks.load import Load, Raw
from benchmarks.standin import TaskSpec

_NOW = 1_800_000_000.0
_STAMP = "2027-01-15T08:00:{:06.3f}Z"


def _record(number: int, text: str, second: float = 1.0) -> str:
    return json.dumps({"timestamp": _STAMP.format(second), "event": text, "trigger_id": number})


def _judged(
    records: list[tuple[float, str]], trigger: str = "ours", covering: tuple[dict[str, Any], ...] = (),
    true: dict[str, Any] | None = None, calls: int = 0, **noted: Any,
) -> Figures:  # fmt: skip
    """
    One pod that was to write three lines, ran from +2 s on, and ended at +10 s.

    :param true: what of this was otherwise.
    :param calls: listings of pods.
    """
    load = Load(trigger=trigger, platform="pods", groups=[(1, TaskSpec(lifetime=3.0, startup=2.0))])
    over = {"kind": "TriggerEvent", "payload": {"status": "success"}}
    usual = {
        "started": _NOW, "ended": _NOW + 20, "complete": True, "arns": {1: "uid-1"}, "names": {1: "bench-1"},
        "added": {1: _NOW}, "samples": [(_NOW - 1, 1.0, 2**20), (_NOW + 5, 2.0, 2**21)],
        "fired": [(_NOW + 10.5, 1, over)], "finished": {1: _NOW + 11},
    }  # fmt: skip
    raw = Raw(records=[(_NOW + at, line) for at, line in records], **{**usual, **noted})  # type: ignore[arg-type]
    truth = {
        "arn": "uid-1", "mark": "r00001", "lines": {"r00001": [(place, _NOW + place) for place in range(3)]},
        "exit_codes": [0], "first_described": 0.0, "ended_at": _NOW + 10, "end_described": 0.0,
        "running_at": _NOW + 2, "ran_until": _NOW + 10, **(true or {}),
    }  # fmt: skip
    listings = [(_NOW + 1, "list pods", 1, 0, "", 0.0)] * calls
    return figures(load, raw, [truth], {"calls": listings, "rounds": [], "covering": covering})


def _line(place: int) -> str:
    return _record(1, f"r00001 {place}.xxxx", place)


_ALL = [(place + 0.5, _line(place)) for place in range(3)]


def test_lines_that_arrive_once_and_in_order_are_right_and_have_their_lag() -> None:
    found = _judged(_ALL)
    assert found.flaws() == []
    assert (found.lines.written, found.lines.arrived) == (3, 3)
    assert found.line_lag.median == pytest.approx(0.5)
    assert found.rss_per_run == 1024


def test_lines_that_a_container_should_have_written_and_did_not_are_a_flaw() -> None:
    told = "{} lines that the containers should have written and did not"
    two = {"lines": {"r00001": [(0, _NOW), (1, _NOW + 1)]}}
    assert _judged(_ALL[:2], true=two).flaws() == [told.format(1)]
    assert _judged([], true={"lines": {}}).flaws() == [told.format(3)]
    assert _judged(_ALL[:2], true=two, trigger="upstream").flaw_count() == 1
    somebody = {"deleted": True, "exit_codes": [143]}
    assert _judged(_ALL[:2], true=two | somebody).due == 0, "a pod that was deleted need not write all of its lines"


@pytest.mark.parametrize(
    ("seconds", "rate", "lines"), [(8.0, 2.0, 16), (0.2, 50.0, 10), (0.29, 100.0, 29), (0.5, 1, 0)]
)
def test_as_many_lines_are_written_as_fit(seconds: float, rate: float, lines: int) -> None:
    began = 1_790_000_000.123
    assert TaskSpec(lines_per_second=rate).written_in(began + seconds - began) == lines


def test_several_lines_in_one_record_count_one_by_one() -> None:
    found = _judged([(3.0, _record(1, "r00001 0.x\nr00001 1.x\nr00001 2.x"))])
    assert found.flaws() == []
    assert found.lines.arrived == 3


def test_a_missing_line_of_ours_is_lost_wherever_it_was() -> None:
    assert _judged(_ALL[:2]).lines.lost == 1
    assert _judged(_ALL[1:]).flaws() == ["1 lines lost"]


def test_the_last_lines_of_an_upstream_pod_are_left_to_a_worker_and_others_lost() -> None:
    last = _judged(_ALL[:2], trigger="upstream")
    assert (last.lines.left, last.lines.lost) == (1, 0)
    first = _judged(_ALL[1:], trigger="upstream")
    assert (first.lines.left, first.lines.lost) == (0, 1)
    none = _judged([], trigger="upstream")
    assert (none.lines.left, none.lines.lost) == (3, 0)


def test_a_line_that_comes_again_is_doubled_and_out_of_order() -> None:
    found = _judged([*_ALL, (4.0, _line(0))])
    assert found.flaws() == ["1 lines doubled", "1 lines out of order"]


def test_an_older_stamp_after_a_newer_one_is_out_of_order() -> None:
    found = _judged([*_ALL[:2], (2.5, _record(1, "r00001 2.x", second=0.2))])
    assert found.lines.disordered == 1


def test_a_line_after_the_triggers_end_or_under_another_task_is_outside_of_its_log() -> None:
    assert _judged([*_ALL[:2], (12.0, _line(2))]).flaws() == ["1 lines outside of their task's log"]
    assert _judged([*_ALL[:2], (2.5, _record(7, "r00001 2.x", 2))]).lines.elsewhere == 1


def test_a_run_that_ended_otherwise_than_its_container_or_not_at_all_is_wrong() -> None:
    failed = {"kind": "TriggerEvent", "payload": {"status": "failed"}}
    assert _judged(_ALL, fired=[(_NOW + 10.5, 1, failed)]).flaws() == ["1 runs that ended wrong"]
    assert _judged(_ALL, fired=[], broken=[(_NOW + 3, 1, "ClientError: throttled")]).flaws() == [
        "1 runs that ended wrong"
    ]
    given_up = _judged(_ALL, fired=[], finished={}, complete=False)
    assert given_up.flaws() == ["1 runs that ended wrong", "given up before all had ended"]
    assert given_up.flaw_count() == 2


@pytest.mark.parametrize("late", [10.5, 19.0])
def test_requests_count_by_the_time_that_the_container_ran_however_late_the_trigger_ends(late: float) -> None:
    over = {"kind": "TriggerEvent", "payload": {"status": "success"}}
    found = _judged(_ALL, calls=4, fired=[(_NOW + late, 1, over)])
    assert found.run_minutes == pytest.approx(8 / 60, abs=0.006)
    assert found.per_minute("list pods") == pytest.approx(4 / found.run_minutes)


@pytest.mark.parametrize(
    ("true", "noted", "seconds"),
    [
        ({}, {"added": {1: _NOW + 6}}, 4.0),  # the trigger came later than the container
        ({"running_at": None}, {}, 8.0),  # it wrote nothing, so that its start is not told: 2 s after the launch
        ({"ran_until": math.inf}, {"fired": [], "complete": False}, 18.0),  # it never ended
        ({"running_at": math.inf, "ran_until": math.inf}, {"fired": [], "complete": False}, 0.0),  # never started
    ],
)
def test_a_container_counts_from_its_start_with_a_trigger_to_its_end(
    true: dict[str, Any], noted: dict[str, Any], seconds: float
) -> None:
    assert _judged(_ALL, true=true, **noted).run_minutes == pytest.approx(seconds / 60, abs=0.006)


def test_a_run_whose_end_nobody_was_told_is_counted() -> None:
    assert _judged(_ALL, fired=[], complete=False).detection.missing == 1
    assert _judged(_ALL).detection.missing == 0
    assert (_judged(_ALL).end_told.missing, _judged(_ALL, true={"end_described": _NOW + 12}).end_told.missing) == (1, 0)
    assert _judged(_ALL[:2]).line_lag.missing == 1
    assert _judged([*_ALL, (4.0, _line(0))]).line_lag.missing == 0


_START = [(0.1, _record(1, "trigger bench/bench/run_1/-1/1 (ID 1) starting", 1.0))]


def _answer(name: str, since: float, until: float) -> dict[str, Any]:
    return {"name": name, "from": _NOW + since, "until": _NOW + until}


@pytest.mark.parametrize(
    ("answers", "seconds"),
    [
        ((_answer("", 0.5, 30),), 0.0),  # a watch that was open
        ((_answer("", 1.7, 30),), 0.7),  # one that was opened later
        ((_answer("bench-1", 2.5, 2.5), _answer("bench-1", 3.5, 3.5)), 1.5),  # GETs
        ((_answer("bench-2", 2.5, 2.5), _answer("", 0.2, 0.4), _answer("", 4.0, 4.0)), 3.0),  # another's, too early
    ],
)
def test_a_run_is_watched_from_the_first_answer_that_covers_it(answers: Any, seconds: float) -> None:
    stamp = 1_800_000_001.0  # of the line that says that the trigger is starting
    assert stamp == _NOW + 1
    assert _judged([*_START, *_ALL], covering=answers).watched.longest == pytest.approx(seconds)
