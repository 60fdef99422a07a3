"""The plots of the documentation."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from benchmarks import plots
from benchmarks.figures import Lines
from tests.benchmarks.support import everything, figures

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


def test_the_ceiling_is_what_came_through_where_the_pipe_was_full_first() -> None:
    ours = [one for one in everything() if (one.what.series, one.what.trigger) == ("pipe", "ours")]
    through = {100: 100.0, 300: 299.0, 1000: 820.0, 3000: 1100.0}
    saved = [
        msgspec.structs.replace(
            one,
            figures=figures(one.what, lines=Lines(most_per_second=through[int(one.what.runs * one.what.lines)])),
        )
        for one in ours
    ]
    assert plots.ceiling(saved) == 820.0
    assert plots.ceiling(saved[:2]) is None
