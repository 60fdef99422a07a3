"""A worker that is just big enough to run an operator (XComs in a dict, no Airflow behind it), and what it runs."""

from __future__ import annotations

import contextvars
import json
import threading
import uuid
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
from airflow.sdk.exceptions import AirflowTaskTimeout

from asyncrun.clients import budget
from asyncrun.clients.config import load_settings
from asyncrun.local.aws import EmbeddedAws

FAMILY = "operators"
GROUP = "/ecs/operators"
FOREVER = "import time; time.sleep(60)"
"""A program that outlasts its test."""


class Ti:
    """What an operator uses of a task instance."""

    def __init__(self, task_id: str, *, try_number: int = 1, run_id: str = "manual__1") -> None:
        self.id = uuid.uuid4()
        self.dag_id, self.task_id, self.run_id, self.map_index = "a.dag", task_id, run_id, -1
        self.try_number = try_number
        self.xcoms: dict[str, Any] = {}

    def xcom_push(self, key: str, value: Any) -> None:
        self.xcoms[key] = value

    def xcom_pull(self, task_ids: str, key: str, map_indexes: int) -> Any:
        assert (task_ids, map_indexes) == (self.task_id, self.map_index)
        return self.xcoms.get(key)


class Unwritable(Ti):
    """Nothing can be announced."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise RuntimeError("the API server is away")


class WorkerDied(BaseException):
    """kill -9, as far as one process can show it."""


class DyingTi(Ti):
    """The worker dies while it announces the run: between launch and deferral."""

    def xcom_push(self, key: str, value: Any) -> None:
        raise WorkerDied


class Store:
    """Airflow's task state store: JSON by key, the same for all tries of a task instance."""

    def __init__(self) -> None:
        self.rows: dict[str, str] = {}
        self.broken: set[str] = set()
        """Of "get" and "set", what fails."""

    def get(self, key: str) -> Any:
        if "get" in self.broken:
            raise RuntimeError("the API server is away")
        return json.loads(self.rows[key]) if key in self.rows else None

    def set(self, key: str, value: Any) -> None:
        if "set" in self.broken:
            raise RuntimeError("the API server is away")
        self.rows[key] = json.dumps(value)


class Worker:
    """Runs operators as the task runner does: templates first, then ``execute`` with the safeguard satisfied."""

    def context(self, task: Any, *, ti: Ti | None = None, **values: Any) -> dict[str, Any]:
        run = SimpleNamespace(start_date=datetime(2026, 1, 2, 3, 4, 5, 678, tzinfo=UTC), run_id="manual__1")
        return {"ti": ti or Ti(task.task_id), "task": task, "dag_run": run, **values}

    def execute(self, task: Any, context: dict[str, Any]) -> Any:
        budget._buckets.clear()  # each task has a process of its own
        from airflow.sdk import DAG
        from airflow.sdk.bases.operator import ExecutorSafeguard

        if not task.has_dag():
            DAG("a.dag").add_task(task)

        task.render_template_fields(context)
        here = contextvars.copy_context()
        here.run(ExecutorSafeguard.tracker.set, task)
        return self.call(here.run, task.execute, context)

    def call(self, function: Any, *arguments: Any, **named: Any) -> Any:
        """In a thread: this one has pytest-asyncio's event loop, which asyncio.run would leave behind unclosed."""
        with ThreadPoolExecutor(1) as pool:
            return pool.submit(function, *arguments, **named).result()


def time_out_after_closing(monkeypatch: pytest.MonkeyPatch, module: ModuleType, name: str, setting: str) -> None:
    """
    The time of the Airflow task is over when its launch has just closed its clients: once.

    :param name: of the function in ``module`` that closes them.
    :param setting: what the configuration has for ``log_rate`` from then on.
    """
    close, due = getattr(module, name), ["a time-out"]

    async def close_when_the_time_is_over() -> None:
        await close()
        if due:
            monkeypatch.setenv("AIRFLOW__ASYNCRUN__LOG_RATE", setting)
            load_settings.cache_clear()
            raise AirflowTaskTimeout(due.pop())

    monkeypatch.setattr(module, name, close_when_the_time_is_over)


def join_stops() -> None:
    """Wait for the threads in which operators stop what they launched."""
    for thread in threading.enumerate():
        if thread.name.startswith("asyncrun-stop"):
            thread.join(30)


def boto(aws: EmbeddedAws) -> Any:
    import boto3

    return boto3.client("ecs", **aws.client_options())  # type: ignore[call-overload]


def described(aws: EmbeddedAws, arn: str) -> dict[str, Any]:
    (task,) = boto(aws).describe_tasks(cluster="default", tasks=[arn], include=["TAGS"])["tasks"]
    return dict(task)


def register(aws: EmbeddedAws) -> str:
    options = {"awslogs-group": GROUP, "awslogs-region": aws.options.region, "awslogs-stream-prefix": "ecs"}
    answer = boto(aws).register_task_definition(
        family=FAMILY,
        networkMode="awsvpc",
        requiresCompatibilities=["FARGATE"],
        cpu="256",
        memory="512",
        containerDefinitions=[
            {
                "name": "main",
                "image": "python",
                "essential": True,
                "logConfiguration": {"logDriver": "awslogs", "options": options},
            }
        ],
    )
    arn: str = answer["taskDefinition"]["taskDefinitionArn"]
    return arn


def script(program: str) -> dict[str, Any]:
    """``overrides`` that make the container run a Python program."""
    return {"containerOverrides": [{"name": "main", "command": ["python", "-u", "-c", program]}]}


def run_task(program: str = "print('hello')", **arguments: Any) -> Any:
    """An ``EcsRunTaskOperator`` that runs a Python program in the embedded AWS."""
    from asyncrun.operators.ecs import EcsRunTaskOperator

    given = {
        "task_id": "run",
        "task_definition": FAMILY,
        "cluster": "default",
        "launch_type": "FARGATE",
        "network_configuration": {"awsvpcConfiguration": {"subnets": ["subnet-1"]}},
        "overrides": script(program),
        "aws_conn_id": None,
        **arguments,
    }
    return given.pop("kind", EcsRunTaskOperator)(**given)
