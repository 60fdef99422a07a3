"""Plots of the saved measurements, as SVG. Needs matplotlib (extra ``bench``)."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.figures import Figures
from benchmarks.results import Result
from benchmarks.rows import CALLS, FOLLOWS, STATES, number

FOLDER = Path(__file__).resolve().parents[1] / "docs" / "plots"
_COMPACT = 1116
_ELSEWHERE = ((503, "plain records"), (_COMPACT, "compact records"), (2438, "compact, joined"))
"""Lines/s of 100 bytes through the log pipe of an Airflow of its own, on two cores (docs/benchmarks.md): plain records
and compact ones with one line each, compact ones that join 40. Here the series ``pipe`` measures it."""
_FULL = 0.95  # of what is written comes through: less, and the pipe was full

# Distinct by colour (of Okabe and Ito's palette), by lightness in greyscale, by marker and by dashes.
_LOOKS: dict[str, dict[str, Any]] = {
    "ours": {"label": "asyncrun", "color": "#0072B2", "marker": "o", "linestyle": "-", "linewidth": 2.2},
    "upstream": {
        "label": "upstream's provider",
        "color": "#E69F00",
        "marker": "s",
        "linestyle": "--",
        "linewidth": 1.8,
    },
}
_SHOWN = {"ecs": "ECS tasks", "pods": "pods"}
_THROUGHPUT, _THROUGHPUT_TITLE = "throughput", "How many lines a triggerer passes on"
_INK, _GRID = "#222222", "#dddddd"


class Plot(NamedTuple):
    """
    A figure over the number of runs, of ECS tasks on the left and of pods on the right.

    :param value: of tasks, of pods.
    :param goal: (platform, runs, value) points to be at or below, shown as marks.
    :param ceiling: show where Airflow's log pipe ends, at one line per second and run.
    """

    name: str
    title: str
    unit: str
    ecs: Callable[[Figures], float]
    pods: Callable[[Figures], float]
    goals: tuple[tuple[str, int, float], ...] = ()
    ceiling: bool = False


PLOTS = (
    Plot(
        "detection",
        "From a container's end to ECS's answer that tells it, or a pod's event, 99 % of the runs",
        "seconds",
        lambda one: one.end_told.p99,
        lambda one: one.event.p99,
        goals=(("ecs", 500, 2.0), ("pods", 500, 0.2)),
    ),
    Plot(
        "log_lag",
        "From a line being readable to Airflow's supervisor, 99 % of the lines",
        "seconds",
        lambda one: one.line_lag.p99,
        lambda one: one.line_lag.p99,
        goals=(("ecs", 500, 5.0), ("pods", 500, 1.0)),
        ceiling=True,
    ),
    Plot(
        "cpu",
        "CPU of the triggerer's process while the runs are under way",
        "cores",
        lambda one: one.cpu,
        lambda one: one.cpu,
        goals=(("ecs", 500, 0.15), ("pods", 500, 0.25)),
    ),
    Plot(
        "memory",
        "Memory per run at the peak, over a warm process",
        "KiB per run",
        lambda one: one.rss_per_run,
        lambda one: one.rss_per_run,
        goals=(("ecs", 500, 50.0),),
    ),
    Plot(
        "longest_step",
        "Longest step of the event loop",
        "milliseconds",
        lambda one: one.loop.step * 1000,
        lambda one: one.loop.step * 1000,
        goals=(("ecs", 1000, 50.0), ("pods", 1000, 50.0)),
    ),
    Plot(
        "requests",
        "Requests per run-minute",
        "per run and minute",
        lambda one: one.per_minute(*CALLS),
        lambda one: one.per_minute(*STATES, *FOLLOWS, "get pods/log"),
        goals=(("ecs", 100, 0.6),),
    ),
)


def draw(saved: Sequence[Result], folder: Path = FOLDER) -> list[Path]:
    """
    All plots for which there is something to show.

    :raises ModuleNotFoundError: matplotlib is not installed.
    """
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams.update({
        "svg.hashsalt": "asyncrun",  # the same figures give the same file
        "svg.fonttype": "path",
        "font.size": 10,
        "text.color": _INK,
        "axes.edgecolor": _INK,
        "axes.labelcolor": _INK,
        "axes.spines.top": False,
        "axes.spines.right": False,
    })  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    names = [name for name, _ in titles(saved)]
    drawn = [_over_runs(plot, saved, folder) for plot in PLOTS if plot.name in names]
    if _THROUGHPUT in names:
        drawn.append(_throughput([one for one in saved if one.what.series == "pipe"], folder))
    return drawn


def titles(saved: Sequence[Result]) -> list[tuple[str, str]]:
    """Name and title of each plot for which there is something to show."""
    there = {one.what.series for one in saved}
    found = [(plot.name, plot.title) for plot in PLOTS if there & _SHOWN.keys()]
    return [*found, *([(_THROUGHPUT, _THROUGHPUT_TITLE)] if "pipe" in there else [])]


def ceiling(saved: Sequence[Result]) -> float | None:
    """Lines/s that came through where the pipe was full first; None: it never was."""
    mine = [one for one in saved if (one.what.series, one.what.trigger) == ("pipe", "ours")]
    passed = {one.what.runs * one.what.lines: one.figures.lines.most_per_second for one in mine}
    return min((through for written, through in passed.items() if through < _FULL * written), default=None)


def _over_runs(plot: Plot, saved: Sequence[Result], folder: Path) -> Path:
    from matplotlib import pyplot
    from matplotlib.markers import CARETDOWN

    figure, axes = pyplot.subplots(1, 2, figsize=(8.4, 3.6), sharey=True, layout="constrained")
    for axis, (platform, title) in zip(axes, _SHOWN.items(), strict=True):
        value = plot.ecs if platform == "ecs" else plot.pods
        mine = [one for one in saved if one.what.series == platform]
        _curves(axis, mine, value, lambda one: one.runs)
        for _, runs, limit in (one for one in plot.goals if one[0] == platform):
            axis.plot(
                [runs],
                [limit],
                marker=CARETDOWN,
                color=_INK,
                markersize=9,
                linestyle="none",
                zorder=5,
                markeredgecolor="white",
                markeredgewidth=0.5,
                label="goal: at most",
            )
        _style(axis, title, "runs at the same time", sorted({one.what.runs for one in mine}))
        if plot.ceiling:
            _mark_ceiling(axis, ceiling(saved))
    axes[0].set_ylabel(plot.unit)
    figure.suptitle(plot.title, fontsize=11)
    _legend(figure, axes)
    return _saved(figure, folder / f"{plot.name}.svg")


def _curves(axis: Any, mine: Sequence[Result], value: Callable[[Figures], float], at: Callable[[Any], float]) -> None:
    for trigger, look in _LOOKS.items():
        points = [(at(one.what), value(one.figures)) for one in mine if one.what.trigger == trigger]
        points = [(x, y) for x, y in points if not math.isnan(y) and y > 0]
        if points:
            axis.plot(*zip(*points, strict=True), markersize=5.5, **look)
            axis.annotate(number(points[-1][1]), points[-1], textcoords="offset points", xytext=(4, 6), ha="right",
                          fontsize=8.5)  # fmt: skip


def _style(axis: Any, title: str, x: str, ticks: Sequence[float]) -> None:
    from matplotlib.ticker import FixedLocator, LogLocator

    axis.set_xscale("log")
    axis.set_yscale("log")
    axis.set_xlabel(x)
    axis.set_title(title, fontsize=10)
    axis.grid(visible=True, which="major", color=_GRID, linewidth=0.7)
    axis.set_axisbelow(True)
    axis.margins(x=0.16, y=0.14)
    axis.minorticks_off()
    axis.xaxis.set_major_locator(FixedLocator(list(ticks)))
    low, high = axis.get_ylim()
    axis.yaxis.set_major_locator(LogLocator(subs=(1.0,) if high / low > 300 else (1.0, 2.0, 5.0)))
    for one in (axis.xaxis, axis.yaxis):
        one.set_major_formatter(lambda value, _: f"{value:,.10g}")


def _mark_ceiling(axis: Any, here: float | None) -> None:
    """At one line per second and run, the number of runs is the number of lines per second."""
    rate = here or _COMPACT
    text = f"Airflow's log pipe{'' if here else ' elsewhere'}: {rate:,.0f} lines/s"
    axis.axvline(rate, color=_INK, linewidth=1.2, linestyle=":")
    axis.annotate(
        text, (rate, 0.5), xycoords=("data", "axes fraction"),
        textcoords="offset points", xytext=(3, 0), rotation=90, ha="left", va="center", fontsize=7.5,
    )  # fmt: skip


def _throughput(mine: Sequence[Result], folder: Path) -> Path:
    from matplotlib import pyplot

    figure, axis = pyplot.subplots(figsize=(6.4, 4.0), layout="constrained")
    _curves(axis, mine, lambda one: one.lines.most_per_second, lambda what: what.runs * what.lines)
    written = sorted({one.what.runs * one.what.lines for one in mine})
    _style(axis, "", "lines/s that 100 pods write", written)
    ends = (written[0], written[-1])
    axis.plot(ends, ends, color="#888888", linewidth=1, zorder=0, label="all of them")
    for rate, text in _ELSEWHERE:
        axis.axhline(rate, color=_INK, linewidth=1.1, linestyle=":")
        axis.annotate(f"log pipe of an Airflow elsewhere: {text}, {rate:,}/s", (0.01, rate), fontsize=7.5, va="bottom",
                      xycoords=("axes fraction", "data"), textcoords="offset points", xytext=(0, 1))  # fmt: skip
    axis.set_ylabel("lines/s at Airflow's supervisor,\nmost in 10 s")
    figure.suptitle(_THROUGHPUT_TITLE, fontsize=11)
    _legend(figure, [axis])
    return _saved(figure, folder / f"{_THROUGHPUT}.svg")


def _legend(figure: Any, axes: Sequence[Any]) -> None:
    entries = {label: handle for axis in axes for handle, label in zip(*axis.get_legend_handles_labels(), strict=True)}
    figure.legend(entries.values(), entries.keys(), loc="outside lower center", ncols=4, frameon=False, fontsize=9)


def _saved(figure: Any, path: Path) -> Path:
    from matplotlib import pyplot

    figure.savefig(path, metadata={"Date": None, "Creator": None})
    pyplot.close(figure)
    return path
