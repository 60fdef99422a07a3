"""One measurement: launch and defer all, let the containers write and end, wait for the tasks' success."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import TypeVar

import httpx
import msgspec

from asyncrun.local.airflow import LocalAirflow, LocalAirflowError, TaskInstance
from benchmarks.airflow import usage
from benchmarks.airflow.containers import Container, Containers
from benchmarks.airflow.plan import WARMING_RUNS, Backend, Ends, Operators, Plan, dag_id, label
from benchmarks.airflow.samples import Counted, Watcher, count, total
from benchmarks.analysis import Spread

T = TypeVar("T")

_SETTLE = 10.0  # s; the last deferred task's trigger has started by then, and what it says at its start is read
_LOOK = 2.0  # s between two looks at how many tasks are in a state; each is one small query
_DEFERRING = 15.0  # s per task until the deferring is given up
_ENDING = 10.0  # s per task until the ends are given up
_PATIENCE = 300.0  # s besides
_LAST_WORKERS = 30.0  # s; a worker says that it has finished shortly after Airflow shows its task's end


class Stalled(LocalAirflowError):
    """The tasks do not get on: some failed before their containers ended, or nothing happens."""


class Sampling(msgspec.Struct, frozen=True, kw_only=True):
    """
    :param watched: tasks whose logs are read while they run.
    :param interval: seconds between two reads of one of these.
    :param checked: tasks whose final logs are compared with what their containers wrote; those watched among them.
    :param evidence: folder for logs in which lines are missing or doubled.
    """

    watched: int = 5
    interval: float = 1.0
    checked: int = 20
    evidence: Path = Path("build/airflow-logs")


class Phase(msgspec.Struct, frozen=True, kw_only=True):
    """
    :param seconds: that it took.
    :param executions: of tasks on workers.
    :param worker_seconds: sum of the wall seconds for which these held a worker slot.
    :param cpu: seconds by component; ``workers`` with their tasks.
    """

    seconds: float
    executions: int
    worker_seconds: float
    cpu: dict[str, float]


class Result(msgspec.Struct, frozen=True, kw_only=True):
    """
    :param deferring: from the DAG run's start until all tasks are deferred; its CPU until all their triggers run, too.
    :param running: from there until the first container ends.
    :param ending: from there until the DAG run has ended.
    :param to_success: from a container's end to the end_date of its task, s.
    :param last: from the last container's end until the last task has ended, s.
    :param line_lag: from when a line can be read to the answer of the REST endpoint that has it, s.
    :param lines_seen: on which that stands; ``lines_written`` those of the watched containers.
    :param read: how long an answer of the log endpoint took, s; ``reads_failed``: how many there were not.
    :param lines: in the final logs of the checked tasks, added up; ``logs_missing``: how many tasks have none, which
        counts as all of their lines lost.
    :param states: how many tasks ended in each state.
    :param machine_load: 1 min load average at the end; above the number of cores, times say little.
    """

    backend: str
    operators: str
    ends: str
    runs: int
    deferring: Phase
    running: Phase
    ending: Phase
    to_success: Spread
    last: float
    line_lag: Spread
    lines_seen: int
    lines_written: int
    read: Spread
    reads_failed: int
    lines: Counted
    logs_missing: int
    states: dict[str, int]
    machine_load: float


class _Mark(msgspec.Struct, frozen=True):
    at: float
    cpu: dict[str, float]
    executions: int


class Measurement:
    """Of one backend's operators, ours or upstream's, in an Airflow that goes on running."""

    def __init__(
        self, airflow: LocalAirflow, containers: Containers, backend: Backend, operators: Operators, plan: Plan
    ) -> None:
        self._airflow, self._containers, self._plan = airflow, containers, plan
        self._backend, self._operators = backend, operators
        self._dag = dag_id(backend, operators)
        self._runs = plan.runs
        self._run_id = ""
        self._since = 0.0

    def warm_up(self) -> None:
        """Let a few tasks run to their end, so that modules are loaded and shared parts stand."""
        self._dag = dag_id(self._backend, self._operators, warming=True)
        self._runs = WARMING_RUNS
        self._start()
        self._wait_deferred()
        begin = time.time()
        self._release(begin, dict.fromkeys(range(WARMING_RUNS), begin + 8.0))
        self._airflow.wait_for(self._dag, self._run_id, timeout=_PATIENCE)

    def run(self, ends: Ends, sampling: Sampling) -> Result:
        """
        :raises Stalled: the tasks do not get on.
        """
        marks = [self._mark()]
        self._start()
        deferred = self._wait_deferred() - marks[0].at
        marks.append(self._mark())
        begin = time.time() + 1.0
        due = {index: begin + after for index, after in enumerate(self._plan.ends(ends))}
        self._release(begin, due)
        watcher = self._watch(sampling, min(due.values()), marks)
        self._airflow.wait_until(lambda: usage.workers_idle(self._airflow), "idle workers", _LAST_WORKERS)
        marks.append(self._mark())
        return self._result(ends, deferred, marks, watcher, sampling)

    def give_up(self) -> None:
        """Let nothing of it run on."""
        if self._run_id:
            self._airflow.set_dag_run_state(self._dag, self._run_id, "failed")

    # --- steps ---

    def _start(self) -> None:
        self._since = time.time()
        self._airflow.dags_ready([self._dag])
        self._run_id = self._airflow.trigger_dag(self._dag)

    def _wait_deferred(self) -> float:
        """Until all tasks are deferred, and their triggers and containers run; returns when they were deferred."""
        give_up = time.monotonic() + _PATIENCE + _DEFERRING * self._runs
        while (deferred := self._count("deferred")) < self._runs:
            if self._count("failed") or time.monotonic() > give_up:
                raise Stalled(f"{deferred} of {self._runs} tasks are deferred\n{self._report()}")
            self._airflow.check_alive()
            time.sleep(_LOOK)
        all_deferred = time.time()
        time.sleep(_SETTLE)
        running = [one for one in self._containers.told(self._since).values() if one.running]
        if len(running) < self._runs:
            raise Stalled(f"only {len(running)} of {self._runs} containers run")
        return all_deferred

    def _release(self, begin: float, due: Mapping[int, float]) -> None:
        ends = {label(self._dag, index): end for index, end in due.items()}
        self._containers.release(self._since, begin, ends, self._plan.lines)

    def _watch(self, sampling: Sampling, first_end: float, marks: list[_Mark]) -> Watcher:
        """Until the DAG run has ended; a mark is set when the first container ends."""
        indexes = _spread(self._runs, sampling.watched)
        watcher = Watcher(self._airflow, self._dag, self._run_id, indexes, self._containers.line, sampling.interval)
        give_up = first_end + _PATIENCE + self._plan.apart * self._runs + _ENDING * self._runs
        look = time.monotonic()
        while True:
            watcher.turn()
            if len(marks) == 2 and time.time() >= first_end:
                marks.append(self._mark())
            if time.monotonic() < look:
                continue
            self._airflow.check_alive()
            if self._ended():
                return watcher
            if time.time() > give_up:
                raise Stalled(f"the DAG run does not end\n{self._report()}")
            look = time.monotonic() + _LOOK

    def _ended(self) -> bool:
        run = _answer(lambda: self._airflow.dag_run(self._dag, self._run_id))
        return run is not None and run.state in {"success", "failed"}

    def _count(self, state: str) -> int:
        """Tasks in that state; 0 also where Airflow does not answer."""
        path = f"/dags/{self._dag}/dagRuns/{self._run_id}/taskInstances"
        found = _answer(lambda: self._airflow.request("GET", path, params={"state": state, "limit": 1}))
        return 0 if found is None else int(found["total_entries"])

    def _report(self) -> str:
        return self._airflow.report(self._dag, self._run_id)[:4000]

    def _mark(self) -> _Mark:
        used = usage.cpu(self._airflow, self._containers.pid)
        return _Mark(time.time(), used, len(usage.executions(self._airflow)))

    # --- figures ---

    def _result(self, ends: Ends, deferred: float, marks: list[_Mark], watcher: Watcher, sampling: Sampling) -> Result:
        instances = self._airflow.task_instances(self._dag, self._run_id)
        told = self._containers.told(self._since)
        truth = {index: told[label(self._dag, index)] for index in range(self._runs)}
        readable = {index: truth[index].readable for index in watcher.seen}
        lags = watcher.lags(readable)
        checked = _spread(self._runs, sampling.checked)
        counted = [self._counted(index, truth[index], sampling.evidence) for index in checked]
        after = {one.map_index: _after(one, truth[one.map_index]) for one in instances if one.state == "success"}
        executions = usage.executions(self._airflow)
        mine = {one.id for one in instances}
        phases = [
            _phase(first, second, [one for one in executions[first.executions : second.executions] if one.task in mine])
            for first, second in pairwise(marks)
        ]
        states = [str(one.state) for one in instances]
        return Result(
            backend=self._backend,
            operators=self._operators,
            ends=ends,
            runs=self._runs,
            deferring=msgspec.structs.replace(phases[0], seconds=round(deferred, 2)),
            running=phases[1],
            ending=phases[2],
            to_success=Spread.of(after.values()),
            last=_last(instances, list(truth.values())),
            line_lag=Spread.of(lags),
            lines_seen=len(lags),
            lines_written=sum(map(len, readable.values())),
            read=Spread.of(watcher.reads),
            reads_failed=watcher.failed,
            lines=total(counted),
            logs_missing=sum(one.missing for one in counted),
            states={state: states.count(state) for state in sorted(set(states))},
            machine_load=round(os.getloadavg()[0], 1),
        )

    def _counted(self, index: int, container: Container, evidence: Path) -> Counted:
        written = len(container.readable)
        return count(self._airflow, self._dag, self._run_id, index, self._containers.line, written, evidence)


def _answer(question: Callable[[], T]) -> T | None:
    """None where the API server, busy with the workers' questions, does not answer in time: the next look will tell."""
    try:
        return question()
    except httpx.TransportError:
        return None


def _spread(runs: int, wanted: int) -> list[int]:
    """That many map indexes, evenly; fewer where there are fewer."""
    wanted = min(runs, wanted)
    return [place * runs // wanted for place in range(wanted)]


def _after(instance: TaskInstance, container: Container) -> float:
    assert instance.end_date is not None
    assert container.ended is not None
    return instance.end_date.timestamp() - container.ended


def _last(instances: Sequence[TaskInstance], containers: Sequence[Container]) -> float:
    ends = [one.end_date.timestamp() for one in instances if one.end_date]
    return round(max(ends) - max(one.ended for one in containers if one.ended), 3)


def _phase(first: _Mark, second: _Mark, executions: Sequence[usage.Execution]) -> Phase:
    return Phase(
        seconds=round(second.at - first.at, 2),
        executions=len(executions),
        worker_seconds=round(sum(one.seconds for one in executions), 2),
        cpu={name: round(used - first.cpu[name], 2) for name, used in second.cpu.items()},
    )
