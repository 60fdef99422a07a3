"""Where an ECS task's output is: from the definition first, from the user's arguments where that says nothing."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.model.ecs import EcsContainerState, EcsTaskState
from asyncrun.model.ecs_definition import TaskPlan, parse_definition
from asyncrun.model.ecs_streams import Stream, Streams, streams_of
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.refs import AwsTarget, EcsTaskRef

ARN = "arn:aws:ecs:us-east-1:123456789012:task/c/0123"


def awslogs(group: str = "/g", prefix: str | None = "p", region: str | None = None) -> dict[str, Any]:
    options = {"awslogs-group": group, "awslogs-stream-prefix": prefix, "awslogs-region": region}
    return {"logDriver": "awslogs", "options": {key: value for key, value in options.items() if value}}


def plan(**logs: dict[str, Any] | None) -> TaskPlan:
    containers = [{"name": name, **({"logConfiguration": log} if log else {})} for name, log in logs.items()]
    return parse_definition({"taskDefinitionArn": "d", "containerDefinitions": containers})


def find(of: TaskPlan | None, *names: str, runtime_id: str | None = None, **arguments: Any) -> Streams:
    state = EcsTaskState(
        arn=ARN,
        version=1,
        status="RUNNING",
        desired_status="RUNNING",
        containers=tuple(EcsContainerState(name=name, runtime_id=runtime_id) for name in names),
    )
    watch = EcsTaskWatch(ref=EcsTaskRef(cluster="c", task_arn=ARN), target=AwsTarget(), deferred_at=0.0, **arguments)
    return streams_of(state, of, watch)


def test_every_container_is_followed_in_its_own_group_and_region() -> None:
    made = find(plan(b=awslogs("/b", "pb", "eu-west-1"), a=awslogs("/a", "pa")), "a", "b")
    assert made.containers == ("b", "a")
    assert made.found == (Stream("b", "/b", "eu-west-1", "pb/b/0123"), Stream("a", "/a", None, "pa/a/0123"))
    assert (made.waiting, made.remarks) == (False, ())


def test_without_a_prefix_the_stream_is_the_runtime_id_once_it_is_known() -> None:
    of = plan(main=awslogs(prefix=None))
    assert find(of, "main") == Streams(("main",), waiting=True)
    assert find(of, "main", runtime_id="r-1").found == (Stream("main", "/g", None, "r-1"),)


def test_another_log_driver_is_said_by_name() -> None:
    made = find(plan(main={"logDriver": "splunk"}, quiet=None), "main", "quiet")
    assert made.found == ()
    assert made.remarks == (
        "Container 'main' logs with driver 'splunk': its output is not in CloudWatch Logs, so not shown here",
        "Container 'quiet' has no logConfiguration: its output is not kept by ECS and cannot be shown",
    )


def test_the_users_arguments_serve_a_container_that_reaches_cloudwatch_by_firelens() -> None:
    made = find(
        plan(main={"logDriver": "awsfirelens"}), "main", log_group="/x", log_stream_prefix="fl", log_region="eu-west-1"
    )
    assert made == Streams(("main",), (Stream("main", "/x", "eu-west-1", "fl/main/0123"),))


def test_a_group_that_contradicts_the_definition_is_said_and_the_definition_is_read() -> None:
    made = find(plan(main=awslogs("/real")), "main", log_group="/wrong", log_stream_prefix="p")
    assert made.found == (Stream("main", "/real", None, "p/main/0123"),)
    assert made.remarks == (
        "awslogs_group='/wrong' is not where the task definition sends the output of 'main': reading '/real'",
    )


def test_without_a_definition_the_arguments_give_every_containers_stream() -> None:
    made = find(None, "a", "b", log_group="/g", log_stream_prefix="ecs")
    assert made.found == (Stream("a", "/g", None, "ecs/a/0123"), Stream("b", "/g", None, "ecs/b/0123"))


def test_upstreams_prefix_with_the_containers_name_gives_that_stream() -> None:
    made = find(None, "a", "b", log_group="/g", log_stream_prefix="ecs/b")
    assert made.found == (Stream("b", "/g", None, "ecs/b/0123"),)
    only = find(None, "a", "b", log_group="/g", log_stream_prefix="team/ecs", container_name="a")
    assert only.found == (Stream("a", "/g", None, "team/ecs/a/0123"),)


def test_without_definition_and_containers_it_waits_for_them() -> None:
    assert find(None, log_group="/g", log_stream_prefix="ecs") == Streams((), waiting=True)


def test_without_definition_and_arguments_the_missing_permission_is_named() -> None:
    made = find(None, "a")
    assert made.remarks == (
        "No log can be shown: where the task definition is not known, awslogs_group and awslogs_stream_prefix must say "
        "where it is",
    )


@pytest.mark.parametrize(
    ("stream", "region", "command"),
    [
        (Stream("main", "/ecs/etl", None, "p/main/1"), "eu-west-1",
         "aws logs tail /ecs/etl --log-stream-names p/main/1 --since 2023-11-14T22:13:20Z --region eu-west-1"),
        (Stream("main", "/ecs/etl", "us-east-1", "p/main/1"), "eu-west-1",
         "aws logs tail /ecs/etl --log-stream-names p/main/1 --since 2023-11-14T22:13:20Z --region us-east-1"),
        (Stream("main", "my logs;", None, "$1"), None,
         "aws logs tail 'my logs;' --log-stream-names '$1' --since 2023-11-14T22:13:20Z"),
    ],
)  # fmt: skip
def test_a_stream_is_shown_whole_by_a_command_that_can_be_pasted(
    stream: Stream, region: str | None, command: str
) -> None:
    assert stream.tail_command(region, 1_700_000_000_999) == command
