"""The pure parts of the demo."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from asyncrun.cli import main
from asyncrun.local.airflow import LogRecord
from asyncrun.local.demo.expectations import EXPECTATIONS, Expectation, unmet
from asyncrun.local.demo.lines import Unseen, diagnosis, exit_code, is_from_container, is_shown
from asyncrun.local.demo.run import DAGS


def record(event: str, logger: str = "main", **fields: Any) -> LogRecord:
    return LogRecord(datetime(2026, 1, 1, tzinfo=UTC), "info", logger, event, fields)


def test_every_example_dag_has_an_expectation() -> None:
    assert {path.stem for path in Path(DAGS).glob("*.py")} == {expected.dag_id for expected in EXPECTATIONS}


def test_growing_log_shows_each_line_once_and_keeps_repeats() -> None:
    unseen = Unseen()
    one, late = record("one"), record("late")
    assert unseen([one, one]) == [one, one]
    assert unseen([late, one, one]) == [late]
    assert unseen([late, one, one, one]) == [one]


def test_container_lines_are_told_from_airflows() -> None:
    assert is_from_container(record("hello"))
    assert not is_from_container(record("exited", logger="asyncrun"))
    assert is_shown(record("exited", logger="asyncrun"))
    assert not is_shown(record("x", logger="airflow.dag_processing.dagbag.BundleDagBag"))
    assert not is_shown(record("::group::Pre Execute", logger="task"))


def test_exit_code_comes_from_our_record_not_from_the_containers_words() -> None:
    assert exit_code([record("I exited with code 7")]) == ""
    assert exit_code([record("container 'main' exited with 0", logger="asyncrun")]) == "0"
    error = record("Task failed", "task", error_detail=[{"exc_value": "container 'main' exited with code 3\nmore"}])
    assert exit_code([error]) == "3"
    assert diagnosis([error]) == "container 'main' exited with code 3"


def test_missing_line_and_wrong_state_are_told() -> None:
    expected = Expectation("dag", "failed", lines={"task": ["present", "absent"]})
    assert unmet(expected, "success", [], {"task": [record("present")]}) == [
        "dag ended success, not failed",
        "dag.task: no line with 'absent' in its log",
    ]


def test_command_line_without_a_command_explains_itself(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([])
    assert end.value.code == 2
    assert "COMMAND" in capsys.readouterr().err
