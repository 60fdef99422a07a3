"""What the end-to-end tests look at: the log by the REST API, and the embedded AWS's own truth."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from asyncrun.local.airflow import LocalAirflow, LogRecord, TaskInstance
from asyncrun.local.aws import EmbeddedAws

RunDag = Callable[..., str]


def container_lines(records: Iterable[LogRecord], container: str = "main") -> list[str]:
    """What the container wrote: its records carry its name as logger, and may hold several lines."""
    return [line for record in records if record.logger == container for line in record.event.split("\n")]


def timestamps(records: Iterable[LogRecord], container: str = "main") -> list[datetime]:
    return [record.timestamp for record in records if record.logger == container and record.timestamp]


def said(records: Iterable[LogRecord]) -> str:
    """Everything but the container's lines, errors with their messages: what a user reads who looks for a reason."""
    return "\n".join(
        f"{record} {record.fields.get('reason', '')}".rstrip() for record in records if record.logger != "main"
    )


def worker_runs(records: Iterable[LogRecord]) -> int:
    """How many times a worker process worked on this try: each begins by loading the DAG."""
    return sum(record.event.startswith("DAG bundles loaded") for record in records)


def states(airflow: LocalAirflow, dag_id: str, run_id: str) -> dict[str, str | None]:
    return {ti.label: ti.state for ti in airflow.task_instances(dag_id, run_id)}


@dataclass
class Tasks:
    """Task instances of one DAG run, and the ECS tasks that they launched."""

    airflow: LocalAirflow
    aws: EmbeddedAws
    dag_id: str
    run_id: str
    ecs: Any = field(init=False, repr=False)

    def __post_init__(self) -> None:
        self.ecs = boto(self.aws, "ecs")

    def ti(self, task_id: str, map_index: int = -1) -> TaskInstance:
        return self.airflow.task_instance(self.dag_id, self.run_id, task_id, map_index)

    def logs(self, task_id: str, map_index: int = -1, try_number: int | None = None) -> list[LogRecord]:
        return self.airflow.logs(self.dag_id, self.run_id, task_id, try_number, map_index)

    def states(self) -> dict[str, str | None]:
        return states(self.airflow, self.dag_id, self.run_id)

    def arn(self, task_id: str, map_index: int = -1) -> str:
        value = self.airflow.xcom(self.dag_id, self.run_id, task_id, "ecs_task_arn", map_index)
        assert isinstance(value, str)
        return value

    def result(self, task_id: str, map_index: int = -1) -> Any:
        return self.airflow.xcom(self.dag_id, self.run_id, task_id, "return_value", map_index)

    def describe(self, *arns: str) -> list[dict[str, Any]]:
        answer = self.ecs.describe_tasks(cluster="default", tasks=list(arns))
        assert answer["failures"] == []
        return list(answer["tasks"])

    def wait_for_lines(self, task_id: str, map_indexes: Sequence[int] = (-1,), text: str = "line") -> None:
        """Until each of these tasks is deferred and shows a line of its container."""
        for map_index in map_indexes:

            def streams(index: int = map_index) -> bool:
                ti = self.ti(task_id, index)
                assert not ti.finished, self.airflow.report(self.dag_id, self.run_id)
                lines = container_lines(self.logs(task_id, index)) if ti.state == "deferred" else []
                return any(text in line for line in lines)

            self.airflow.wait_until(streams, f"lines of {task_id}[{map_index}] in its log", 90, now=self.states)


def boto(aws: EmbeddedAws, service: str) -> Any:
    import boto3

    return boto3.client(service, **aws.client_options())  # type: ignore[call-overload]


@dataclass
class Since:
    """What the embedded AWS was asked since a moment, and what of it is still running."""

    aws: EmbeddedAws
    began: float = field(default_factory=time.monotonic)

    def calls(self, operation: str) -> int:
        """Calls that were carried out, as far as their callers know."""
        return sum(call.time >= self.began and not call.error for call in self.aws.control.calls(operation))

    def asked(self, operation: str) -> int:
        """Calls, carried out or refused."""
        return sum(call.time >= self.began for call in self.aws.control.calls(operation))

    def running(self, *arns: str) -> list[str]:
        """Those of these ECS tasks that have a container process."""
        return [process.task for process in self.aws.control.processes() if process.task in arns]
