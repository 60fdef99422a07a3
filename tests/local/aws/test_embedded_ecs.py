"""Tasks of the embedded ECS, through a real boto3 client."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from tests.support.lab import FARGATE, Lab, container, logging_to, until


def refused(call: Any, code: str, message: str, **params: Any) -> dict[str, Any]:
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError) as caught:
        call(**params)
    error = caught.value.response["Error"]
    assert error["Code"] == code
    assert message in error["Message"]
    return dict(caught.value.response)


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
    until(lambda: stream_names(lab), lambda names: f"p/main/{arn[-32:]}" in names)
    lab.ecs.stop_task(task=arn)
    asked = time.monotonic()
    assert lab.wait(arn)["containers"][0]["exitCode"] == 137
    assert time.monotonic() - asked > 0.9


def stream_names(lab: Lab) -> list[str]:
    pages = lab.logs.get_paginator("describe_log_streams").paginate(logGroupName="/lab")
    return [stream["logStreamName"] for page in pages for stream in page["logStreams"]]


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


# -- what RunTask refuses and remembers ------------------------------------------------------------------------------


def test_fargate_without_network_configuration_is_refused(lab: Lab) -> None:
    message = "Network Configuration must be provided when networkMode 'awsvpc' is specified."
    refused(
        lab.ecs.run_task,
        "InvalidParameterException",
        message,
        taskDefinition=lab.define(container()),
        launchType="FARGATE",
    )


def test_unknown_and_inactive_task_definitions_are_refused(lab: Lab) -> None:
    refused(lab.ecs.run_task, "ClientException", "TaskDefinition not found.", taskDefinition="nobody:3", **FARGATE)
    family = lab.define(container())
    lab.ecs.deregister_task_definition(taskDefinition=f"{family}:1")
    refused(lab.ecs.run_task, "ClientException", "TaskDefinition is inactive", taskDefinition=f"{family}:1", **FARGATE)
    refused(lab.ecs.run_task, "ClientException", "TaskDefinition not found.", taskDefinition=family, **FARGATE)


def test_what_contradicts_itself_is_refused(lab: Lab) -> None:
    family = lab.define(container())
    override = {"containerOverrides": [{"name": "nobody"}]}
    refused(
        lab.ecs.run_task,
        "InvalidParameterException",
        "Override for container named nobody is not a container in the TaskDefinition.",
        taskDefinition=family,
        overrides=override,
        **FARGATE,
    )
    refused(
        lab.ecs.run_task,
        "InvalidParameterException",
        "Specifying both a launch type and capacity provider strategy is not supported.",
        taskDefinition=family,
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT"}],
        **FARGATE,
    )
    refused(
        lab.ecs.run_task,
        "InvalidParameterException",
        "Task definition does not support launch_type FARGATE.",
        taskDefinition=lab.define(container(memory=8), fargate=False),
        **FARGATE,
    )
    refused(
        lab.ecs.run_task, "ClusterNotFoundException", "Cluster not found.", taskDefinition=family, cluster="nowhere"
    )


def test_a_role_that_cannot_be_assumed_is_refused(lab: Lab) -> None:
    family = lab.define(container(), executionRoleArn="arn:aws:iam::123456789012:role/missing")
    message = (
        "ECS was unable to assume the role 'arn:aws:iam::123456789012:role/missing' that was provided for this task."
    )
    refused(lab.ecs.run_task, "ClientException", message, taskDefinition=family, **FARGATE)


def test_fargate_needs_a_stream_prefix(lab: Lab) -> None:
    message = "Fargate requires log configuration options to include awslogs-stream-prefix"
    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match=message):
        lab.define(container(**logging_to(prefix=None)))


def test_dependencies_must_exist_and_not_be_cyclic(lab: Lab) -> None:
    def depending(name: str, on: str) -> dict[str, Any]:
        return container(name=name, dependsOn=[{"containerName": on, "condition": "START"}])

    from botocore.exceptions import ClientError

    with pytest.raises(ClientError, match="unknown container nobody"):
        lab.define(depending("a", "nobody"))
    with pytest.raises(ClientError, match=r"Cyclic dependency between the containers \['a', 'b'\]"):
        lab.define(depending("a", "b"), depending("b", "a"), container(name="c"))


def test_capacity_provider_strategies_choose_the_launch_type(lab: Lab) -> None:
    network = {"networkConfiguration": FARGATE["networkConfiguration"]}
    task = lab.ecs.run_task(
        taskDefinition=lab.define(container()),
        capacityProviderStrategy=[{"capacityProvider": "FARGATE_SPOT", "weight": 1}],
        **network,
    )["tasks"][0]
    assert (task["launchType"], task["capacityProviderName"]) == ("FARGATE", "FARGATE_SPOT")
    refused(
        lab.ecs.run_task,
        "InvalidParameterException",
        "not associated with the cluster",
        taskDefinition=lab.define(container()),
        capacityProviderStrategy=[{"capacityProvider": "mine"}],
        **network,
    )


def test_a_client_token_launches_once_per_cluster(lab: Lab) -> None:
    lab.ecs.create_cluster(clusterName="second")
    family = lab.define(container())
    call = {"taskDefinition": family, "clientToken": "token-1", **FARGATE}
    first = lab.ecs.run_task(**call)["tasks"]
    assert lab.ecs.run_task(**call)["tasks"] == first
    lab.wait(first[0]["taskArn"])
    assert lab.ecs.run_task(**call)["tasks"] == first
    message = "The provided clientToken is already in use with a different RunTask request."
    response = refused(lab.ecs.run_task, "ConflictException", message, **{**call, "startedBy": "me"})
    assert response["resourceIds"] == [first[0]["taskArn"]]
    assert lab.ecs.run_task(**call, cluster="second")["tasks"] != first


def test_what_the_caller_gave_comes_back(lab: Lab) -> None:
    volume = {"name": "data", "configuredAtLaunch": True}
    family = lab.define(container("sleep 0.2"), volumes=[volume], tags=[{"key": "from", "value": "definition"}])
    task = lab.ecs.run_task(
        taskDefinition=family,
        startedBy="asyncrun/test",
        group="night",
        enableExecuteCommand=True,
        enableECSManagedTags=True,
        propagateTags="TASK_DEFINITION",
        tags=[{"key": "mine", "value": "1"}],
        volumeConfigurations=[{"name": "data", "managedEBSVolume": {"roleArn": "arn:r", "sizeInGiB": 7}}],
        **FARGATE,
    )["tasks"][0]
    expected = {"aws:ecs:clusterName": "default", "from": "definition", "mine": "1"}
    assert {tag["key"]: tag["value"] for tag in task["tags"]} == expected
    assert (task["startedBy"], task["group"], task["enableExecuteCommand"]) == ("asyncrun/test", "night", True)
    assert [one["type"] for one in task["attachments"]] == ["ElasticNetworkInterface", "AmazonElasticBlockStorage"]
    arn = task["taskArn"]
    assert "tags" not in lab.describe(arn)
    assert len(lab.describe(arn, include=["TAGS"])["tags"]) == 3
    lab.ecs.untag_resource(resourceArn=arn, tagKeys=["mine"])
    lab.ecs.tag_resource(resourceArn=arn, tags=[{"key": "new", "value": "2"}])
    tags = lab.ecs.list_tags_for_resource(resourceArn=arn)["tags"]
    assert {tag["key"] for tag in tags} == {"aws:ecs:clusterName", "from", "new"}


# -- reading ---------------------------------------------------------------------------------------------------------


def test_unknown_tasks_are_failures_and_a_hundred_is_the_limit(lab: Lab) -> None:
    missing = f"arn:aws:ecs:us-east-1:123456789012:task/default/{'0' * 32}"
    answer = lab.ecs.describe_tasks(tasks=["0" * 32])
    assert (answer["tasks"], answer["failures"]) == ([], [{"arn": missing, "reason": "MISSING"}])
    refused(lab.ecs.describe_tasks, "InvalidParameterException", "100", tasks=[f"{n:032x}" for n in range(101)])
    refused(lab.ecs.describe_tasks, "InvalidParameterException", "taskId length", tasks=["short"])
    refused(
        lab.ecs.describe_tasks, "ClusterNotFoundException", "Cluster not found.", tasks=[missing], cluster="nowhere"
    )
    refused(lab.ecs.stop_task, "InvalidParameterException", "The referenced task was not found.", task=missing)


def test_a_task_belongs_to_one_cluster(lab: Lab) -> None:
    lab.ecs.create_cluster(clusterName="other")
    arn = lab.run(container())
    assert lab.ecs.describe_tasks(cluster="other", tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]


def test_listing_shows_running_tasks_unless_asked_otherwise(lab: Lab) -> None:
    family = lab.define(container("exec sleep 30"))
    arns = [
        lab.ecs.run_task(taskDefinition=family, startedBy=who, **FARGATE)["tasks"][0]["taskArn"]
        for who in ("me", "you")
    ]
    assert lab.ecs.list_tasks(startedBy="me")["taskArns"] == [arns[0]]
    assert sorted(lab.ecs.list_tasks(family=family)["taskArns"]) == sorted(arns)
    for arn in arns:
        lab.ecs.stop_task(task=arn)
    assert lab.ecs.list_tasks(family=family)["taskArns"] == []
    assert lab.ecs.list_tasks(startedBy="me", desiredStatus="STOPPED")["taskArns"] == [arns[0]]
    pages = lab.ecs.get_paginator("list_tasks").paginate(
        family=family, desiredStatus="STOPPED", PaginationConfig={"PageSize": 1}
    )
    assert sorted(arn for page in pages for arn in page["taskArns"]) == sorted(arns)
    refused(lab.ecs.list_tasks, "InvalidParameterException", "startedBy", startedBy="me", family=family)


def test_clusters_count_their_tasks_and_are_not_deleted_with_them(lab: Lab) -> None:
    lab.ecs.create_cluster(clusterName="busy")
    arn = lab.run(container("exec sleep 30"), cluster="busy")
    until(
        lambda: lab.ecs.describe_clusters(clusters=["busy"])["clusters"][0]["runningTasksCount"],
        lambda count: count == 1,
    )
    refused(lab.ecs.delete_cluster, "ClusterContainsTasksException", "Tasks are active", cluster="busy")
    lab.ecs.stop_task(cluster="busy", task=arn)


def test_regions_are_separate(lab: Lab) -> None:
    other = lab.client("ecs", region_name="eu-west-1")
    refused(other.list_tasks, "ClusterNotFoundException", "Cluster not found.")


def test_what_may_be_late_is_late(slow_lab: Lab) -> None:
    family = slow_lab.define(container("exit 2"))
    arn = slow_lab.ecs.run_task(taskDefinition=family, **FARGATE)["tasks"][0]["taskArn"]
    assert slow_lab.ecs.describe_tasks(tasks=[arn])["failures"] == [{"arn": arn, "reason": "MISSING"}]
    until(lambda: slow_lab.ecs.describe_tasks(tasks=[arn])["tasks"], bool)
    early = until(lambda: slow_lab.describe(arn), lambda task: task["desiredStatus"] == "STOPPED")
    assert "stopCode" not in early
    assert early["containers"][0]["exitCode"] == 2
    until(lambda: slow_lab.describe(arn), lambda task: task.get("stopCode") == "EssentialContainerExited")
    until(lambda: slow_lab.ecs.describe_tasks(tasks=[arn])["failures"], bool)  # the retention is over


# -- failing by rule -------------------------------------------------------------------------------------------------


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


# -- processes -------------------------------------------------------------------------------------------------------


def test_nothing_of_a_container_outlives_it(lab: Lab) -> None:
    arn = lab.run(container("sleep 61 & echo $!; exit 0", **logging_to()))
    lab.wait(arn)
    (pid,) = lab.lines(f"p/main/{arn[-32:]}")
    until(lambda: _alive(int(pid)), lambda alive: not alive)


def _alive(pid: int) -> bool:
    import psutil

    return psutil.pid_exists(pid) and psutil.Process(pid).status() != psutil.STATUS_ZOMBIE


_HOST = """
import os, sys
from asyncrun.local.aws import EmbeddedAws
import boto3
with EmbeddedAws() as aws:
    ecs = boto3.client("ecs", **aws.client_options())
    ecs.register_task_definition(family="f", containerDefinitions=[
        {"name": "a", "image": "x", "memory": 64, "entryPoint": ["/bin/sh", "-c"], "command": [sys.argv[1]]}])
    ecs.run_task(taskDefinition="f")
    while not aws.control.processes():
        pass
    if sys.argv[2] == "fork" and os.fork() == 0:
        os.close(1), sys.stdin.read(), os._exit(0)
    print(aws.control.processes()[0].pid, aws.pid, flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("who", ["the host", "the host with a fork", "the server", "nobody"])
def test_no_process_is_left_whoever_is_killed(who: str) -> None:
    host = subprocess.Popen(
        [sys.executable, "-c", _HOST, "trap '' TERM; while :; do sleep 0.1; done", who.rpartition(" ")[2]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    )
    assert host.stdout is not None
    assert host.stdin is not None
    with host:
        pid, server = (int(word) for word in host.stdout.readline().split())
        assert _alive(pid)
        if who != "nobody":
            os.kill(server if who == "the server" else host.pid, signal.SIGKILL)
        if who == "nobody":
            host.stdin.close()
        until(lambda: _alive(pid), lambda alive: not alive)
        host.stdin.close()
    until(lambda: _alive(server), lambda alive: not alive)


def test_a_server_that_cannot_start_says_why(lab: Lab) -> None:
    from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsError, EmbeddedAwsOptions

    port = int(lab.aws.endpoint_url.rpartition(":")[2])
    with pytest.raises(EmbeddedAwsError, match="in use"), EmbeddedAws(EmbeddedAwsOptions(port=port)):
        pass
