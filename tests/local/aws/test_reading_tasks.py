"""What the embedded ECS tells of its tasks."""

from __future__ import annotations

from tests.support.lab import FARGATE, Lab, container, refused, until


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
