"""Exactly one launch, whatever the answers do. Virtual time; the double stands for ECS's API."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import pytest

from asyncrun.clients.api import Described, Failure
from asyncrun.launch.ecs import EcsLauncher, RetryPolicy, with_ordinal
from asyncrun.model.errors import (
    AccessDenied,
    LaunchRefused,
    MalformedAnswer,
    NotShown,
    OutOfCapacity,
    RequestRefused,
    Throttled,
    TokenConflict,
    Unavailable,
)
from asyncrun.model.refs import EcsTaskRef

pytestmark = pytest.mark.looptime

ARN = "arn:aws:ecs:us-east-1:123456789012:task/c/0123"
REQUEST = {"cluster": "c", "taskDefinition": "f:1", "clientToken": "t" * 60}
PLACED = Described(items=[{"taskArn": ARN}], failures=[])
THROTTLED = Throttled("Rate exceeded")
NO_MEMORY = Described(items=[], failures=[Failure(arn="i-1", reason="RESOURCE:MEMORY")])


class Ecs:
    """Answers RunTask from a script, and remembers what it was asked."""

    key = "account"

    def __init__(self, *answers: Described | Exception, tasks: Sequence[dict[str, Any]] = ()) -> None:
        self.answers, self.tasks = list(answers), list(tasks)
        self.requests: list[Mapping[str, Any]] = []
        self.stopped: list[tuple[str, str, str]] = []

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        self.requests.append(request)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def list_tasks(self, cluster: str, *, started_by: str, desired_status: str) -> list[str]:
        return [t["taskArn"] for t in self.tasks if t["startedBy"] == started_by]

    async def describe_tasks(self, cluster: str, arns: Sequence[str]) -> Described:
        return Described(items=[t for t in self.tasks if t["taskArn"] in arns], failures=[])

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        self.stopped.append((cluster, task_arn, reason))

    def __getattr__(self, name: str) -> Callable[..., Any]:
        raise AssertionError(f"the launcher must not call {name}")

    @property
    def tokens(self) -> list[str]:
        return [request["clientToken"] for request in self.requests]


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


async def test_a_launch_that_was_never_answered_can_be_taken_back() -> None:
    ecs = Ecs(Unavailable("cut"), AccessDenied("expired meanwhile"))
    launcher = EcsLauncher(ecs)
    with pytest.raises(AccessDenied):
        await launcher.launch(REQUEST)
    ecs.answers = [PLACED]
    assert await launcher.take_back() == EcsTaskRef(cluster="c", task_arn=ARN)
    assert ecs.tokens == ["t" * 60 + "-0"] * 3
    assert [arn for _, arn, _ in ecs.stopped] == [ARN]


@pytest.mark.parametrize("answers", [[NO_MEMORY], [RequestRefused("no")], [THROTTLED], [Unavailable("cut"), NO_MEMORY]])
async def test_a_launch_that_was_answered_by_a_refusal_has_nothing_to_take_back(
    answers: list[Described | Exception],
) -> None:
    ecs = Ecs(*answers)
    launcher = EcsLauncher(ecs)
    with pytest.raises((OutOfCapacity, RequestRefused, Throttled)):
        await launcher.launch(REQUEST)
    ecs.answers, sent = [PLACED], len(ecs.requests)
    assert await launcher.take_back() is None
    assert (len(ecs.requests), ecs.stopped) == (sent, [])


@pytest.mark.parametrize("open_answer", [Unavailable("cut"), MalformedAnswer("half"), Described(items=[], failures=[])])
async def test_what_leaves_a_launch_open_stays_open_though_it_is_throttled_afterwards(
    open_answer: Described | Exception,
) -> None:
    ecs = Ecs(THROTTLED, open_answer, THROTTLED)
    launcher = EcsLauncher(ecs)
    with pytest.raises(Throttled):
        await launcher.launch(REQUEST)
    ecs.answers = [PLACED]
    assert await launcher.take_back() == EcsTaskRef(cluster="c", task_arn=ARN)
    assert len(ecs.stopped) == 1


class Hanging(Ecs):
    """After its answers it places a task and does not answer any more."""

    async def run_task(self, request: Mapping[str, Any]) -> Described:
        if not self.answers:
            await asyncio.sleep(10_000)
        answer = self.answers.pop(0)
        self.requests.append(request)
        if isinstance(answer, Exception):
            raise answer
        return answer


@pytest.mark.parametrize(("seconds", "is_open"), [(0.3, False), (30, True)])
async def test_a_launch_that_is_cancelled_is_open_only_while_a_call_is_under_way(seconds: float, is_open: bool) -> None:
    ecs = Hanging(THROTTLED)  # and then there is at least half a second until the call that hangs
    launcher = EcsLauncher(ecs)
    launching = asyncio.create_task(launcher.launch(REQUEST))
    await asyncio.sleep(seconds)
    launching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await launching
    ecs.answers = [PLACED]
    assert bool(await launcher.take_back()) == is_open
    assert [arn for _, arn, _ in ecs.stopped] == [ARN] * is_open


async def test_what_was_placed_is_taken_back_without_asking_where_nobody_learnt_of_it() -> None:
    ecs = Ecs(PLACED)
    launcher = EcsLauncher(ecs)
    await launcher.launch(REQUEST)
    assert await launcher.take_back() == EcsTaskRef(cluster="c", task_arn=ARN)
    assert (len(ecs.requests), len(ecs.stopped)) == (1, 1)
    assert await launcher.take_back() is None


async def test_taking_back_can_be_repeated_where_it_was_not_answered() -> None:
    ecs = Ecs(PLACED)
    launcher = EcsLauncher(ecs)
    launcher.unanswered, ecs.answers = REQUEST, [Unavailable("cut"), PLACED]
    with pytest.raises(Unavailable):
        await launcher.take_back()
    assert await launcher.take_back() == EcsTaskRef(cluster="c", task_arn=ARN)


@pytest.mark.parametrize(("first", "is_open"), [(THROTTLED, False), (Unavailable("cut"), True)])
async def test_nothing_more_is_sent_once_nobody_wants_the_task(first: Exception, is_open: bool) -> None:
    class Killed(Exception):
        pass

    def before_request() -> None:
        if ecs.requests:
            raise Killed

    ecs = Ecs(first, PLACED)
    launcher = EcsLauncher(ecs, before_request=before_request)
    with pytest.raises(Killed):
        await launcher.launch(REQUEST)
    assert len(ecs.requests) == 1
    assert bool(await launcher.take_back()) == is_open


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


async def test_stop_names_the_exact_task_and_a_reason_that_ecs_accepts() -> None:
    ecs = Ecs(PLACED)
    await EcsLauncher(ecs).stop(EcsTaskRef(cluster="c", task_arn=ARN), "because " * 100)
    ((cluster, arn, reason),) = ecs.stopped
    assert (cluster, arn, len(reason)) == ("c", ARN, 255)


class Hiding(Ecs):
    """Does not show the task before some moment of the event loop's time."""

    def __init__(self, shown_after: float) -> None:
        super().__init__(PLACED)
        self.shown_at = asyncio.get_running_loop().time() + shown_after
        self.attempts = 0

    async def stop_task(self, cluster: str, task_arn: str, reason: str) -> None:
        self.attempts += 1
        if asyncio.get_running_loop().time() < self.shown_at:
            raise NotShown("too young, or forgotten")
        await super().stop_task(cluster, task_arn, reason)


@pytest.mark.parametrize("seconds", [0.5, 3, 50])
async def test_a_young_task_that_ecs_does_not_show_yet_is_stopped_once_it_is_shown(seconds: float) -> None:
    ecs = Hiding(seconds)
    hidden: list[int] = []
    await EcsLauncher(ecs).stop(
        EcsTaskRef(cluster="c", task_arn=ARN), "kill", launched_at=time.time(), on_hidden=lambda: hidden.append(1)
    )
    assert len(ecs.stopped) == 1
    assert len(hidden) == ecs.attempts - 1
    assert seconds <= asyncio.get_running_loop().time() <= seconds + 5.1
    assert ecs.attempts < 25


@pytest.mark.parametrize(("age", "grace", "waits"), [(0, 60, 60), (50, 60, 10), (61, 60, 0), (None, 60, 60), (5, 7, 2)])
async def test_a_task_that_is_not_shown_when_the_grace_is_over_is_gone(
    age: float | None, grace: float, waits: float
) -> None:
    ecs = Hiding(10_000)
    began = None if age is None else time.time() - age
    ref = EcsTaskRef(cluster="c", task_arn=ARN)
    await EcsLauncher(ecs).stop(ref, "kill", launched_at=began, missing_grace=grace)
    assert ecs.stopped == []
    assert asyncio.get_running_loop().time() == pytest.approx(waits, abs=0.1)


async def test_what_an_unanswered_launch_placed_is_stopped_although_it_is_not_shown_at_once() -> None:
    ecs = Hiding(2)
    launcher = EcsLauncher(ecs)
    launcher.unanswered = REQUEST
    hidden: list[int] = []
    assert await launcher.take_back(on_hidden=lambda: hidden.append(1)) == EcsTaskRef(cluster="c", task_arn=ARN)
    assert len(ecs.stopped) == 1
    assert hidden


async def test_the_taking_back_believes_in_a_missing_task_as_long_as_it_is_told() -> None:
    ecs = Hiding(10_000)
    launcher = EcsLauncher(ecs)
    launcher.placed = EcsTaskRef(cluster="c", task_arn=ARN)
    await launcher.take_back(missing_grace=7)
    assert asyncio.get_running_loop().time() == pytest.approx(7, abs=0.1)


def test_a_token_that_leaves_no_room_for_the_ordinal_is_refused() -> None:
    with pytest.raises(ValueError, match="leaves no room"):
        with_ordinal({"clientToken": "x" * 61}, 0)
