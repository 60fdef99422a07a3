"""Task definitions: read once for all runs, whatever the API does, and whoever of the askers leaves."""

from __future__ import annotations

import asyncio
import contextvars
import gc
import weakref
from collections.abc import AsyncIterator, Callable, Hashable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

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
from asyncrun.triggers.definitions import Definitions, PlanAnswer, definitions

pytestmark = pytest.mark.looptime

ARN = "arn:aws:ecs:eu-west-1:123456789012:task-definition/jobs:7"
KILL = "__airflow_user_action__"
ASKER = contextvars.ContextVar("ASKER", default="nobody")


class Api:
    """DescribeTaskDefinition with what the test wants it to answer; each call takes a second."""

    def __init__(self, key: Hashable = "account") -> None:
        self.key = key
        self.calls: list[float] = []
        self.contexts: list[str] = []
        self.in_flight = 0
        self.error: Callable[[int], Exception | None] = lambda call: None
        self.answer: dict[str, Any] = {
            "taskDefinitionArn": ARN,
            "containerDefinitions": [{"name": "main", "image": "busybox", "essential": True}],
        }

    async def describe_task_definition(self, name: str) -> dict[str, Any]:
        self.calls.append(asyncio.get_running_loop().time())
        self.contexts.append(ASKER.get())
        self.in_flight += 1
        try:
            await asyncio.sleep(1)
        finally:
            self.in_flight -= 1
        if (error := self.error(len(self.calls))) is not None:
            raise error
        return self.answer


@pytest.fixture
async def shelf(no_leaked_tasks: None) -> AsyncIterator[Definitions]:
    made = Definitions()
    yield made
    await made.finish()


@pytest.fixture
def api() -> Api:
    return Api()


async def ask(shelf: Definitions, api: Any, arn: str = ARN, heard: list[str] | None = None) -> PlanAnswer:
    """
    The final answer.

    :param heard: takes what is said before.
    """
    final: asyncio.Future[PlanAnswer] = asyncio.get_running_loop().create_future()

    def tell(answer: PlanAnswer) -> None:
        if answer.final:
            final.set_result(answer)
        elif heard is not None:
            heard.append(answer.problem)

    with shelf.wanted(api, arn, tell):
        return await final


def names(answer: PlanAnswer) -> list[str]:
    assert answer.plan is not None
    return [one.name for one in answer.plan.containers]


async def test_a_hundred_who_ask_at_once_make_one_call_and_so_do_those_who_come_later(
    shelf: Definitions, api: Api
) -> None:
    answers = await asyncio.gather(*(ask(shelf, api) for _ in range(100)))
    assert len(api.calls) == 1
    assert {id(one) for one in answers} == {id(answers[0])}
    assert answers[0].problem == ""
    assert names(answers[0]) == ["main"]
    await asyncio.sleep(100_000)  # a revision never changes
    assert await ask(shelf, api) is answers[0]
    assert len(api.calls) == 1


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


async def test_one_who_comes_during_trouble_is_told_of_it_too(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: Unavailable("503") if asyncio.get_running_loop().time() < 60 else None
    first = asyncio.create_task(ask(shelf, api), name="first")
    await asyncio.sleep(40)
    heard: list[str] = []
    await ask(shelf, api, heard=heard)
    assert [one.endswith("it is tried again. 503") for one in heard] == [True]
    await first


async def test_short_trouble_is_not_worth_a_word(shelf: Definitions, api: Api) -> None:
    heard: list[str] = []
    api.error = lambda call: Throttled("Rate exceeded") if call < 4 else None
    await ask(shelf, api, heard=heard)
    assert heard == []


async def test_nothing_is_asked_any_more_when_nobody_waits(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: Unavailable("connection refused")
    asker = asyncio.create_task(ask(shelf, api), name="asker")
    await asyncio.sleep(20)
    asker.cancel()
    await asyncio.wait([asker])
    before = len(api.calls)
    await asyncio.sleep(1000)
    assert len(api.calls) <= before + 1
    api.error = lambda call: None
    assert names(await ask(shelf, api)) == ["main"]


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


@pytest.mark.parametrize("leaver", [0, 1], ids=["the one who asked first", "another one"])
async def test_an_asker_that_is_killed_leaves_with_its_message_and_disturbs_nobody(
    shelf: Definitions, api: Api, leaver: int
) -> None:
    askers = [asyncio.create_task(ask(shelf, api), name=f"asker {number}") for number in range(3)]
    await asyncio.sleep(0.5)
    askers[leaver].cancel(KILL)
    await asyncio.wait(askers)
    with pytest.raises(asyncio.CancelledError) as caught:
        askers[leaver].result()
    assert caught.value.args == (KILL,)
    assert all(one.result().plan is not None for one in askers if one is not askers[leaver])
    assert len(api.calls) == 1


async def test_when_all_askers_are_killed_the_answer_is_there_for_the_next(shelf: Definitions, api: Api) -> None:
    askers = [asyncio.create_task(ask(shelf, api), name=f"asker {number}") for number in range(3)]
    await asyncio.sleep(0.5)
    for one in askers:
        one.cancel(KILL)
    await asyncio.wait(askers)
    assert (await ask(shelf, api)).plan is not None
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


async def test_the_reading_is_nobodys_and_the_answer_is_told_in_the_askers_context(
    shelf: Definitions, api: Api
) -> None:
    told: list[str] = []
    with shelf.wanted(api, ARN, lambda answer: told.append(ASKER.get())):  # type: ignore[arg-type]
        ASKER.set("a trigger")
        with shelf.wanted(api, ARN, lambda answer: told.append(ASKER.get())):  # type: ignore[arg-type]
            await asyncio.sleep(5)
    assert api.contexts == ["nobody"]
    assert sorted(told) == ["a trigger", "nobody"]


async def test_an_asker_with_a_defect_disturbs_nobody(shelf: Definitions, api: Api) -> None:
    failures: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda loop, context: failures.append(context))

    def tell(answer: PlanAnswer) -> None:
        raise ZeroDivisionError

    with shelf.wanted(api, ARN, tell):  # type: ignore[arg-type]
        assert names(await ask(shelf, api)) == ["main"]
    assert [type(one["exception"]) for one in failures] == [ZeroDivisionError]


async def test_one_who_has_left_is_told_nothing(shelf: Definitions, api: Api) -> None:
    await ask(shelf, api)
    told: list[PlanAnswer] = []
    with shelf.wanted(api, ARN, told.append):  # type: ignore[arg-type]
        pass
    await asyncio.sleep(5)
    assert told == []


async def test_a_thousand_are_remembered_however_many_were_read_at_once(shelf: Definitions, api: Api) -> None:
    arns = [f"{ARN}{number}" for number in range(1500)]
    await asyncio.gather(*(ask(shelf, api, arn) for arn in arns))
    assert len(api.calls) == 1500, "none was forgotten while it was read"
    await ask(shelf, api, arns[-1])
    await ask(shelf, api, arns[-1000])
    assert len(api.calls) == 1500
    await ask(shelf, api, arns[-1001])
    assert len(api.calls) == 1501


async def test_finishing_ends_what_is_under_way(api: Api) -> None:
    shelf = Definitions()
    asker = asyncio.create_task(ask(shelf, api), name="asker")
    await asyncio.sleep(0.5)
    await shelf.finish()
    assert api.in_flight == 0
    assert not asker.done()
    asker.cancel()
    await asyncio.wait([asker])


def loops_kept(*, finish: bool) -> list[object]:
    """What stays of the definitions of two event loops that have come and gone."""

    async def look() -> weakref.ref[Definitions]:
        assert definitions() is definitions()
        await ask(definitions(), Api())
        kept = weakref.ref(definitions())
        if finish:
            await definitions().finish()
        return kept

    with ThreadPoolExecutor(1) as pool:  # looptime has patched nothing there
        kept = [pool.submit(asyncio.run, look()).result() for _ in range(2)]

        async def next_loop() -> None:
            definitions()

        pool.submit(asyncio.run, next_loop()).result()
    gc.collect()
    return [one() for one in kept]


def test_each_loop_has_its_own_which_goes_with_it() -> None:
    assert loops_kept(finish=True) == [None, None]


def test_a_loop_that_ends_without_finishing_keeps_nothing_either() -> None:
    """As in ``dag.test()``, which drives triggers in loops of its own."""
    assert loops_kept(finish=False) == [None, None]
