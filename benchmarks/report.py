"""Tables of measurements: on the terminal, and in ``docs/benchmarks.md`` between its markers."""

from __future__ import annotations

import sys
from collections.abc import Container, Iterator, Mapping, Sequence
from itertools import groupby
from pathlib import Path

from rich.table import Table

from benchmarks import goals, plots, results
from benchmarks.figures import Figures
from benchmarks.measurement import Measurement
from benchmarks.results import Result
from benchmarks.rows import MEMORY, OUTDATED, number, ratio, rows, shown
from benchmarks.series import SERIES
from benchmarks.upstream import releases

PAGE = Path(__file__).resolve().parents[1] / "docs" / "benchmarks.md"
BEGIN = "<!-- {}: made by python -m benchmarks --plots -->"
END = "<!-- end of {} -->"
_DRAWN = f"Some of what is drawn is of other code than that of now, see {OUTDATED} in the tables."
_OLDER = f"{OUTDATED} measured of other code than that of now: `make bench BENCH_ARGS=--series` measures it again."


def terminal(what: Measurement, found: Mapping[str, Figures]) -> Table:
    """
    All figures of one load, ours and upstream's.

    :param found: by trigger.
    """
    found = {name: found[name] for name in sorted(found)}  # whichever went first: the ratio is upstream's over ours
    table = Table(title=what.title, title_justify="left")
    table.add_column("")
    for name in found:
        table.add_column(name, justify="right")
    if len(found) == 2:
        table.add_column("upstream / ours", justify="right")
    for row in rows(what.platform, logs=bool(what.lines)):
        if row.title == MEMORY and not what.warm:
            continue  # it would be that of the modules
        cells = [number(row.value(one), row.unit) for one in found.values()]
        table.add_row(row.title, *cells, *([ratio(row, *found.values())] if len(found) == 2 else []))
    table.add_row("all ended", *("yes" if one.complete else "gave up" for one in found.values()))
    return table


def tables(names: Sequence[str]) -> Iterator[Table]:
    """
    Of everything that is saved of these series.

    :param names: of series.
    """
    for name in names:
        for _, same in groupby(results.load(name), key=lambda one: (one.what.runs, one.what.lines)):
            both = list(same)
            yield terminal(both[0].what, {one.what.trigger: one.figures for one in both})


def page(text: str, saved: list[Result]) -> str:
    """The documentation's page with fresh tables; what was measured of other code is marked."""
    outdated = results.outdated(saved)
    older = [_OLDER] if outdated else []
    text = _between(text, "goals", "\n\n".join(["\n".join(goals.table(saved, outdated)), *older]))
    pictures = _pictures(saved)
    if pictures and outdated:
        pictures.insert(0, _DRAWN)
    text = _between(text, "plots", "\n\n".join(pictures) or "Not measured yet.")
    return _between(text, "results", "\n\n".join(_sections(saved, outdated)) or "Not measured yet.")


def saved() -> list[Result]:
    """Of all series."""
    return [one for name in SERIES for one in results.load(name)]


def check() -> list[str]:
    """What is wrong with the page and its plots."""
    found, text = saved(), PAGE.read_text()
    # A change of the code makes results old, and not the page wrong: marks are made when it is written next.
    same = unmarked(page(text, found)) == unmarked(text)
    problems = [] if same else ["docs/benchmarks.md does not show benchmarks/results"]
    problems += missing_plots(found)
    return [f"{one}: python -m benchmarks --plots" for one in problems]


def unmarked(text: str) -> str:
    """The page without a word of what is measured of other code."""
    return text.replace(f"{_DRAWN}\n\n", "").replace(f"\n\n{_OLDER}", "").replace(f" {OUTDATED}", "")


def missing_plots(found: Sequence[Result], folder: Path = plots.FOLDER) -> list[str]:
    """Plots that the page shows, and that are not there."""
    names = [f"{name}.svg" for name, _ in plots.titles(found)]
    return [f"docs/plots/{name} is missing" for name in names if not (folder / name).is_file()]


def _between(text: str, what: str, content: str) -> str:
    begin, end = BEGIN.format(what), END.format(what)
    head, found, rest = text.partition(begin)
    _, closed, tail = rest.partition(end)
    if not found or not closed:
        raise ValueError(f"{PAGE.name} has no place for {what}: {begin} ... {end}")
    return f"{head}{begin}\n\n{content}\n\n{end}{tail}"


def _pictures(saved: list[Result]) -> list[str]:
    return [f"![{title}](plots/{name}.svg)" for name, title in plots.titles(saved)]


def _sections(saved: list[Result], outdated: Container[Measurement]) -> list[str]:
    """A heading and a table for each series."""
    out = []
    for name, (title, _) in SERIES.items():
        mine = [one for one in saved if one.what.series == name]
        if mine:
            out += [f"### {title}", _conditions(mine), _table(mine, outdated)]
            out += [_OLDER] if any(one.what in outdated for one in mine) else []
    return out


def _conditions(mine: list[Result]) -> str:
    first = mine[0]
    when = sorted({one.at[:10] for one in mine})
    commits = sorted({one.commit for one in mine})
    lifetimes = " or ".join(f"{one:g}" for one in sorted({one.what.lifetime for one in mine}))
    latency = f"{first.what.latency:g} ms per answer" if first.what.latency else "no latency"
    upstream = ", ".join(f"{name.removeprefix('apache-airflow-')} {release}" for name, release in releases().items())
    return (
        f"{first.machine}; {latency}; containers of {lifetimes} s; measured {' to '.join(when)} at "
        f"{', '.join(commits)}, beside {upstream}. Each cell: asyncrun / upstream."
    )


def _table(mine: list[Result], outdated: Container[Measurement]) -> str:
    """Figures down, sizes across."""
    sizes = [list(many) for _, many in groupby(mine, key=lambda one: (one.what.runs, one.what.lines))]
    same_lines = len({one.what.lines for one in mine}) == 1
    heads = [_head(many[0].what, same_lines=same_lines) for many in sizes]
    lines = ["| | " + " | ".join(heads) + " |", "|---|" + "---|" * len(heads)]
    for row in rows(mine[0].what.platform, logs=bool(mine[0].what.lines)):
        if row.docs:
            cells = (
                " / ".join(shown(row.value(one.figures), row.unit, outdated=one.what in outdated) for one in many)
                for many in sizes
            )
            lines.append(f"| {row.title} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _head(what: Measurement, *, same_lines: bool) -> str:
    return f"N={what.runs:,}" if same_lines else f"{what.runs * what.lines:,.0f} lines/s in total"


def main() -> int:
    """``--check``: say what is wrong with the page; 1 if anything is."""
    problems = check()
    for problem in problems:
        print(problem)
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
