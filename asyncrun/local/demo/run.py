"""The demo from start to end."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rich.console import Console

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions, LogRecord, TaskInstance
from asyncrun.local.aws import EmbeddedAws
from asyncrun.local.demo.expectations import EXPECTATIONS, unmet
from asyncrun.local.demo.lines import Unseen, diagnosis, exit_code, is_from_container, is_shown
from asyncrun.local.demo.setup import AWS_OPTIONS, prepare_cluster, register_example_task_definition
from asyncrun.local.demo.view import LiveView, Row, make_console, summary_table
from asyncrun.local.kube import EmbeddedKube

DAGS = Path(__file__).parent / "dags"
"""The example DAGs; in the repository a link to example_dags/."""

AIRFLOW_SETTINGS = {
    "AIRFLOW_CONN_AWS_DEFAULT": json.dumps({"conn_type": "aws"}),
    # The embedded awslogs driver flushes every second, AWS's every five: waiting for the end of a log can be as much
    # shorter.
    "AIRFLOW__ASYNCRUN__LOGS_QUIET_PERIOD": "3",
    "AIRFLOW__ASYNCRUN__LOGS_POLL_IDLE": "1",
    "AIRFLOW__ASYNCRUN__REASON_WAIT": "3",
}

ROUND = 0.5
"""Seconds between two looks at all tasks."""

LOGS_PER_ROUND = 4
"""Logs read in one round: each costs the API server tens of milliseconds, and a laptop has other work to do."""


@dataclass(frozen=True)
class DemoOptions:
    """
    :ivar keep: leave everything running after the results, until Ctrl-C
    :ivar port: of Airflow's UI; a free one by default
    :ivar timeout: seconds for all DAG runs together
    """

    keep: bool = False
    port: int | None = None
    timeout: float = 120


def run_demo(options: DemoOptions) -> int:
    """Run it; returns the exit code: 0 only if every DAG did what it should and no component complained.

    KeyboardInterrupt passes through after everything was cleaned up.
    """
    console = make_console()
    with _started(console, options) as airflow:
        console.print(f"Airflow is at {airflow.base_url} (user {airflow.username}, password {airflow.password})\n")
        demo = _Demo(airflow, console)
        demo.run(options.timeout)
        found = demo.results()
        if options.keep:
            console.print(f"\nStill running: {airflow.base_url} (Ctrl-C ends it)")
            _until_interrupted()
    return 1 if found else 0


@contextmanager
def _started(console: Console, options: DemoOptions) -> Iterator[LocalAirflow]:
    console.print(
        "Starting an embedded AWS, an embedded Kubernetes (containers are local processes) and a real Airflow ..."
    )
    begin = time.monotonic()
    with EmbeddedAws(AWS_OPTIONS) as aws, EmbeddedKube() as kube, TemporaryDirectory() as folder:
        register_example_task_definition(aws.client_options())
        cluster = prepare_cluster(kube, Path(folder) / "kubeconfig")
        environment = {**aws.env(), **cluster, **AIRFLOW_SETTINGS}
        with LocalAirflow(LocalAirflowOptions((DAGS,), env=environment, port=options.port)) as airflow:
            console.print(f"Ready after {time.monotonic() - begin:.0f} s.")
            yield airflow


def _until_interrupted() -> None:
    while True:
        time.sleep(3600)


def _began(ti: TaskInstance) -> tuple[bool, float]:
    return ti.start_date is None, ti.start_date.timestamp() if ti.start_date else 0.0


@dataclass
class _Log:
    """The log of one task instance, as far as it was read."""

    unseen: Unseen = field(default_factory=Unseen)
    records: list[LogRecord] = field(default_factory=list)
    read_at: float = 0.0
    complete: bool = False


class _Demo:
    """One pass over all example DAGs."""

    def __init__(self, airflow: LocalAirflow, console: Console) -> None:
        self._airflow = airflow
        self._console = console
        self._runs: dict[str, str] = {}
        self._states: dict[str, str] = {}
        self._tasks: dict[str, list[TaskInstance]] = {}
        self._logs: defaultdict[tuple[str, str], _Log] = defaultdict(_Log)
        self._seconds = 0.0

    def run(self, timeout: float) -> None:
        """Trigger all DAGs and show what they do, until all ended or `timeout` seconds passed."""
        dag_ids = [expected.dag_id for expected in EXPECTATIONS]
        self._airflow.dags_ready(dag_ids)
        begin = time.monotonic()
        self._runs = {dag_id: self._airflow.trigger_dag(dag_id) for dag_id in dag_ids}
        with LiveView(self._console) as view:
            while not self._look(view) and time.monotonic() - begin < timeout:
                self._airflow.check_alive()
                time.sleep(ROUND)
        self._seconds = time.monotonic() - begin

    def _look(self, view: LiveView) -> bool:
        """Read states, then logs; True once everything ended and was read."""
        for dag_id, run_id in self._runs.items():
            if self._states.get(dag_id) not in {"success", "failed"}:
                # In this order: the tasks of a run that is over do not change any more.
                self._states[dag_id] = self._airflow.dag_run(dag_id, run_id).state
                self._tasks[dag_id] = self._airflow.task_instances(dag_id, run_id)
        self._read_logs(view)
        view.show_states(self._tasks)
        return all(state in {"success", "failed"} for state in self._states.values()) and not self._unread()

    def _unread(self) -> list[TaskInstance]:
        """Task instances whose log may hold more than was read, the longest unread first."""
        open_ones = [
            ti
            for instances in self._tasks.values()
            for ti in instances
            if ti.try_number > 0 and not self._log(ti).complete
        ]
        return sorted(open_ones, key=lambda ti: self._log(ti).read_at)

    def _log(self, ti: TaskInstance) -> _Log:
        return self._logs[ti.dag_id, ti.label]

    def _read_logs(self, view: LiveView) -> None:
        for ti in self._unread()[:LOGS_PER_ROUND]:
            log = self._log(ti)
            log.records = self._airflow.logs(ti.dag_id, ti.run_id, ti.task_id, ti.try_number, ti.map_index)
            log.read_at = time.monotonic()
            log.complete = ti.finished
            for record in log.unseen(log.records):
                # Of twenty equal tasks what the containers write is enough.
                wanted = is_from_container if ti.map_index >= 0 and ti.state != "failed" else is_shown
                if wanted(record):
                    view.show_record(ti, record)

    def results(self) -> list[str]:
        """Print the summary; returns what was not as it should be."""
        self._console.print()
        self._console.print(summary_table(self._rows()))
        found = [problem for expected in EXPECTATIONS for problem in self._unmet(expected.dag_id)]
        found += [str(problem) for problem in self._airflow.problems()]
        if found:
            self._console.print("Not as expected:", style="bold red")
            for problem in found:
                self._console.print(f"  {problem}", markup=False, soft_wrap=True)
        else:
            failing = sum(expected.state == "failed" for expected in EXPECTATIONS)
            self._console.print(
                f"{len(EXPECTATIONS)} DAGs in {self._seconds:.0f} s, all as expected ({failing} fail on purpose).",
                style="bold green",
            )
        return found

    def _rows(self) -> list[Row]:
        """One for each task, and one for all equal instances of a mapped task."""
        rows: dict[Row, list[TaskInstance]] = defaultdict(list)
        for ti in (ti for tasks in self._tasks.values() for ti in sorted(tasks, key=_began)):
            records = self._log(ti).records
            why = diagnosis(records) if ti.state != "success" else ""
            rows[Row(ti.dag_id, ti.task_id, ti.state, exit_code(records), why)].append(ti)
        return [
            replace(
                row,
                task=row.task if len(instances) == 1 else f"{row.task} (x {len(instances)})",
                seconds=max((ti.duration for ti in instances if ti.duration is not None), default=None),
            )
            for row, instances in rows.items()
        ]

    def _unmet(self, dag_id: str) -> list[str]:
        expected = next(expected for expected in EXPECTATIONS if expected.dag_id == dag_id)
        logs: Mapping[str, list[LogRecord]] = {
            label: log.records for (of_dag, label), log in self._logs.items() if of_dag == dag_id
        }
        return unmet(expected, self._states.get(dag_id, "missing"), self._tasks.get(dag_id, []), logs)
