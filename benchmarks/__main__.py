"""``python -m benchmarks``: our trigger and upstream's, one after the other, under the same load."""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from pathlib import Path

import msgspec
from rich.console import Console
from rich.table import Table

from benchmarks.analysis import Figures, figures
from benchmarks.pods import Pods
from benchmarks.rows import PODS, TASKS
from benchmarks.runner import Load, measure
from benchmarks.standin import Options, StandIn, TaskSpec

_TRIGGERS = ("ours", "upstream")


def main() -> None:
    """Measure, show, save."""
    arguments = _arguments()
    console = Console(width=max(120, Console().width))
    options = Options(quotas=arguments.quotas, throttle=arguments.throttle)
    results: list[dict[str, Figures]] = []
    for runs in arguments.runs:
        both: dict[str, Figures] = {}
        for trigger in arguments.triggers:
            console.print(f"{trigger}: {runs} runs of {arguments.lifetime:g} s ...")
            measured = _measured_pods if arguments.pods else _measured
            both[trigger] = measured(trigger, runs, arguments, options)
        results.append(both)
        console.print(_table(runs, both, arguments))
    _save(arguments, results)
    console.print(f"Saved to {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("--runs", type=int, nargs="+", help="concurrent container runs; default 10 100")
    parser.add_argument("--lifetime", type=float, help="seconds that each container runs; default 30")
    parser.add_argument("--lines", type=float, default=1.0, help="lines per second and container; default 1")
    parser.add_argument(
        "--delay", type=int, default=6, help="upstream's waiter_delay, s; default 6, its operator's own"
    )
    parser.add_argument(
        "--quotas", action="store_true", help="the stand-in enforces AWS's quotas of the strict regions"
    )
    parser.add_argument("--throttle", type=float, default=0.0, help="share of calls throttled at random")
    parser.add_argument("--pods", action="store_true", help="pods on an embedded Kubernetes, in place of ECS tasks")
    parser.add_argument("--stagger", type=float, help="pods: seconds over which they start; default a third of theirs")
    parser.add_argument(
        "--logging-interval", type=int, default=5, help="pods: upstream's argument, s; 0: None, its default: no logs"
    )
    parser.add_argument("--triggers", nargs="+", choices=_TRIGGERS, default=list(_TRIGGERS))
    parser.add_argument("--short", action="store_true", help="10 runs of 12 s: about a minute in all")
    parser.add_argument("--out", type=Path, default=Path("build/benchmarks.json"))
    arguments = parser.parse_args()
    arguments.runs = arguments.runs or ([10] if arguments.short else [10, 100])
    arguments.lifetime = arguments.lifetime or (12.0 if arguments.short else 30.0)
    return arguments


def _measured(trigger: str, runs: int, arguments: argparse.Namespace, options: Options) -> Figures:
    spec = TaskSpec(lifetime=arguments.lifetime, lines_per_second=arguments.lines, startup=2.0)
    limit = 120 + 4 * arguments.lifetime + runs / 2
    load = Load(trigger=trigger, groups=[(runs, spec)], limit=limit, delay=arguments.delay)
    with StandIn(options) as standin:
        raw = measure(load, standin)
        return figures(load, raw, standin.truth(), standin.calls())


def _measured_pods(trigger: str, runs: int, arguments: argparse.Namespace, _: Options) -> Figures:
    bad = runs // 10
    stagger = arguments.lifetime / 3 if arguments.stagger is None else arguments.stagger
    spec = TaskSpec(lifetime=arguments.lifetime, lines_per_second=arguments.lines, startup=1.0)
    groups = [(runs - bad, spec), (bad, msgspec.structs.replace(spec, exit_codes=(3,)))]
    load = Load(
        trigger=trigger,
        platform="pods",
        groups=groups,
        stagger=stagger,
        warm=True,
        settle=8.0,  # until the shared parts have lingered: each measurement begins with a list
        limit=120 + 4 * arguments.lifetime + runs / 2,
        logging_interval=arguments.logging_interval or None,
    )
    with Pods() as pods:
        raw = measure(load, pods)
        return figures(load, raw, pods.truth(), pods.calls())


def _table(runs: int, both: dict[str, Figures], arguments: argparse.Namespace) -> Table:
    title = f"{runs} concurrent runs, {arguments.lifetime:g} s each, {arguments.lines:g} lines/s each"
    table = Table(title=title + (", with AWS's quotas" if arguments.quotas else ""), title_justify="left")
    table.add_column("")
    for name in both:
        table.add_column(name, justify="right")
    table.add_column("upstream / ours", justify="right")
    for text, value, unit in PODS if arguments.pods else TASKS:
        values = [value(one) for one in both.values()]
        table.add_row(text, *(_number(one, unit) for one in values), _ratio(values))
    table.add_row("ended", *("yes" if one.complete else "gave up" for one in both.values()), "")
    return table


def _number(value: float, unit: str) -> str:
    if math.isnan(value):
        return "-"
    text = f"{value:,.0f}" if value >= 100 or float(value).is_integer() else f"{value:.3g}"
    return f"{text} {unit}".strip()


def _ratio(values: list[float]) -> str:
    if len(values) < 2 or not values[0] or any(map(math.isnan, values)):
        return ""
    return f"{values[1] / values[0]:.1f}"


def _save(arguments: argparse.Namespace, results: list[dict[str, Figures]]) -> None:
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "load": {"pods": arguments.pods, "lifetime": arguments.lifetime, "lines_per_second": arguments.lines,
                 "delay": arguments.delay, "quotas": arguments.quotas, "throttle": arguments.throttle,
                 "stagger": arguments.stagger, "logging_interval": arguments.logging_interval},
        "results": [msgspec.to_builtins(both) for both in results],
    }  # fmt: skip
    arguments.out.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
