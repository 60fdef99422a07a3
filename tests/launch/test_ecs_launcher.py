"""Exactly one launch, whatever the answers do. Virtual time; the double stands for ECS's API."""

from __future__ import annotations

from typing import Any

import pytest

from asyncrun.clients.api import Described, Failure
from asyncrun.launch.ecs import EcsLauncher, RetryPolicy, with_ordinal
from asyncrun.model.errors import (
    AccessDenied,
    LaunchRefused,
    MalformedAnswer,
    OutOfCapacity,
    RequestRefused,
    TokenConflict,
    Unavailable,
)
from asyncrun.model.refs import EcsTaskRef
from tests.launch.scripted_ecs import ARN, NO_MEMORY, PLACED, REQUEST, Ecs

pytestmark = pytest.mark.looptime


async def test_a_launch_is_one_call_with_the_token() -> None:
    ecs = Ecs(PLACED)
    assert await EcsLauncher(ecs).launch(REQUEST) == EcsTaskRef(cluster="c", task_arn=ARN)
    assert ecs.tokens == ["t" * 60 + "-0"]


async def test_an_answer_that_did_not_come_is_asked_for_again_with_the_same_token() -> None:
    ecs = Ecs(Unavailable("cut"), Unavailable("500"), PLACED)
    await EcsLauncher(ecs).launch(REQUEST)
    assert ecs.tokens == ["t" * 60 + "-0"] * 3


async def test_an_api_that_never_answers_is_an_error_after_two_minutes() -> None:
    ecs = Ecs(Unavailable("refused"))
    with pytest.raises(Unavailable, match="refused"):
        await EcsLauncher(ecs).launch(REQUEST)
    assert len(ecs.requests) > 5


async def test_an_answer_that_cannot_be_read_is_asked_for_again_with_the_same_token() -> None:
    ecs = Ecs(MalformedAnswer("a proxy's page"), PLACED)
    await EcsLauncher(ecs).launch(REQUEST)
    assert ecs.tokens == ["t" * 60 + "-0"] * 2


async def test_no_room_is_an_error_at_once_without_quota_retry() -> None:
    ecs = Ecs(NO_MEMORY)
    with pytest.raises(OutOfCapacity) as caught:
        await EcsLauncher(ecs).launch(REQUEST)
    assert str(caught.value) == (
        "ECS has no room for the task in cluster 'c' now: RESOURCE:MEMORY. Retry later, allow more capacity, or set "
        "quota_retry to let the launch wait for it"
    )
    assert caught.value.reasons == ("RESOURCE:MEMORY",)
    assert len(ecs.requests) == 1


async def test_quota_retry_waits_for_room_and_uses_a_new_token_each_time() -> None:
    ecs = Ecs(NO_MEMORY, NO_MEMORY, PLACED)
    retry = RetryPolicy(multiplier=1, min=2, max=5, stop_after_delay=60)
    await EcsLauncher(ecs, retry).launch(REQUEST)
    assert [token[-2:] for token in ecs.tokens] == ["-0", "-1", "-2"]


async def test_quota_retry_ends_after_its_delay() -> None:
    ecs = Ecs(NO_MEMORY)
    with pytest.raises(OutOfCapacity):
        await EcsLauncher(ecs, RetryPolicy(multiplier=1, min=10, max=10, stop_after_delay=35)).launch(REQUEST)
    assert len(ecs.requests) == 4


async def test_a_refusal_for_want_of_fargate_capacity_counts_as_no_room() -> None:
    refused = RequestRefused("Capacity is unavailable at this time. Please try again later", code="ClientException")
    with pytest.raises(OutOfCapacity):
        await EcsLauncher(Ecs(refused)).launch(REQUEST)


async def test_names_of_the_user_are_not_taken_for_words_of_ecs() -> None:
    refused = RequestRefused("AWS refuses ECS RunTask for task definition 'No Container Instances'", said="Invalid.")
    with pytest.raises(RequestRefused):
        await EcsLauncher(Ecs(refused)).launch(REQUEST)


@pytest.mark.parametrize(
    "error", [RequestRefused("TaskDefinition is inactive"), AccessDenied("no"), TokenConflict("x")]
)
async def test_a_refusal_is_not_tried_again(error: Exception) -> None:
    ecs = Ecs(error)
    with pytest.raises(type(error)):
        await EcsLauncher(ecs, RetryPolicy(stop_after_delay=100)).launch(REQUEST)
    assert len(ecs.requests) == 1


async def test_another_failure_is_refused_with_its_reason() -> None:
    attribute = Described(items=[], failures=[Failure(arn="i-1", reason="ATTRIBUTE", detail="gpu")])
    with pytest.raises(LaunchRefused) as caught:
        await EcsLauncher(Ecs(attribute)).launch(REQUEST)
    assert str(caught.value) == (
        "ECS did not place the task in cluster 'c': ATTRIBUTE gpu. Change task definition 'f:1' or the operator's "
        "placement arguments, or add container instances to the cluster that fit them"
    )
    assert not isinstance(caught.value, OutOfCapacity)


async def test_an_answer_without_a_task_is_malformed() -> None:
    with pytest.raises(MalformedAnswer, match="named no task"):
        await EcsLauncher(Ecs(Described(items=[], failures=[]))).launch(REQUEST)


async def test_find_existing_takes_the_oldest_that_still_runs() -> None:
    def task(name: str, created: float, status: str = "RUNNING", by: str = "us") -> dict[str, Any]:
        return {"taskArn": name, "createdAt": created, "lastStatus": status, "startedBy": by}

    ecs = Ecs(PLACED, tasks=[task("new", 9), task("old", 5), task("over", 1, "STOPPED"), task("theirs", 0, by="them")])
    assert await EcsLauncher(ecs).find_existing("c", "us") == EcsTaskRef(cluster="c", task_arn="old")
    assert await EcsLauncher(ecs).find_existing("c", "nobody") is None


def test_a_token_that_leaves_no_room_for_the_ordinal_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no room"):
        with_ordinal({"clientToken": "x" * 61}, 0)
