"""Saved measurements: found again, not repeated for the same code, shown by the documentation."""

from __future__ import annotations

import math
from pathlib import Path

import msgspec
import pytest

from benchmarks import goals, report, results, series
from benchmarks.figures import Figures, Lines
from benchmarks.measurement import Measurement
from benchmarks.results import fingerprint
from benchmarks.rows import number, rows
from tests.benchmarks.support import everything, figures, result

WHAT = Measurement(platform="pods", trigger="ours", runs=10, series="pods")


def test_a_saved_measurement_is_found_again_whole(tmp_path: Path) -> None:
    saved = result(WHAT, rss_per_run=math.nan, wrong=["run 1: []"])
    results.save(saved, tmp_path)
    (found,) = results.load("pods", tmp_path)
    assert math.isnan(found.figures.rss_per_run)
    assert msgspec.structs.replace(found.figures, rss_per_run=0.0) == msgspec.structs.replace(
        saved.figures, rss_per_run=0.0
    )
    assert found.what == WHAT


def test_a_measurement_takes_the_place_of_an_older_one_of_the_same(tmp_path: Path) -> None:
    other = msgspec.structs.replace(WHAT, runs=20)
    for what, code in ((WHAT, "old"), (other, "old"), (WHAT, "new")):
        results.save(result(what, code=code), tmp_path)
    assert [(one.what.runs, one.code) for one in results.load("pods", tmp_path)] == [(10, "new"), (20, "old")]


def test_what_was_measured_of_this_code_is_not_measured_again(tmp_path: Path) -> None:
    upstream = msgspec.structs.replace(WHAT, trigger="upstream")
    other = msgspec.structs.replace(WHAT, lifetime=5.0)
    results.save(result(WHAT, code=fingerprint("ours")), tmp_path)
    results.save(result(upstream, code="of another code"), tmp_path)
    assert results.missing([WHAT, upstream, other], tmp_path) == [upstream, other]


def test_a_series_goes_on_where_it_was_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = [msgspec.structs.replace(WHAT, runs=runs) for runs in (1, 2, 3)]
    monkeypatch.setitem(series.SERIES, "pods", ("Pods", wanted))
    made: list[int] = []

    def stopped_at_the_second(what: Measurement) -> Figures:
        if what.runs == 2 and len(made) == 1:
            raise RuntimeError("stopped")
        made.append(what.runs)
        return figures(what)

    monkeypatch.setattr(series, "made", stopped_at_the_second)
    said: list[str] = []
    with pytest.raises(RuntimeError, match="stopped"):
        series.run(["pods"], said.append, tmp_path)
    made.append(0)
    series.run(["pods"], said.append, tmp_path)
    assert made == [1, 0, 2, 3]
    assert said[0].startswith("[1/3, about 4 min left] pods: ours: 1 pods of 60 s")


def test_the_fingerprint_is_of_code_that_exists() -> None:
    assert fingerprint("ours") != fingerprint("upstream")
    assert fingerprint("ours") == fingerprint("ours")


def test_all_series_together_measure_what_the_issue_asks_for() -> None:
    sizes = {(one.platform, one.trigger, one.runs) for _, wanted in series.SERIES.values() for one in wanted}
    for platform in ("ecs", "pods"):
        for runs in (10, 100, 500, 1000):
            assert {(platform, "ours", runs), (platform, "upstream", runs)} <= sizes
        assert (platform, "ours", 10_000) in sizes
    assert all(one.quotas for one in series.SERIES["ecs"][1])
    for name, (_, wanted) in series.SERIES.items():
        assert {one.series for one in wanted} == {name}
        assert len(set(wanted)) == len(wanted)


def test_every_goal_is_about_a_measurement_of_ours_that_is_made() -> None:
    made = {(one.series, one.runs) for _, wanted in series.SERIES.values() for one in wanted if one.trigger == "ours"}
    assert {(goal.series, goal.runs) for goal in goals.GOALS} <= made


def test_a_goal_is_met_or_not_and_what_is_not_measured_is_said() -> None:
    slow = [msgspec.structs.replace(one, figures=figures(one.what, cpu=9.0)) for one in everything()]
    rows_of = {line.split("|")[1].strip(): line for line in goals.table(slow)}
    assert rows_of["ECS, N=500: CPU"] == "| ECS, N=500: CPU | 0.15 cores | 9 cores | 9 cores | **no** |"
    assert rows_of["ECS, N=500: detection, 99 %"].endswith("| yes |")
    nothing = goals.table([])
    assert all(" not yet |" in line for line in nothing[2:])


def test_a_lost_line_of_a_thousand_runs_misses_the_goal() -> None:
    lost = [msgspec.structs.replace(one, figures=figures(one.what, lines=Lines(lost=1))) for one in everything()]
    (line,) = (one for one in goals.table(lost) if one.startswith("| ECS, N=1,000 with AWS's quotas"))
    assert "| 0 | 1 | 1 | **no** |" in line


def test_a_long_step_says_what_of_it_was_not_the_triggers() -> None:
    long = [one for one in everything() if one.what.runs == 1000 and one.what.series == "ecs"]
    for one in long:
        one.figures.loop.step = 0.3
    (line,) = (one for one in goals.table(long) if one.startswith("| ECS, N=1,000: longest step"))
    assert "300 ms" in line
    assert (
        "10 ms of it garbage collection; the longest step of triggers less that 10 ms, of Airflow's own 20 ms" in line
    )


def test_the_page_shows_every_series_and_can_be_renewed() -> None:
    text = report.PAGE.read_text()
    shown = report.page(text, everything())
    for title, _ in series.SERIES.values():
        assert f"### {title}" in shown
    assert "| | N=10 | N=100 | N=500 | N=1,000 |" in shown
    assert "| | 100 lines/s in total | 300 lines/s in total |" in shown
    assert "](plots/throughput.svg)" in shown
    assert report.page(shown, everything()) == shown
    assert report.page(shown, report.saved()) == text


def test_the_page_shows_what_is_saved() -> None:
    assert report.check() == []


def test_a_page_without_a_place_for_the_results_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for goals"):
        report.page("# Benchmarks", [])


@pytest.mark.parametrize("platform", ["ecs", "pods"])
def test_every_row_has_a_value_and_a_number_reads_well(platform: str) -> None:
    what = Measurement(platform=platform, trigger="ours", runs=100)
    assert all(number(row.value(figures(what)), row.unit) for row in rows(platform))
    assert [number(one, "s") for one in (0.123, 12.0, 1234.5, math.nan)] == ["0.12 s", "12 s", "1,234 s", "-"]
