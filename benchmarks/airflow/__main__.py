"""``python -m benchmarks.airflow``: deferred tasks of ours and of upstream's, one after the other in one Airflow."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

import msgspec
from rich.console import Console

from asyncrun.local.airflow import LocalAirflow, LocalAirflowError, LocalAirflowOptions
from benchmarks.airflow.containers import Containers, EcsTasks, Pods
from benchmarks.airflow.measure import Measurement, Result, Sampling
from benchmarks.airflow.plan import BACKENDS, ENDS, OPERATORS, PLAN_VARIABLE, Backend, Ends, Plan
from benchmarks.airflow.table import table

_DAGS = Path(__file__).parent / "dags"
_ROOT = Path(__file__).resolve().parents[2]
_PACKAGES = (
    "apache-airflow-core",
    "apache-airflow-providers-amazon",
    "apache-airflow-providers-cncf-kubernetes",
)


def main() -> None:
    """Measure, show, save."""
    arguments = _arguments()
    console = Console(width=max(120, Console().width))
    plan = Plan(
        runs=arguments.runs,
        lifetime=arguments.lifetime,
        lines=arguments.lines,
        apart=arguments.apart,
        logging_interval=arguments.logging_interval or None,
        waiter_delay=arguments.delay,
    )
    sampling = Sampling(watched=arguments.watched, interval=arguments.poll, evidence=arguments.out.with_suffix(".logs"))
    results: list[Result] = []
    with _airflow(arguments, plan, console) as (airflow, backends):
        for backend in arguments.backend:
            _warm_up(airflow, backends[backend], backend, plan, arguments, console)
            for ends in arguments.ends * arguments.rounds:
                both = _measured(airflow, backends[backend], backend, ends, plan, sampling, arguments, console)
                results += both
                if both:
                    console.print(table(both, plan))
                _save(arguments, plan, sampling, results)
        for problem in airflow.problems():
            console.print(str(problem), markup=False, highlight=False)
    console.print(f"Saved to {arguments.out}")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.airflow", description=__doc__)
    parser.add_argument("--runs", type=int, default=300, help="deferred tasks; default 300")
    parser.add_argument("--backend", nargs="+", choices=BACKENDS, default=list(BACKENDS))
    parser.add_argument("--operators", nargs="+", choices=OPERATORS, default=list(OPERATORS))
    parser.add_argument(
        "--ends", nargs="+", choices=ENDS, default=["spread"], help="of the containers: one by one, or in one second"
    )
    parser.add_argument("--rounds", type=int, default=1, help="how often all of it; default once")
    parser.add_argument(
        "--lifetime", type=float, default=60.0, help="seconds from when all are deferred to the first end; default 60"
    )
    parser.add_argument("--apart", type=float, default=0.2, help="seconds between two ends; default 0.2")
    parser.add_argument("--lines", type=float, default=1.0, help="lines per second and container; default 1")
    parser.add_argument(
        "--logging-interval", type=int, default=5, help="upstream's argument for pods, s; 0: None, its default"
    )
    parser.add_argument("--delay", type=int, help="upstream's waiter_delay for ECS, s; its default is 6")
    parser.add_argument("--watched", type=int, default=5, help="tasks whose logs are read while they run; default 5")
    parser.add_argument("--poll", type=float, default=1.0, help="seconds between two reads of a log; default 1")
    parser.add_argument("--parallelism", type=int, default=8, help="worker processes of the LocalExecutor; default 8")
    parser.add_argument("--database", choices=("postgresql", "sqlite"), default="postgresql")
    parser.add_argument("--out", type=Path, default=Path("build/airflow.json"))
    return parser.parse_args()


@contextmanager
def _airflow(
    arguments: argparse.Namespace, plan: Plan, console: Console
) -> Iterator[tuple[LocalAirflow, dict[Backend, Containers]]]:
    kinds: dict[Backend, Callable[[], Containers]] = {"ecs": EcsTasks, "pods": Pods}
    with ExitStack() as stack:
        backends = {name: stack.enter_context(kinds[name]()) for name in BACKENDS}
        environment = {name: value for one in backends.values() for name, value in one.environment().items()}
        environment |= {
            PLAN_VARIABLE: plan.to_json(),
            "PYTHONPATH": str(_ROOT),
            # Airflow's default; the harness of the tests has it shorter.
            "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "1",
            # The default of 30 s is passed by upstream's imports where many workers share few busy cores: the tasks
            # are rescheduled, and so on without an end.
            "AIRFLOW__CORE__DAGBAG_IMPORT_TIMEOUT": "180",
        }
        options = LocalAirflowOptions(
            (_DAGS,), env=environment, parallelism=arguments.parallelism, database=arguments.database
        )
        console.print(f"Starting an Airflow on {arguments.database}, {arguments.parallelism} workers ...")
        yield stack.enter_context(LocalAirflow(options)), backends


def _warm_up(
    airflow: LocalAirflow,
    containers: Containers,
    backend: Backend,
    plan: Plan,
    arguments: argparse.Namespace,
    console: Console,
) -> None:
    for operators in arguments.operators:
        console.print(f"{_now()} {backend}, {operators}: warming up ...")
        Measurement(airflow, containers, backend, operators, plan).warm_up()


def _measured(
    airflow: LocalAirflow,
    containers: Containers,
    backend: Backend,
    ends: Ends,
    plan: Plan,
    sampling: Sampling,
    arguments: argparse.Namespace,
    console: Console,
) -> list[Result]:
    both = []
    for operators in arguments.operators:
        console.print(f"{_now()} {backend}, {operators}: {plan.runs} tasks, ends {ends} ...")
        measurement = Measurement(airflow, containers, backend, operators, plan)
        try:
            both.append(measurement.run(ends, sampling))
        except LocalAirflowError as error:
            console.print(str(error), style="bold red", markup=False)
            measurement.give_up()
    return both


def _now() -> str:
    return time.strftime("%H:%M:%S")


def _save(arguments: argparse.Namespace, plan: Plan, sampling: Sampling, results: list[Result]) -> None:
    """After each measurement, so that what is stopped has not been for nothing."""
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    plain = {
        "at": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "python": platform.python_version(),
        "machine": platform.machine(),
        "cores": os.cpu_count(),
        "packages": {name: version(name) for name in _PACKAGES},
        "database": arguments.database,
        "parallelism": arguments.parallelism,
        "plan": asdict(plan),
        "sampling": {"watched": sampling.watched, "interval": sampling.interval, "checked": sampling.checked},
        "results": msgspec.to_builtins(results),
    }
    arguments.out.write_text(json.dumps(plain, indent=1) + "\n")


if __name__ == "__main__":
    main()
