"""
A real triggerer's supervisor on a database, which notes how it fares.

``python -m tests.support.triggerer_process HOME``; ``tests.support.triggerer_lab`` starts it.

Everything is Airflow's own: the triggers are rows of its database and belong to deferred task instances, the job beats
in the database, events reach the task instances, logs go where ``[logging]`` says. Only notes are added.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs
from airflow.jobs.job import Job
from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor, messages
from airflow.models.dagbundle import DagBundleModel
from airflow.models.serialized_dag import SerializedDagModel
from airflow.models.taskinstance import TaskInstance
from airflow.models.trigger import Trigger
from airflow.sdk import DAG
from airflow.serialization.definitions.dag import SerializedDAG
from airflow.serialization.serialized_objects import LazyDeserializedDAG
from airflow.utils.session import create_session
from airflow.utils.state import DagRunState, TaskInstanceState
from airflow.utils.types import DagRunTriggeredByType, DagRunType
from sqlalchemy import func, select, update

from tests.support.triggerer_lab import DAG_ID, RUN_ID, TASK_ID, Fared, Work

_HELD_BACK = "held_back"
"""A queue that this triggerer does not serve: triggers stand there until they are handed over."""


@attrs.define(kw_only=True)
class NotingSupervisor(TriggerRunnerSupervisor):
    """Airflow's own, with a look at the clock here and there."""

    fared: Fared = attrs.field(factory=Fared, init=False)
    _beat: Any = attrs.field(default=None, init=False)

    def turn(self) -> None:
        """One turn of the loop."""
        began = time.time()
        self.run_once()
        self.fared.turns.append(time.time() - began)

    def heartbeat(self) -> None:
        super().heartbeat()
        assert self.job is not None
        if self.job.latest_heartbeat != self._beat:
            self._beat = self.job.latest_heartbeat
            self.fared.beats.append(self._beat.timestamp())

    def _handle_request(self, msg: Any, log: Any, req_id: int) -> None:
        began = time.time()
        super()._handle_request(msg, log, req_id)
        name = type(msg).__name__
        self.fared.requests[name] = self.fared.requests.get(name, 0) + 1
        if isinstance(msg, messages.TriggerStateChanges) and msg.finished:
            self.fared.told.append((began, len(msg.finished), time.time() - began))

    def load_triggers(self) -> None:
        began, before = time.time(), len(self.running_triggers) + len(self.creating_triggers)
        super().load_triggers()
        self.fared.loading += time.time() - began
        after = len(self.running_triggers) + len(self.creating_triggers)
        if after != before:
            self.fared.loaded.append((time.time(), after))

    def handle_events(self) -> None:
        began, count = time.time(), len(self.events)
        super().handle_events()
        if count:
            self.fared.events.append((began, count, time.time() - began))


def main() -> None:
    """The supervisor's process."""
    home = Path(sys.argv[1])
    work = Work(**json.loads((home / "work.json").read_text()))
    ids = _rows(work)
    job = Job(heartrate=Job._heartrate("TriggererJob"))
    job.job_type = "TriggererJob"
    job.prepare_for_execution()
    supervisor = NotingSupervisor.start(job=job, capacity=work.capacity or len(ids) + 10)
    try:
        _drive(work, ids, supervisor, home)
    finally:
        supervisor.kill(escalation_delay=5, force=True)
        (home / "fared.json").write_text(json.dumps(attrs.asdict(supervisor.fared)))


def _rows(work: Work) -> list[int]:
    """One mapped task, an index for each trigger, all deferred."""
    from airflow.providers.standard.operators.bash import BashOperator

    with DAG(DAG_ID, schedule=None, start_date=datetime(2026, 1, 1, tzinfo=UTC)) as dag:
        BashOperator.partial(task_id=TASK_ID).expand(bash_command=["true"] * len(work.triggers))
    dag.relative_fileloc = f"{DAG_ID}.py"
    with create_session() as session:
        session.merge(DagBundleModel(name="bundle"))
        session.flush()
        lazy = LazyDeserializedDAG.from_dag(dag)
        SerializedDAG.bulk_write_to_db("bundle", None, [lazy], session=session)
        SerializedDagModel.write_dag(lazy, "bundle", session=session)
        session.flush()
        stored = SerializedDagModel.get_dag(DAG_ID, session=session)
        now = datetime.now(UTC)
        stored.create_dagrun(
            run_id=RUN_ID, logical_date=now, data_interval=(now, now), run_after=now, run_type=DagRunType.MANUAL,
            triggered_by=DagRunTriggeredByType.TEST, state=DagRunState.RUNNING, session=session,
        )  # fmt: skip
    with create_session() as session:
        instances = session.scalars(select(TaskInstance).order_by(TaskInstance.map_index)).all()
        assert len(instances) == len(work.triggers), f"{len(instances)} task instances"
        rows = [Trigger(classpath=path, kwargs=kwargs, queue=_HELD_BACK) for path, kwargs in work.triggers]
        session.add_all(rows)
        session.flush()
        for instance, row in zip(instances, rows, strict=True):
            instance.state, instance.trigger_id = TaskInstanceState.DEFERRED, row.id
            instance.try_number, instance.start_date = 1, now
            instance.next_method, instance.next_kwargs = "execute_complete", {}
        return [row.id for row in rows]


def _drive(work: Work, ids: list[int], supervisor: NotingSupervisor, home: Path) -> None:
    fared, give_up = supervisor.fared, time.time() + work.limit
    _hand_over(ids[:1])
    _turn_until(lambda: bool(fared.requests.get("GetXCom")), supervisor, give_up)
    _turn_for(supervisor, work.settle)
    fared.began = time.time()
    given = 1
    while given < len(ids) and time.time() < give_up:
        share = (time.time() - fared.began) / work.hand_over if work.hand_over else 1.0
        due = min(len(ids), int(len(ids) * share))
        if due - given >= len(ids) / 50 or due == len(ids):
            _hand_over(ids[given:due])
            given = due
        supervisor.turn()
    _turn_until(lambda: len(supervisor.running_triggers) == len(ids), supervisor, give_up)
    fared.all_running = time.time()
    _turn_for(supervisor, work.hold)
    fared.go = time.time()
    (home / "go").touch()
    _turn_until(lambda: not supervisor.running_triggers and _deferred() == 0, supervisor, give_up)
    fared.ended = time.time()
    fared.complete = fared.ended < give_up
    _turn_for(supervisor, 1)
    fared.states = _states()


def _turn_until(reached: Callable[[], bool], supervisor: NotingSupervisor, give_up: float) -> None:
    while not reached() and time.time() < give_up and supervisor.is_alive():
        supervisor.turn()


def _turn_for(supervisor: NotingSupervisor, seconds: float) -> None:
    until = time.time() + seconds
    while time.time() < until and supervisor.is_alive():
        supervisor.turn()


def _hand_over(ids: Iterable[int]) -> None:
    with create_session() as session:
        session.execute(update(Trigger).where(Trigger.id.in_(list(ids))).values(queue=None))


def _deferred() -> int:
    with create_session() as session:
        return int(session.scalar(select(func.count()).where(TaskInstance.state == TaskInstanceState.DEFERRED)) or 0)


def _states() -> dict[str, int]:
    with create_session() as session:
        found = session.execute(select(TaskInstance.state, func.count()).group_by(TaskInstance.state)).all()
        return {str(state): int(count) for state, count in found}


if __name__ == "__main__":
    main()
