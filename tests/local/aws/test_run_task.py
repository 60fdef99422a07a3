"""What RunTask of the embedded ECS refuses and remembers."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.lab import FARGATE, Lab, container, logging_to, refused


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
