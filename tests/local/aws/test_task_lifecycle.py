"""The life of a task of the embedded ECS, through a real boto3 client."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from tests.support.lab import FARGATE, Lab, container, logging_to, until


def test_a_task_passes_through_the_states_of_fargate_with_growing_versions(patient_lab: Lab) -> None:
    lab = patient_lab
    arn = lab.run(container("sleep 0.4; exit 3"))
    seen: list[tuple[str, int]] = []

    def read() -> dict[str, Any]:
        task = lab.describe(arn)
        if not seen or seen[-1][0] != task["lastStatus"]:
            seen.append((task["lastStatus"], task["version"]))
        return task

    task = until(read, lambda task: task["lastStatus"] == "STOPPED")
    states, versions = [state for state, _ in seen], [version for _, version in seen]
    order = [
        "PROVISIONING",
        "PENDING",
        "ACTIVATING",
        "RUNNING",
        "DEACTIVATING",
        "STOPPING",
        "DEPROVISIONING",
        "STOPPED",
    ]
    assert states == order
    assert versions == sorted(set(versions))
    times = [
        "createdAt",
        "pullStartedAt",
        "pullStoppedAt",
        "startedAt",
        "stoppingAt",
        "executionStoppedAt",
        "stoppedAt",
    ]
    assert [task[name] for name in times] == sorted(task[name] for name in times)
    assert (task["stopCode"], task["stoppedReason"]) == (
        "EssentialContainerExited",
        "Essential container in task exited",
    )
    assert task["desiredStatus"] == "STOPPED"
    main = task["containers"][0]
    assert (main["name"], main["exitCode"], main["lastStatus"]) == ("main", 3, "STOPPED")
    assert len(task["taskArn"].rpartition("/")[2]) == 32
    assert main["runtimeId"].startswith(task["taskArn"].rpartition("/")[2] + "-")


def test_the_exit_code_is_known_while_the_task_still_deprovisions(patient_lab: Lab) -> None:
    arn = patient_lab.run(container("exit 7"))
    task = patient_lab.wait(arn, "DEPROVISIONING")
    assert task["containers"][0]["exitCode"] == 7
    assert task["desiredStatus"] == "STOPPED"
    assert "stoppedAt" not in task


def test_the_end_of_an_essential_container_stops_the_others(lab: Lab) -> None:
    started = time.monotonic()
    arn = lab.run(
        container("sleep 0.2", "main"),
        container("exec sleep 60", "sidecar"),
        container("exit 5", "helper", essential=False),
    )
    task = lab.wait(arn)
    codes = {one["name"]: one["exitCode"] for one in task["containers"]}
    assert codes == {"main": 0, "sidecar": 143, "helper": 5}
    assert time.monotonic() - started < 10


def test_stop_task_sends_sigterm_and_keeps_the_users_reason(lab: Lab) -> None:
    arn = lab.run(container("trap 'exit 9' TERM; while :; do sleep 0.05; done"), tags=[{"key": "a", "value": "b"}])
    lab.wait(arn, "RUNNING")
    until(lab.aws.control.processes, lambda processes: arn in [one.task for one in processes])
    answer = lab.ecs.stop_task(task=arn, reason="no longer needed")["task"]
    assert (answer["desiredStatus"], answer["lastStatus"]) == ("STOPPED", "RUNNING")
    task = lab.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "no longer needed")
    assert task["containers"][0]["exitCode"] in (9, 143)  # 143: the shell had not set its trap yet
    assert lab.describe(arn, include=["TAGS"])["tags"] == []
    assert lab.ecs.stop_task(task=arn)["task"]["stoppedReason"] == "no longer needed"


def test_a_container_that_ignores_sigterm_is_killed_after_its_stop_timeout(lab: Lab) -> None:
    arn = lab.run(container("trap '' TERM; echo ready; while :; do sleep 0.05; done", stopTimeout=1, **logging_to()))
    until(lab.stream_names, lambda names: f"p/main/{arn[-32:]}" in names)
    lab.ecs.stop_task(task=arn)
    asked = time.monotonic()
    assert lab.wait(arn)["containers"][0]["exitCode"] == 137
    assert time.monotonic() - asked > 0.9


def test_a_task_stopped_before_it_started_has_no_exit_code(patient_lab: Lab) -> None:
    lab = patient_lab
    arn = lab.run(container("exit 0"))
    lab.ecs.stop_task(task=arn)
    task = lab.wait(arn)
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task
    assert (task["stopCode"], task["stoppedReason"]) == ("UserInitiated", "Task stopped by user")


def test_containers_start_in_the_order_of_their_dependencies(lab: Lab) -> None:
    arn = lab.run(
        container("echo main", "main", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}], **logging_to()),
        container("sleep 0.3; echo init", "init", essential=False, **logging_to()),
        container("sleep 9", "side", dependsOn=[{"containerName": "init", "condition": "START"}], essential=False),
        container("true", "late", dependsOn=[{"containerName": "side", "condition": "HEALTHY"}], essential=False),
    )
    task = lab.wait(arn)
    assert task["stopCode"] == "EssentialContainerExited"
    answer = lab.logs.filter_log_events(
        logGroupName="/lab", logStreamNames=[f"p/{n}/{arn[-32:]}" for n in ("main", "init")]
    )
    assert [event["message"] for event in answer["events"]] == ["init", "main"]


def test_a_failed_dependency_keeps_the_task_from_starting(lab: Lab) -> None:
    arn = lab.run(
        container("echo main", "main", dependsOn=[{"containerName": "init", "condition": "SUCCESS"}]),
        container("exit 4", "init", essential=False),
    )
    task = lab.wait(arn)
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    states = {one["name"]: one.get("exitCode") for one in task["containers"]}
    assert states == {"main": None, "init": 4}


def test_overrides_replace_command_and_single_variables(lab: Lab) -> None:
    family = lab.define(
        {
            "name": "main",
            "image": "x",
            "entryPoint": ["python", "-c"],
            "command": ["raise SystemExit(1)"],
            "environment": [{"name": "A", "value": "1"}, {"name": "B", "value": "2"}],
            **logging_to(),
        }
    )
    code = "import os; e = os.environ; print(e['A'], e['B'], 'PYTEST_VERSION' in e, os.getcwd() == e['HOME'])"
    override = {"name": "main", "command": [code], "environment": [{"name": "B", "value": "3"}]}
    answer = lab.ecs.run_task(taskDefinition=family, overrides={"containerOverrides": [override]}, **FARGATE)
    task = answer["tasks"][0]
    assert task["overrides"]["containerOverrides"] == [override]
    assert lab.wait(task["taskArn"])["containers"][0]["exitCode"] == 0
    assert lab.lines(f"p/main/{task['taskArn'][-32:]}") == ["1 3 False True"]


def test_an_image_without_command_prints_a_line_and_ends(lab: Lab) -> None:
    arn = lab.run(container(**logging_to()))
    assert lab.wait(arn)["containers"][0]["exitCode"] == 0
    assert lab.lines(f"p/main/{arn[-32:]}") == ["busybox ran without a command"]


def test_python_in_a_container_is_the_running_interpreter(lab: Lab) -> None:
    arn = lab.run(
        {"name": "main", "image": "x", "command": ["python3", "-c", "import sys; print(sys.prefix)"], **logging_to()}
    )
    lab.wait(arn)
    assert lab.lines(f"p/main/{arn[-32:]}") == [sys.prefix]


@pytest.mark.parametrize("launch_type", ["EC2", "EXTERNAL"])
def test_instances_need_not_be_registered_and_skip_the_network_states(lab: Lab, launch_type: str) -> None:
    family = lab.define(container("sleep 0.2", memory=64), fargate=False)
    task = lab.ecs.run_task(taskDefinition=family, launchType=launch_type)["tasks"][0]
    assert task["lastStatus"] == "PENDING"
    assert task["launchType"] == launch_type
    assert "/default/" in task["containerInstanceArn"]
    assert len(lab.wait(task["taskArn"])["containers"][0]["runtimeId"]) == 64
