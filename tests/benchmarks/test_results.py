"""Saved measurements: found again, not repeated for the same code, shown by the documentation."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import msgspec
import pytest

from benchmarks import goals, plots, report, results, series
from benchmarks.figures import Figures, Lines, Spread
from benchmarks.measurement import Measurement
from benchmarks.results import fingerprint
from benchmarks.rows import number, rows
from tests.benchmarks.support import everything, figures, result

WHAT = Measurement(platform="pods", trigger="ours", runs=10, series="pods")


_THOUSAND = ("ecs", 1000, "ours")


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
    assert rows_of["ECS, N=500: detection (ECS's answer that tells the end), 99 %"].endswith("| yes |")
    assert rows_of["ECS, N=500, status only: detection (the trigger's event), 99 %"].endswith("| yes |")
    nothing = goals.table([])
    assert all(" not yet |" in line for line in nothing[2:])


def test_a_lost_line_of_a_thousand_runs_misses_the_goal() -> None:
    lost = [result(one.what, lines=Lines(lost=1), due=0) for one in everything()]
    (line,) = (one for one in goals.table(lost) if one.startswith("| ECS, N=1,000 with AWS's quotas"))
    assert "| 0 | 1 | 1 | **no**: 1 lines lost |" in line


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"lines": Lines()}, "60000 lines that the containers should have written and did not"),
        ({"complete": False}, "given up before all had ended"),
        ({"wrong": ["run 1: []"]}, "1 runs that ended wrong"),
    ],
)
def test_a_goal_of_no_flaws_counts_the_same_as_the_short_mode(changed: dict[str, Any], told: str) -> None:
    found = [result(one.what, **changed) for one in everything()]
    (line,) = (one for one in goals.table(found) if one.startswith("| ECS, N=1,000 with AWS's quotas"))
    assert line.endswith(f"| **no**: {told} |")
    (figures_of,) = (one.figures for one in found if (one.what.series, one.what.runs, one.what.trigger) == _THOUSAND)
    assert figures_of.flaws() == [told]


@pytest.mark.parametrize(
    ("name", "goal"),
    [
        ("watched", "start to watched"),
        ("end_told", "detection (ECS's answer that tells the end)"),
        ("line_lag", "log lag after the line is readable"),
    ],
)
def test_a_goal_on_times_is_missed_if_one_of_them_never_came(name: str, goal: str) -> None:
    """However fast the others were."""
    missing = Spread(0.1, 0.1, 0.1, 0.1, missing=1)
    found = [result(one.what, **{name: missing}) for one in everything()]
    (line,) = (one for one in goals.table(found) if one.startswith(f"| ECS, N=500: {goal}"))
    assert line.endswith("| 0.1 s | 0.1 s | **no**: 1 of them never came |")


def test_every_kind_of_reading_counts_as_a_request() -> None:
    calls = {"DescribeTasks": 10, "FilterLogEvents": 10, "GetLogEvents": 41}
    found = [result(one.what, calls=calls) for one in everything() if one.what.runs == 100]
    (line,) = (one for one in goals.table(found) if "runs of a minute" in one)
    assert line.endswith("| 0.6 | 0.61 | 0.61 | **no** |")


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


def test_what_was_measured_of_other_code_is_marked() -> None:
    """Ours, and not upstream's; where nothing is, no mark and no word of it."""
    text = report.PAGE.read_text()
    ours = WHAT.trigger
    some = [result(one.what, code="of another code" if one.what.trigger == ours else "") for one in everything()]
    shown = report.page(text, some)
    assert "| ECS, N=500: CPU | 0.15 cores | 0.15 cores † | 0.82 cores | yes |" in shown
    assert "| runs failed or ended wrong | 0 † / 0 | 0 † / 0 | 0 † / 0 | 0 † / 0 |" in shown
    explained = "† measured of other code than that of now: `make bench BENCH_ARGS=--series` measures it again."
    assert shown.count(explained) == 1 + len(series.SERIES)
    assert "Some of what is drawn is of other code" in shown
    assert "†" not in report.page(text, everything())


def test_other_releases_of_what_is_installed_are_other_code(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = report.PAGE.parents[1]
    for name in ("asyncrun", "benchmarks", "triggers"):
        (tmp_path / name).symlink_to(root / name)
    monkeypatch.setattr(results, "_ROOT", tmp_path)
    found = {}
    for release in ("3.3.2", "3.4.0"):
        (tmp_path / "constraints.txt").write_text(f"apache-airflow-core=={release}\n")
        found[release] = fingerprint("ours"), fingerprint("upstream")
    assert found["3.3.2"][0] != found["3.4.0"][0]
    assert found["3.3.2"][1] == found["3.4.0"][1], "it has releases of its own"


def test_plots_that_are_shown_and_not_there_are_noticed(tmp_path: Path) -> None:
    names = [name for name, _ in plots.titles(everything())]
    for name in names[1:]:
        (tmp_path / f"{name}.svg").touch()
    assert report.missing_plots(everything(), tmp_path) == [f"docs/plots/{names[0]}.svg is missing"]
    assert report.missing_plots([], tmp_path) == []


def test_the_ratio_is_upstreams_over_ours_whichever_was_measured_first() -> None:
    found = {trigger: figures(msgspec.structs.replace(WHAT, trigger=trigger)) for trigger in ("upstream", "ours")}
    table = report.terminal(WHAT, found)
    assert [str(one.header) for one in table.columns] == ["", "ours", "upstream", "upstream / ours"]
    cells = dict(zip(table.columns[0].cells, table.columns[3].cells, strict=True))
    assert cells["CPU per run"] == "5.5"


def test_the_page_stays_right_when_the_code_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    text = report.PAGE.read_text()
    fresh = report.page(text, everything())
    monkeypatch.setattr(results, "outdated", lambda found: frozenset(one.what for one in found))
    marked = report.page(text, everything())
    assert marked != fresh
    assert report.unmarked(marked) == report.unmarked(fresh) == fresh


def test_the_page_shows_what_is_saved() -> None:
    assert report.check() == []


def test_a_page_without_a_place_for_the_results_is_refused() -> None:
    with pytest.raises(ValueError, match="no place for goals"):
        report.page("# Benchmarks", [])


@pytest.mark.parametrize("platform", ["ecs", "pods"])
def test_every_row_has_a_value_and_a_number_reads_well(platform: str) -> None:
    what = Measurement(platform=platform, trigger="ours", runs=100)
    assert [row.title for row in rows(platform) if math.isnan(row.value(figures(what)))] == []
    assert [number(one, "s") for one in (0.123, 9.94, 12.0, 99.7, 1234.5, math.nan)] == [
        "0.12 s", "9.9 s", "12 s", "100 s", "1,234 s", "-",
    ]  # fmt: skip
