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
    Expectation("pod_minimal", lines={"hello": ["Hello from Kubernetes"]}),
    Expectation(
        "pod_full", lines={"configured": ["preparing", "prepared by the init container", "Hello from configured-"]}
    ),
    Expectation("pod_jinja", lines={"templated": ["region eu-north-1", "of pod_jinja"]}),
    Expectation("pod_secrets", lines={"secretive": ["mode fast, 7 and 7 characters"]}),
    Expectation("pod_sidecar_xcom", lines={"count": ["proxy is alive", "counted"], "report": ["1204 rows in orders"]}),
    Expectation("pod_fan_out", lines={f"part[{index}]": [f"part {index + 1} of 20"] for index in range(20)}),
    Expectation("pod_on_success_callback", lines={"succeeds": ["all is well", "callback: succeeds succeeded"]}),
    Expectation(
        "pod_failures",
        "failed",
        dict.fromkeys(("exit_code", "out_of_memory", "no_image", "no_secret", "no_room"), "failed"),
        {
            "exit_code": ["KeyError: 'orders'", "exited with code 3"],
            "out_of_memory": ["filling memory", "32Mi"],
            "no_image": ["registry.invalid/no/such:image"],
            "no_secret": ["no-such-secret"],
            "no_room": ["memory"],
        },
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
