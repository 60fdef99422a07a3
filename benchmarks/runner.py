"""
Runs N triggers in one process the way Airflow's triggerer does, and notes what happens.

``measure`` is for the caller's process; the supervisor and the forked runner live in processes of their own, so that
they inherit nothing from a test runner, and their memory and CPU are their own.
"""

from __future__ import annotations

import base64
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Protocol

import msgspec

from benchmarks import pods
from benchmarks.standin import Control, TaskSpec

_ROOT = Path(__file__).resolve().parents[1]
_LAG_TRIGGER, _WARMING_TRIGGER = 1_000_000, 99_999
_WARMING_LIMIT = 60.0  # s
_QUIET = 2.0  # s without a record after the last event: the log channel is empty then
CLUSTER = "default"


class Load(msgspec.Struct, kw_only=True):
    """
    What to run.

    :param trigger: ``ours`` or ``upstream``.
    :param platform: ``ecs`` or ``pods``.
    :param groups: number of runs and how their tasks behave; of pods only the first exit code, ``startup``,
        ``lifetime``, ``lines_per_second`` and ``line_bytes`` count.
    :param stagger: seconds over which they start.
    :param end_together: pods: what starts earlier runs for that much longer.
    :param warm: pods: one run goes before, so that the baseline has the modules and the shared parts.
    :param settle: seconds that the idle triggerer stands before the runs come; its CPU and RSS are the baseline.
    :param limit: seconds after which the measurement is given up.
    :param loop_cost: see ``BenchSupervisor``.
    :param push_result: ours: write the last line as XCom.
    :param delay: upstream's ``waiter_delay``, s. Its operator's default is 6, and 15 in older releases.
    :param logging_interval: pods: upstream's argument of that name, s.
    :param fields: pods: of our ``PodWatch``.
    :param settings: of asyncrun.
    :param blocked_after: write the stack of an event loop that stood that long, s.
    """

    trigger: str
    groups: list[tuple[int, TaskSpec]]
    platform: str = "ecs"
    stagger: float = 0.0
    end_together: bool = False
    warm: bool = False
    settle: float = 4.0
    limit: float = 300.0
    loop_cost: float = 0.025
    push_result: bool = False
    delay: int = 6
    logging_interval: int | None = None
    fields: dict[str, Any] = {}
    settings: dict[str, str] = {}
    blocked_after: float | None = None

    @property
    def runs(self) -> int:
        """In all groups."""
        return sum(count for count, _ in self.groups)


class Raw(msgspec.Struct, kw_only=True):
    """
    What was noted. Times are seconds since the epoch.

    :param started: when the runs were handed over.
    :param arns: per trigger number.
    :param added: per trigger number, when it was handed over.
    :param records: (arrival, line of the log channel).
    :param samples: (time, CPU seconds so far, RSS in bytes) of the runner process.
    :param lags: of the event loop: at, lag, cpu.
    """

    started: float = 0.0
    ended: float = 0.0
    complete: bool = False
    arns: dict[int, str] = {}
    added: dict[int, float] = {}
    records: list[tuple[float, str]] = []
    fired: list[tuple[float, int, Any]] = []
    broken: list[tuple[float, int, str]] = []
    finished: dict[int, float] = {}
    samples: list[tuple[float, float, int]] = []
    lags: list[dict[str, float]] = []
    stacks: str = ""
    questions: dict[str, int] = {}
    machine_load: float = 0.0
    output: str = ""


class Platform(Protocol):
    """What the runs run on."""

    @property
    def address(self) -> str:
        """Where the harness finds it."""

    def environment(self) -> dict[str, str]:
        """What the triggerer needs to reach it."""


def measure(load: Load, standin: Platform) -> Raw:
    """
    Run it to the end.

    :param standin: what they run on.
    :raises RuntimeError: the harness itself failed; with its output.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        home = Path(name)
        (home / "load.json").write_bytes(msgspec.json.encode(load))
        with (home / "output.txt").open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.runner", standin.address, str(home)],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                cwd=_ROOT,
                env=_environment(home, load, standin),
            )
            try:
                code = process.wait(load.limit + load.settle + 120)
            finally:
                process.kill()
                process.wait()
        text = (home / "output.txt").read_text(errors="replace")
        if code != 0:
            raise RuntimeError(f"the harness ended with exit code {code}:\n{text[-8000:]}")
        raw = msgspec.json.decode((home / "raw.json").read_bytes(), type=Raw)
        raw.output = text
        return raw


def _environment(home: Path, load: Load, standin: Platform) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "AWS_"))}
    return {
        **kept,
        **standin.environment(),
        **{f"AIRFLOW__ASYNCRUN__{name.upper()}": value for name, value in load.settings.items()},
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "PYTHONPATH": str(_ROOT),
    }


def main() -> None:
    """The supervisor's process: ``python -m benchmarks.runner ADDRESS DIRECTORY``."""
    address, name = sys.argv[1:]
    home = Path(name)
    load = msgspec.json.decode((home / "load.json").read_bytes(), type=Load)
    raw = _supervise(load, address, home)
    (home / "raw.json").write_bytes(msgspec.json.encode(raw))


def _supervise(load: Load, address: str, home: Path) -> Raw:
    from benchmarks.supervisor import BenchSupervisor

    supervisor = BenchSupervisor.start(capacity=100_000, loop_cost=load.loop_cost)
    raw = Raw()
    try:
        lag = {"path": str(home / "lag.json"), "blocked_after": load.blocked_after}
        supervisor.add(_LAG_TRIGGER, "benchmarks.loop_lag.LoopLag", lag)
        if load.warm:
            _warm_up(load, address, supervisor)
        until = time.time() + load.settle
        while time.time() < until and supervisor.is_alive():
            supervisor.turn()
        _hand_over(load, address, supervisor, raw)
        _watch(load, supervisor, raw)
    finally:
        supervisor.kill(escalation_delay=5, force=True)
    raw.records = [(at, line.decode(errors="replace")) for at, line in supervisor.records]
    raw.fired, raw.broken, raw.finished = supervisor.fired, supervisor.broken, supervisor.finished
    raw.samples, raw.questions = supervisor.samples, supervisor.questions
    if (home / "lag.json").exists():
        raw.lags = [msgspec.json.decode(line) for line in (home / "lag.json").read_bytes().splitlines()]
    if (home / "lag.json.stacks").exists():
        raw.stacks = (home / "lag.json.stacks").read_text()
    return raw


def _warm_up(load: Load, address: str, supervisor: Any) -> None:
    give_up_at = time.time() + _WARMING_LIMIT
    pod = pods.warming(address, _WARMING_TRIGGER)
    supervisor.add(_WARMING_TRIGGER, *_TRIGGERS[load.platform, load.trigger](pod, load))
    while _WARMING_TRIGGER not in supervisor.finished and time.time() < give_up_at:
        supervisor.turn()


def _hand_over(load: Load, address: str, supervisor: Any, raw: Raw) -> None:
    tasks = _PLATFORMS[load.platform](load, address, supervisor.turn)
    trigger = _TRIGGERS[load.platform, load.trigger]
    for number, task in enumerate(tasks, start=1):
        raw.started = raw.started or time.time()
        raw.arns[number], raw.added[number] = task["arn"], time.time()
        supervisor.add(number, *trigger(task, load))


def _ecs_tasks(load: Load, address: str, _: Callable[[], None]) -> list[dict[str, Any]]:
    control, tasks = Control(address), list[dict[str, Any]]()
    for count, spec in load.groups:
        tasks += control.create(count, spec, cluster=CLUSTER, stagger=load.stagger)
    return tasks


def _pods(load: Load, address: str, wait: Callable[[], None]) -> Iterator[dict[str, Any]]:
    return pods.created(address, load.groups, load.stagger, end_together=load.end_together, wait=wait)


def _watch(load: Load, supervisor: Any, raw: Raw) -> None:
    """Until every run has ended and the log channel is silent."""
    give_up, quiet_since, seen = time.time() + load.limit, time.time(), 0
    while time.time() < give_up and supervisor.is_alive():
        supervisor.turn()
        ended = {one for _, one, _ in supervisor.fired} | {one for _, one, _ in supervisor.broken}
        over = raw.arns.keys() <= ended & supervisor.finished.keys()
        if len(supervisor.records) != seen or not over:
            quiet_since, seen = time.time(), len(supervisor.records)
        elif time.time() - quiet_since > _QUIET:
            raw.complete = True
            break
    raw.ended, raw.machine_load = time.time(), round(os.getloadavg()[0], 1)


def _ours(task: dict[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    from asyncrun.model.ecs_watch import EcsTaskWatch
    from asyncrun.model.refs import AwsTarget, EcsTaskRef

    watch = EcsTaskWatch(
        target=AwsTarget(conn_id=None, region_name="us-east-1"),
        deferred_at=time.time(),
        launched_at=time.time(),
        ref=EcsTaskRef(cluster=task["cluster"], task_arn=task["arn"]),
        end_in_triggerer=True,
        push_result=load.push_result,
    )
    return "asyncrun.triggers.ecs.EcsTaskTrigger", {"watch": watch.to_dict()}


def _upstream(task: dict[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    return "airflow.providers.amazon.aws.triggers.ecs.TaskDoneTrigger", {
        "cluster": task["cluster"],
        "task_arn": task["arn"],
        "waiter_delay": load.delay,
        "waiter_max_attempts": 1_000_000,
        "aws_conn_id": None,
        "region": None,
        "region_name": "us-east-1",
        "log_group": task["log_group"],
        "log_stream": next(iter(task["streams"].values())),
    }


def _our_pod(pod: Mapping[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    return pods.ours(pod, load.fields)


def _upstream_pod(pod: Mapping[str, Any], load: Load) -> tuple[str, dict[str, Any]]:
    return pods.upstream(pod, load.logging_interval)


_PLATFORMS: dict[str, Callable[[Load, str, Callable[[], None]], Any]] = {"ecs": _ecs_tasks, "pods": _pods}
_TRIGGERS: dict[tuple[str, str], Callable[[Any, Load], tuple[str, dict[str, Any]]]] = {
    ("ecs", "ours"): _ours,
    ("ecs", "upstream"): _upstream,
    ("pods", "ours"): _our_pod,
    ("pods", "upstream"): _upstream_pod,
}

if __name__ == "__main__":
    main()
