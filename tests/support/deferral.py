"""A deferred task whose trigger runs in Airflow's own trigger runner, and is cancelled by it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace
from typing import Any

from airflow.jobs.triggerer_job_runner import TriggerRunner

from asyncrun.model.refs import RUN_XCOM_KEY
from asyncrun.triggers.background import finish_all
from tests.support.supervisor import Supervisor
from tests.triggers.conftest import TRIGGER_ID

TI_ID = "0199b3f2-0000-7000-8000-000000000001"
PLACE = ("d", "r", "t", -1, RUN_XCOM_KEY)


class RunningTrigger:
    """Airflow's own trigger runner with one trigger, and what Airflow's database says of its task."""

    def __init__(self, airflow: Supervisor, made: Any) -> None:
        self.airflow = airflow
        made.task_instance = SimpleNamespace(
            id=TI_ID, dag_id="d", run_id="r", task_id="t", map_index=-1, try_number=1, context_carrier=None
        )
        self.runner = TriggerRunner()
        self.task = asyncio.create_task(self.runner.run_trigger(TRIGGER_ID, made), name="trigger")
        self.runner.triggers[TRIGGER_ID] = {"task": self.task, "is_watcher": False, "name": "t", "events": 0}

    def note_record(self, record: dict[str, Any], state: str | None) -> None:
        """The worker's XCom, and the state in Airflow's database."""
        self.airflow.xcoms[PLACE] = record
        self.airflow.states = {"r": {"t": state}} if state else {}

    async def cancel_as_user(self) -> None:
        """What the runner does with triggers that are no longer in the database; again at each sync, after a second."""
        for _ in range(2):
            self.runner.to_cancel.append(TRIGGER_ID)
            await self.runner.cancel_triggers()
            await asyncio.wait([self.task], timeout=1.0)
        await asyncio.wait([self.task], timeout=10)
        assert self.task.done()
        await finish_all()
