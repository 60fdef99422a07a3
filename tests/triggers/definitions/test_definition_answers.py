"""Task definitions: what each answer of the API means, which are waited for, and what is remembered."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    NotFound,
    RemoteError,
    RequestRefused,
    Throttled,
    Unavailable,
)
from asyncrun.triggers.definitions import Definitions
from tests.triggers.definitions.scripted_api import ARN, Api, ask, names

pytestmark = pytest.mark.looptime


async def test_revisions_and_accounts_are_told_apart(shelf: Definitions, api: Api) -> None:
    other = Api("another account")
    await asyncio.gather(ask(shelf, api), ask(shelf, api, ARN[:-1] + "8"), ask(shelf, other))
    assert (len(api.calls), len(other.calls)) == (2, 1)


async def test_denied_is_an_answer_that_names_the_permission_and_is_asked_again_after_five_minutes(
    shelf: Definitions, api: Api
) -> None:
    api.error = lambda call: AccessDenied("the credentials may not", code="AccessDeniedException")
    answers = await asyncio.gather(*(ask(shelf, api) for _ in range(10)))
    assert len(api.calls) == 1
    assert answers[0].plan is None
    assert answers[0].problem == (
        "The permission ecs:DescribeTaskDefinition is missing, so logs are found by the awslogs_* arguments only, and "
        "every container counts as essential (the credentials may not)"
    )
    await asyncio.sleep(200)
    assert (await ask(shelf, api)).plan is None
    assert len(api.calls) == 1
    api.error = lambda call: None
    await asyncio.sleep(101)
    assert (await ask(shelf, api)).plan is not None
    assert len(api.calls) == 2


@pytest.mark.parametrize(
    "error",
    [Unavailable("503"), Throttled("Rate exceeded"), MalformedAnswer("cut off"), RequestRefused("407"),
     CredentialsExpired("expired")],
)  # fmt: skip
async def test_what_passes_is_waited_for(shelf: Definitions, api: Api, error: RemoteError) -> None:
    api.error = lambda call: error if call < 4 else None
    answer = await ask(shelf, api)
    assert answer.plan is not None
    assert answer.problem == ""
    assert len(api.calls) == 4


@pytest.mark.parametrize("error", [Throttled("Rate exceeded"), CredentialsExpired("they have expired")])
async def test_what_passes_is_waited_for_as_long_as_anybody_waits_and_said_once(
    shelf: Definitions, api: Api, error: RemoteError
) -> None:
    heard: list[str] = []
    api.error = lambda call: error if asyncio.get_running_loop().time() < 7200 else None
    assert names(await ask(shelf, api, heard=heard)) == ["main"]
    assert 7200 < asyncio.get_running_loop().time() < 7220
    assert heard == [
        f"The task definition, which says where the log is, cannot be read yet; it is tried again. {error}"
    ]
    assert len(api.calls) < 1000


async def test_short_trouble_is_not_worth_a_word(shelf: Definitions, api: Api) -> None:
    heard: list[str] = []
    api.error = lambda call: Throttled("Rate exceeded") if call < 4 else None
    await ask(shelf, api, heard=heard)
    assert heard == []


async def test_waits_between_attempts_grow(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: Unavailable("connection refused") if call < 15 else None
    await ask(shelf, api)
    waits = [later - earlier - 1 for earlier, later in zip(api.calls, api.calls[1:], strict=False)]
    assert waits[0] <= 0.5
    assert max(waits) <= 15
    assert min(waits[8:]) > 5


async def test_an_answer_that_can_never_be_read_is_a_sentence_after_five_minutes(shelf: Definitions, api: Api) -> None:
    api.answer = {"taskDefinitionArn": ARN, "containerDefinitions": "none of your business"}
    answer = await ask(shelf, api)
    assert answer.plan is None
    assert answer.problem.startswith(f"The task definition {ARN} could not be read: ")
    assert 300 < asyncio.get_running_loop().time() < 330


async def test_answers_that_cannot_be_read_count_only_in_a_row(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: Unavailable("503") if call % 15 == 0 else MalformedAnswer("half") if call < 60 else None
    assert names(await ask(shelf, api)) == ["main"]


async def test_one_that_does_not_exist_is_a_sentence_at_once(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: NotFound("Unable to describe task definition")
    answer = await ask(shelf, api)
    assert answer.problem == f"The task definition {ARN} could not be read: Unable to describe task definition"
    assert len(api.calls) == 1


@pytest.mark.expects_defect
async def test_a_defect_in_the_reading_is_told_and_not_remembered(
    shelf: Definitions, api: Api, caplog: pytest.LogCaptureFixture
) -> None:
    api.error = lambda call: ZeroDivisionError("ours") if call == 1 else None
    answer = await ask(shelf, api)
    assert answer.problem == "A defect of asyncrun while reading the task definition (ZeroDivisionError: ours)"
    assert f"asyncrun task definition {ARN} failed" in caplog.text
    assert (await ask(shelf, api)).plan is not None


async def test_a_thousand_are_remembered_however_many_were_read_at_once(shelf: Definitions, api: Api) -> None:
    arns = [f"{ARN}{number}" for number in range(1500)]
    await asyncio.gather(*(ask(shelf, api, arn) for arn in arns))
    assert len(api.calls) == 1500, "none was forgotten while it was read"
    await ask(shelf, api, arns[-1])
    await ask(shelf, api, arns[-1000])
    assert len(api.calls) == 1500
    await ask(shelf, api, arns[-1001])
    assert len(api.calls) == 1501
