"""Waiting for what Airflow's REST API tells: states, log lines, the end of a DAG run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

from asyncrun.local.airflow.errors import DagsBroken, NotReached
from asyncrun.local.airflow.rest import RestApi
from asyncrun.local.airflow.values import FINISHED, LogRecord

T = TypeVar("T")

POLL_INTERVAL = 0.2
"""Seconds between two looks at a condition that is waited for."""


class AirflowApi(RestApi):
    """The REST API's calls, and waiting for what they tell. Blocking."""

    def wait_until(
        self,
        condition: Callable[[], T | None],
        what: str,
        timeout: float,
        *,
        now: Callable[[], object] | None = None,
    ) -> T:
        """Look at `condition` until it returns something true, and return that.

        :param what: what is waited for, for the message
        :param timeout: seconds
        :param now: tells for the message what is there instead
        :raises NotReached: after `timeout` seconds
        """
        end = time.monotonic() + timeout
        while not (found := condition()):
            self.check_alive()
            if time.monotonic() > end:
                state = f"; now: {now()}" if now else ""
                raise NotReached(f"not reached within {timeout:g} s: {what}{state}")
            time.sleep(POLL_INTERVAL)
        return found

    def check_alive(self) -> None:
        """Called while waiting; raises where waiting is pointless. Here it does nothing."""

    def wait_for(
        self,
        dag_id: str,
        run_id: str,
        task_id: str | None = None,
        states: Iterable[str] = FINISHED,
        *,
        map_index: int = -1,
        timeout: float = 90,
    ) -> str:
        """Wait until the task instance (or, without `task_id`, the DAG run) is in one of `states`; returns the state.

        :raises NotReached: it is not within `timeout` seconds; the message lists the states of all tasks of the run
        """
        wanted = frozenset(states)

        def reached() -> str | None:
            if task_id is None:
                state: str | None = self.dag_run(dag_id, run_id).state
            else:
                state = self.task_instance(dag_id, run_id, task_id, map_index).state
            return state if state in wanted else None

        what = f"{dag_id}/{run_id}" + (f"/{task_id}" if task_id else "") + f" in {'/'.join(sorted(wanted))}"
        return self.wait_until(reached, what, timeout, now=lambda: self._states(dag_id, run_id))

    def wait_for_log(
        self, dag_id: str, run_id: str, task_id: str, text: str, *, map_index: int = -1, timeout: float = 60
    ) -> LogRecord:
        """Wait until a record of the task's latest try contains `text`; returns that record.

        :raises NotReached: the task ended without it, or `timeout` seconds passed; with a :meth:`report`
        """
        what = f"{text!r} in the log of {dag_id}/{run_id}/{task_id}"

        def found() -> LogRecord | None:
            # The state is read before the log, so that a task seen as finished has its whole log read.
            ti = self.task_instance(dag_id, run_id, task_id, map_index)
            records = self.logs(dag_id, run_id, task_id, ti.try_number, map_index) if ti.try_number else []
            record = next((record for record in records if text in record.event), None)
            if record is None and ti.finished:
                raise NotReached(f"{task_id} ended without {what}\n{self.report(dag_id, run_id)}")
            return record

        return self.wait_until(found, what, timeout, now=lambda: self.report(dag_id, run_id))

    def expect(self, dag_id: str, run_id: str, state: str = "success", timeout: float = 90) -> None:
        """Wait for the end of the DAG run, which must be `state`.

        :raises NotReached: it ended otherwise, or not within `timeout` seconds; with a :meth:`report`
        """
        ended = self.wait_for(dag_id, run_id, timeout=timeout)
        if ended != state:
            raise NotReached(f"{dag_id} ended {ended}, not {state}\n{self.report(dag_id, run_id)}")

    def report(self, dag_id: str, run_id: str, lines: int = 25) -> str:
        """What became of a DAG run, for a person: every task's state, and the last records of those that are not
        `success`."""
        parts = []
        for ti in self.task_instances(dag_id, run_id):
            parts.append(f"{ti.label}: {ti.state} (try {ti.try_number})")
            if ti.try_number and ti.state != "success":
                records = self.logs(dag_id, run_id, ti.task_id, ti.try_number, ti.map_index)
                parts += [f"    {record}" for record in records[-lines:]]
        return "\n".join(parts)

    def _states(self, dag_id: str, run_id: str) -> dict[str, str | None]:
        return {ti.label: ti.state for ti in self.task_instances(dag_id, run_id)}

    def dags_ready(self, dag_ids: Iterable[str], timeout: float = 60) -> None:
        """Wait until all these DAGs can be triggered.

        :raises DagsBroken: one is missing and a DAG file does not import
        :raises NotReached: some are missing after `timeout` seconds
        """
        wanted = set(dag_ids)

        def all_there() -> bool:
            missing = wanted - self.dags()
            if missing and (errors := self.import_errors()):
                raise DagsBroken("\n".join(f"{name}:\n{trace}" for name, trace in errors.items()))
            return not missing

        self.wait_until(all_there, f"DAGs {sorted(wanted)}", timeout, now=lambda: sorted(self.dags()))
