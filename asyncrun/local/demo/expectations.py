"""What each example DAG must do for the demo to be a success (pure)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from asyncrun.local.airflow import LogRecord, TaskInstance


@dataclass(frozen=True)
class Expectation:
    """Of one example DAG.

    :ivar state: of the DAG run
    :ivar tasks: states of task ids; all others must be `success`
    :ivar lines: texts that the log of a task (by label, ``part[3]`` for a mapped one) must contain, in any order
    """

    dag_id: str
    state: str = "success"
    tasks: Mapping[str, str] = field(default_factory=dict)
    lines: Mapping[str, Sequence[str]] = field(default_factory=dict)


EXPECTATIONS = (
    Expectation("ecs_minimal", lines={"hello": ["Hello from ECS"]}),
    Expectation("ecs_lifecycle", lines={"run": [f"step {step} of 10" for step in range(1, 11)] + ["all steps done"]}),
    Expectation(
        "ecs_failure", "failed", {"broken": "failed"}, {"broken": ["KeyError: 'orders'", "exited with code 3"]}
    ),
    Expectation("ecs_fan_out", lines={f"part[{index}]": [f"part {index + 1} of 20"] for index in range(20)}),
    Expectation("ecs_sidecar", lines={"two_containers": ["main starts", "proxy is alive", "main ends"]}),
    Expectation("ecs_xcom", lines={"count": ["1204"], "report": ["1204 rows in orders"]}),
    Expectation(
        "ecs_skip", tasks={"look_for_work": "skipped", "process": "skipped"}, lines={"look_for_work": ["no new files"]}
    ),
    Expectation(
        "ecs_on_failure_callback",
        "failed",
        {"fails": "failed"},
        {"fails": ["disk is full", "callback: fails failed", "exited with code 1"]},
    ),
)


def unmet(
    expected: Expectation, state: str, tasks: Sequence[TaskInstance], logs: Mapping[str, Sequence[LogRecord]]
) -> list[str]:
    """One sentence for everything that is not as expected; empty if all is.

    :param state: of the DAG run
    :param logs: records by label of the task
    """
    found = []
    if state != expected.state:
        found.append(f"{expected.dag_id} ended {state}, not {expected.state}")
    for ti in tasks:
        wanted = expected.tasks.get(ti.task_id, "success")
        if ti.state != wanted:
            found.append(f"{expected.dag_id}.{ti.label} is {ti.state}, not {wanted}")
    for label, texts in expected.lines.items():
        log = "\n".join(text_of(record) for record in logs.get(label, ()))
        found += [f"{expected.dag_id}.{label}: no line with {text!r} in its log" for text in texts if text not in log]
    return found


def text_of(record: LogRecord) -> str:
    """The record's message, with that of the exception it carries."""
    return "\n".join([record.event, *(error.get("exc_value", "") for error in record.fields.get("error_detail") or [])])
