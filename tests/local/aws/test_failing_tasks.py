"""Tasks of the embedded ECS that fail by rule."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.lab import FARGATE, Lab, container, logging_to, until


@pytest.mark.parametrize(
    ("definition", "reason"),
    [
        (
            container(image="repo/does-not-exist"),
            "CannotPullContainerError: pull image manifest has been retried 1 time(s)",
        ),
        (
            container(secrets=[{"name": "S", "valueFrom": "arn:aws:secretsmanager:us-east-1:1:secret:missing"}]),
            "ResourceInitializationError: unable to pull secrets or registry auth",
        ),
        (
            container(**logging_to("/no/group")),
            "ResourceInitializationError: failed to validate logger args: create stream has been retried 1 times: "
            "failed to create Cloudwatch log stream: ResourceNotFoundException: The specified log group does not "
            "exist.",
        ),
        (
            {"name": "main", "image": "x", "command": ["no-such-program"]},
            "CannotStartContainerError: ResourceInitializationError: failed to create new container runtime task",
        ),
    ],
    ids=["image", "secret", "log group", "program"],
)
def test_a_task_that_cannot_start_says_why(lab: Lab, definition: dict[str, Any], reason: str) -> None:
    task = lab.wait(lab.run(definition))
    assert task["stopCode"] == "TaskFailedToStart"
    assert task["stoppedReason"].startswith(reason)
    assert "exitCode" not in task["containers"][0]
    assert "startedAt" not in task


def test_on_instances_the_container_says_why_it_cannot_start(lab: Lab) -> None:
    family = lab.define(container(image="does-not-exist", memory=8), fargate=False)
    task = lab.wait(lab.ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"])
    assert (task["stopCode"], task["stoppedReason"]) == ("TaskFailedToStart", "Task failed to start")
    assert task["containers"][0]["reason"].startswith("CannotPullContainerError: Error response from daemon")


def test_a_process_tree_that_outgrows_its_memory_is_killed(lab: Lab) -> None:
    hungry = "import time; x = bytearray(150 << 20); time.sleep(60)"
    child = f"python -c '{hungry}'; true"
    task = lab.wait(lab.run(container(child, memory=100)))
    main = task["containers"][0]
    assert (main["exitCode"], main["reason"]) == (137, "OutOfMemoryError: Container killed due to memory usage")
    assert task["stopCode"] == "EssentialContainerExited"


def test_without_capacity_run_task_answers_failures(faulty: Lab, slow_lab: Lab) -> None:
    faulty.aws.control.set_out_of_capacity("FARGATE")
    answer = faulty.ecs.run_task(taskDefinition=faulty.define(container()), **FARGATE)
    reason = "Capacity is unavailable at this time. Please try again later or in a different availability zone"
    assert (answer["tasks"], answer["failures"]) == ([], [{"reason": reason}])
    family = slow_lab.define(container("exec sleep 30", memory=200), fargate=False)
    arn = slow_lab.ecs.run_task(taskDefinition=family)["tasks"][0]["taskArn"]
    answer = slow_lab.ecs.run_task(taskDefinition=family)
    assert [failure["reason"] for failure in answer["failures"]] == ["RESOURCE:MEMORY"]
    until(lambda: slow_lab.ecs.describe_tasks(tasks=[arn])["tasks"], bool)
    slow_lab.ecs.stop_task(task=arn)
