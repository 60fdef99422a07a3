"""Deferrable tasks without any operator of ours: what the harness itself is tested with."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from airflow.sdk import DAG, BaseOperator, Param


class WaitOperator(BaseOperator):
    """Log a line, wait in the triggerer, log another line and return a value."""

    template_fields = ("seconds",)

    def __init__(self, *, seconds: str, number: int = 42, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seconds = seconds
        self.number = number

    def execute(self, context: Any) -> None:
        from airflow.providers.standard.triggers.temporal import TimeDeltaTrigger

        self.log.info("harness: before")
        self.defer(trigger=TimeDeltaTrigger(timedelta(seconds=float(self.seconds))), method_name="resume")

    def resume(self, context: Any, event: Any) -> dict[str, int]:
        self.log.info("harness: after")
        return {"answer": self.number}


with DAG(dag_id="harness_wait", schedule=None, params={"seconds": Param(1, type="number")}):
    WaitOperator(task_id="wait", seconds="{{ params.seconds }}")

with DAG(dag_id="harness_mapped", schedule=None, params={"seconds": Param(1, type="number")}):
    WaitOperator.partial(task_id="wait", seconds="{{ params.seconds }}").expand(number=list(range(6)))
