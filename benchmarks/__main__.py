"""
``python -m benchmarks``: our triggers and upstream's, one after the other, under the same load.

Without options, ten runs of each backend (under three minutes in all). ``--series`` makes everything that the
documentation shows and saves it, ``--plots`` draws it, ``--check`` is the short mode of ``make check``.
"""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path

import msgspec
from rich.console import Console

from benchmarks.figures import Figures
from benchmarks.measurement import Measurement, made
from benchmarks.results import result
from benchmarks.series import SERIES
from benchmarks.upstream import interpreter

_TRIGGERS = ("ours", "upstream")
_BACKENDS = ("ecs", "pods")


def main() -> int:
    """
    Do what was asked for.

    :return: 1 if something of ours was not as it must be: a line lost or doubled, a run failed.
    """
    arguments = _arguments()
    console = Console(width=max(120, Console().width))
    try:
        if arguments.check:
            from benchmarks import smoke

            return smoke.check()
        if arguments.plots or arguments.series is not None:
            return _documentation(arguments, console)
        return _measure(arguments, console)
    except RuntimeError as error:
        console.print(str(error), style="red", markup=False)
        return 1
    except KeyboardInterrupt:
        console.print("Stopped. What a series had measured is saved.")
        return 130


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__, formatter_class=_Format)
    mode = parser.add_argument_group("other than measuring what the options below say")
    mode.add_argument("--series", nargs="*", metavar="NAME", help="everything that is not measured yet of this code; "
                      f"or only of these: {', '.join(SERIES)}")  # fmt: skip
    mode.add_argument("--plots", action="store_true", help="draw what is saved, renew docs/benchmarks.md")
    mode.add_argument("--check", action="store_true", help="only whether all lines arrive and all runs end right")
    parser.add_argument("--ecs", action="store_true", help="only ECS tasks, on the stand-in")
    parser.add_argument("--pods", action="store_true", help="only pods, on an embedded Kubernetes")
    parser.add_argument("--triggers", nargs="+", choices=_TRIGGERS, default=list(_TRIGGERS))
    parser.add_argument("--runs", type=int, nargs="+", help="concurrent container runs; default 10")
    parser.add_argument("--lifetime", type=float, help="seconds that each container runs; default 30, of ten runs 8")
    parser.add_argument("--lines", type=float, default=1.0, help="lines per second and container; 0: status only")
    parser.add_argument("--stagger", type=float, help="seconds over which they start; default a hundredth of the runs")
    parser.add_argument("--end-together", action="store_true", help="all end in the same second")
    parser.add_argument("--no-quotas", action="store_true", help="ECS: do not enforce AWS's quotas of strict regions")
    parser.add_argument("--throttle", type=float, default=0.0, help="ECS: share of calls throttled at random")
    parser.add_argument("--latency", type=float, default=0.0, help="ms that each answer of the servers takes")
    parser.add_argument("--delay", type=int, default=6, help="ECS: upstream's waiter_delay, s; default its operator's")
    parser.add_argument("--logging-interval", type=int, default=5,
                        help="pods: upstream's argument, s; 0: None, its default: no logs")  # fmt: skip
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"))
    return parser.parse_args()


class _Format(argparse.RawDescriptionHelpFormatter):
    pass


def _measure(arguments: argparse.Namespace, console: Console) -> int:
    backends = [name for name in _BACKENDS if getattr(arguments, name)] or _BACKENDS
    sizes = arguments.runs or [10]
    if "upstream" in arguments.triggers:
        interpreter()  # say now what is missing
    saved, flawless = [], True
    for backend in backends:
        for runs in sizes:
            found: dict[str, Figures] = {}
            for trigger in arguments.triggers:
                what = _asked(arguments, backend, trigger, runs)
                console.print(f"{trigger}: {what.title} ...")
                began = time.monotonic()
                found[trigger] = made(what)
                saved.append(result(what, found[trigger], time.monotonic() - began))
            _show(what, found, console)
            flawless = flawless and not ("ours" in found and found["ours"].flaws())
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_bytes(msgspec.json.format(msgspec.json.encode(saved), indent=1) + b"\n")
    console.print(f"Saved to {arguments.out}")
    return 0 if flawless else 1


def _show(what: Measurement, found: dict[str, Figures], console: Console) -> None:
    from benchmarks.report import terminal

    console.print(terminal(what, found))
    for trigger, one in found.items():
        if one.flaws():
            console.print(f"{trigger}: {'; '.join(one.flaws())}", markup=False)


def _asked(arguments: argparse.Namespace, backend: str, trigger: str, runs: int) -> Measurement:
    return Measurement(
        platform=backend,
        trigger=trigger,
        runs=runs,
        lines=arguments.lines,
        lifetime=arguments.lifetime or (8.0 if runs <= 10 else 30.0),
        stagger=runs / 100 if arguments.stagger is None else arguments.stagger,
        end_together=arguments.end_together,
        quotas=backend == "ecs" and not arguments.no_quotas,
        throttle=arguments.throttle if backend == "ecs" else 0.0,
        latency=arguments.latency,
        delay=arguments.delay,
        logging_interval=arguments.logging_interval or None,
        warm=runs > 10,
    )


def _documentation(arguments: argparse.Namespace, console: Console) -> int:
    from benchmarks import report, series

    names = arguments.series
    if names is not None:
        unknown = [name for name in names if name not in SERIES]
        if unknown:
            raise RuntimeError(f"there is no series {', '.join(unknown)}: {', '.join(SERIES)}")
        names = names or list(SERIES)
        series.run(names, lambda text: console.print(text, markup=False, highlight=False))
        for table in report.tables(names):
            console.print(table)
    if arguments.plots:
        from benchmarks import plots

        found = report.saved()
        for path in plots.draw(found):
            console.print(f"Drew {path.name}")
        report.PAGE.write_text(report.page(report.PAGE.read_text(), found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
