"""What must be so of every measurement of ours, whatever the load."""

from __future__ import annotations

from benchmarks.analysis import Figures


def assert_all_ended_right(found: Figures, **verdicts: int) -> None:
    """
    :param verdicts: the verdict, with its exit code if any, and how often it came.
    """
    assert found.wrong == []
    assert found.verdicts == {name.replace("_", " "): count for name, count in verdicts.items() if count}
    assert found.complete


def assert_every_line_once_and_in_order(found: Figures, lines: int | None = None) -> None:
    """
    :param lines: how many there should be; None: as many as were written.
    """
    assert found.lines.examples == []
    assert found.lines.arrived == found.lines.written > 0
    assert lines in (None, found.lines.written)
    assert (found.lines.lost, found.lines.doubled, found.lines.disordered) == (0, 0, 0)
    assert (found.lines.homeless, found.lines.elsewhere) == (0, 0), "lines outside of their task's log"
