"""The table of the benchmark in a real Airflow, and how final logs are counted for it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import pytest

from asyncrun.local.airflow import ApiError, LocalAirflow, LogRecord
from benchmarks.airflow.containers import EcsTasks
from benchmarks.airflow.measure import Phase, Result
from benchmarks.airflow.plan import Plan
from benchmarks.airflow.samples import Counted, count, total
from benchmarks.airflow.table import table
from benchmarks.figures import Spread

_CPU = {"workers": 2.0, "triggerer": 1.0, "scheduler": 1.0, "api-server": 1.0, "postgresql": 1.0}
_PHASE = Phase(seconds=10.0, executions=4, worker_seconds=8.0, cpu=_CPU)


class _Airflow:
    """Whose answer to the question for a log is known."""

    def __init__(self, *lines: int, fails: bool = False) -> None:
        self._lines, self._fails = lines, fails

    def logs(self, *_: Any) -> list[LogRecord]:
        if self._fails:
            raise ApiError("GET", "/logs", 404, "no log")
        return [LogRecord(None, "info", "", f"0123456789ab:main:{line:06d} x", {}) for line in self._lines]


def _counted(airflow: _Airflow, folder: Path) -> Counted:
    return count(cast(LocalAirflow, airflow), "ecs_ours", "run", 7, EcsTasks.line, 4, folder)


def _result(operators: str, much: float, **changed: Any) -> Result:
    spread = Spread(much, much, much, much)
    fields = {
        "backend": "ecs", "operators": operators, "ends": "spread", "runs": 4, "deferring": _PHASE,
        "running": _PHASE, "ending": _PHASE, "to_success": spread, "last": much, "line_lag": spread,
        "lines_seen": 190, "lines_written": 200, "read": spread, "reads_failed": 3, "lines": Counted(800, 60, 0),
        "logs_missing": 1, "states": {"success": 4}, "machine_load": 1.0,
    }  # fmt: skip
    return Result(**{**fields, **changed})


def _cells(*results: Result) -> dict[str, list[str]]:
    """By title of the row; the heads by an empty one."""
    shown = table(results, Plan())
    rows = zip(*(column.cells for column in shown.columns), strict=True)
    return {"": [str(one.header) for one in shown.columns[1:]], **{str(row[0]): [*map(str, row[1:])] for row in rows}}


def test_the_ratio_is_upstreams_over_ours_whichever_was_measured_first() -> None:
    for results in ([_result("ours", 0.5), _result("upstream", 4.0)], [_result("upstream", 4.0), _result("ours", 0.5)]):
        cells = _cells(*results)
        assert cells[""] == ["ours", "upstream", "upstream / ours"]
        assert cells["container's end -> task's success, median"] == ["0.5 s", "4 s", "8"]


def test_one_alone_has_no_ratio() -> None:
    cells = _cells(_result("upstream", 4.0))
    assert cells[""] == ["upstream"]
    assert cells["container's end -> task's success, median"] == ["4 s"]


def test_what_the_figures_stand_on_is_shown_with_what_is_missing() -> None:
    cells = _cells(_result("ours", 0.5), _result("upstream", 4.0, logs_missing=0, lines=Counted(800, 0, 0)))
    assert cells["  lines on which that stands"][:2] == ["190", "190"]
    assert cells["  lines of the tasks whose logs were read"][:2] == ["200", "200"]
    assert cells["reads of a log without an answer"] == ["3", "3", ""]
    assert cells["checked tasks without a log: all their lines are lost"] == ["1", "0", ""]
    assert cells["lines lost in their final logs"] == ["60", "0", ""], "a count that should be 0 has no ratio"


@pytest.mark.parametrize(
    ("airflow", "lost", "doubled", "missing"),
    [
        (_Airflow(0, 1, 2, 3), 0, 0, False),
        (_Airflow(0, 1, 3, 3, 3), 1, 2, False),
        (_Airflow(), 4, 0, False),
        (_Airflow(fails=True), 4, 0, True),
    ],
)
def test_a_log_that_is_not_there_has_lost_all_lines(
    airflow: _Airflow, lost: int, doubled: int, missing: bool, tmp_path: Path
) -> None:
    found = _counted(airflow, tmp_path)
    assert (found.written, found.lost, found.doubled, found.missing) == (4, lost, doubled, missing)
    assert bool(found.example) == bool(lost or doubled)


def test_logs_add_up_with_those_that_are_not_there(tmp_path: Path) -> None:
    added = total([_counted(_Airflow(0, 1, 2, 3), tmp_path), _counted(_Airflow(fails=True), tmp_path)])
    assert (added.written, added.lost, added.doubled) == (8, 4, 0)
    assert added.example == "ecs_ours[7]: no log"
