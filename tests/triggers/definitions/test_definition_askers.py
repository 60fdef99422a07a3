"""Task definitions are read once for all who ask, whoever of them comes late, leaves, is killed or has a defect."""

from __future__ import annotations

import asyncio
import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from asyncrun.model.errors import Unavailable
from asyncrun.triggers.definitions import Definitions, PlanAnswer, definitions
from tests.support.kill import KILL
from tests.triggers.definitions.scripted_api import ARN, ASKER, Api, ask, names

pytestmark = pytest.mark.looptime


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


async def test_one_who_comes_during_trouble_is_told_of_it_too(shelf: Definitions, api: Api) -> None:
    api.error = lambda call: Unavailable("503") if asyncio.get_running_loop().time() < 60 else None
    first = asyncio.create_task(ask(shelf, api), name="first")
    await asyncio.sleep(40)
    heard: list[str] = []
    await ask(shelf, api, heard=heard)
    assert [one.endswith("it is tried again. 503") for one in heard] == [True]
    await first


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
