"""The plots of the documentation."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks import plots
from tests.benchmarks.support import everything

pytest.importorskip("matplotlib", reason="extra bench, installed by `make bench`")


def test_each_figure_is_drawn_and_the_same_figures_give_the_same_file(tmp_path: Path) -> None:
    drawn = plots.draw(everything(), tmp_path)
    assert [path.stem for path in drawn] == [name for name, _ in plots.titles(everything())]
    assert {path.stem for path in drawn} == {
        "detection", "log_lag", "cpu", "memory", "longest_step", "requests", "throughput",
    }  # fmt: skip
    assert all(path.read_bytes().startswith(b"<?xml") for path in drawn)
    pipe = [one for one in everything() if one.what.series == "pipe"]
    first = (tmp_path / "throughput.svg").read_bytes()
    assert [path.read_bytes() for path in plots.draw(pipe, tmp_path)] == [first]


def test_nothing_is_drawn_where_nothing_is_measured(tmp_path: Path) -> None:
    assert plots.draw([], tmp_path) == []


def test_what_is_measured_of_ours_only_is_drawn(tmp_path: Path) -> None:
    ours = [one for one in everything() if one.what.trigger == "ours" and one.what.series == "ecs"]
    assert len(plots.draw(ours, tmp_path)) == 6
