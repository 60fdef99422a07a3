"""The shared way to AWS is left and closed: the linger, calls and openers that are still under way, other loops."""

from __future__ import annotations

import asyncio
import threading
from dataclasses import replace

import pytest

from asyncrun.clients.api import AwsAccess, Described
from asyncrun.clients.aws import _registry, close_all, open_aws
from asyncrun.model.errors import Unavailable
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET, open_once, until
from tests.support.kill import KILL

pytestmark = pytest.mark.usefixtures("closing")


async def test_last_leaver_closes_after_the_linger_and_a_return_within_it_keeps_the_client(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect(role_arn=ROLE)
    settings = replace(settings, watcher_linger=0.2)
    async with open_aws(TARGET, settings) as first:
        pass
    async with open_aws(TARGET, settings) as second:
        assert first is second
        await asyncio.sleep(0.3)
        await second.ecs.describe_tasks("c", ["t"])
    await until(lambda: not [task for task in asyncio.all_tasks() if "linger" in task.get_name()])
    with pytest.raises(Unavailable, match=r"^This way to AWS is closed"):
        await second.ecs.describe_tasks("c", ["t"])
    async with open_aws(TARGET, settings) as third:
        assert third is not first
    assert aws.count("AssumeRole") == 2


async def calls_in_flight(aws: StandIn, access: AwsAccess) -> list[asyncio.Task[Described]]:
    """60 calls that are not answered: 50, as many as the pool has connections, have reached AWS; the others queue."""
    aws.holds["DescribeTasks"] = threading.Event()
    calls = [asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name=f"call-{n}") for n in range(60)]
    await until(lambda: aws.count("DescribeTasks") == 50)
    return calls


async def test_close_all_ends_calls_in_flight_as_unavailable(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        calls = await calls_in_flight(aws, access)
        await close_all()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in results} == {Unavailable}
    assert str(results[0]) == "ECS DescribeTasks in eu-west-1 was not answered: its client was closed."


async def test_a_call_that_is_killed_while_its_clients_are_closed_ends_with_the_message_of_the_kill(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    """The triggerer reads from it that a user did it."""
    connect()
    async with open_aws(TARGET, settings) as access:
        calls = await calls_in_flight(aws, access)
        for call in calls:
            call.cancel(KILL)
        await close_all()  # before a call takes its next step
        await asyncio.wait(calls)
    for call in calls:
        with pytest.raises(asyncio.CancelledError) as caught:
            call.result()
        assert caught.value.args == (KILL,)


async def test_close_all_waits_for_a_close_that_a_linger_began(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, replace(settings, watcher_linger=0)) as access:
        await access.ecs.describe_tasks("c", ["t"])  # leaves a connection to close
    lingering = [task for task in asyncio.all_tasks() if "linger" in task.get_name()]
    while _registry():  # noqa: ASYNC110 - the next step after it left
        await asyncio.sleep(0)
    assert [task.done() for task in lingering] == [False], "it is closing"
    await close_all()
    assert [task.done() for task in lingering] == [True]


async def test_close_all_during_a_linger_ends_it(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    async with open_aws(TARGET, replace(settings, watcher_linger=60)) as access:
        await access.ecs.describe_tasks("c", ["t"])
    async with asyncio.timeout(5):
        await asyncio.gather(close_all(), close_all())
    assert not [task for task in asyncio.all_tasks() if "asyncrun" in task.get_name()]


async def test_a_visit_that_takes_no_time_prolongs_the_linger(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    settings = replace(settings, watcher_linger=30)
    async with open_aws(TARGET, settings) as first:
        pass
    await asyncio.sleep(0)
    async with open_aws(TARGET, settings):
        pass
    await asyncio.sleep(0.05)
    async with open_aws(TARGET, settings) as third:
        assert third is first


async def test_what_is_closed_starts_nothing_any_more(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    async with open_aws(TARGET, replace(settings, connection_ttl=0.01)) as access:
        await close_all()
        await asyncio.sleep(0.02)  # a look-up is due
        with pytest.raises(Unavailable, match=r"^This way to AWS is closed"):
            await access.ecs.describe_tasks("c", ["t"])
        with pytest.raises(Unavailable, match=r"^This way to AWS is closed"):
            await access.renew()
        assert not [task for task in asyncio.all_tasks() if "asyncrun" in task.get_name()]


async def test_closing_while_it_opens_ends_those_who_wait(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect(role_arn=ROLE)
    hold = aws.holds["AssumeRole"] = threading.Event()
    openers = [asyncio.create_task(open_once(settings), name=f"opener-{n}") for n in range(3)]
    await until(lambda: aws.count("AssumeRole") == 1)
    await close_all()
    results = await asyncio.gather(*openers, return_exceptions=True)
    hold.set()
    assert [str(one) for one in results] == ["This way to AWS was closed while it was being opened."] * 3
    assert await open_once(settings) == "eu-west-1"


async def test_client_that_is_made_while_all_are_closed_is_closed_too(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        building = access._rotation.current._building  # type: ignore[attr-defined]
        call = asyncio.create_task(access.logs().filter_log_events("g", ["s"], start_ms=0), name="call")
        async with asyncio.timeout(5):
            while not building.locked():  # noqa: ASYNC110 - it takes a few ms only
                await asyncio.sleep(0)
        await close_all()
        with pytest.raises(Unavailable, match=r"^This way to AWS was closed while a client of it was being made\.$"):
            await call
    assert aws.count("FilterLogEvents") == 0


async def test_two_loops_of_a_process_have_ways_of_their_own(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    both = threading.Barrier(2, timeout=20)

    async def work(first: bool) -> str:
        async with open_aws(TARGET, settings) as access:
            await access.ecs.describe_tasks("c", ["t"])
            await asyncio.to_thread(both.wait)
            if first:
                await close_all()
            await asyncio.to_thread(both.wait)
            try:
                await access.ecs.describe_tasks("c", ["t"])
            except Unavailable as error:
                return str(error)
            finally:
                await close_all()
        return "answered"

    ends = await asyncio.gather(*(asyncio.to_thread(lambda n=n: asyncio.run(work(n == 0))) for n in range(2)))
    assert ends == ["This way to AWS is closed: it was left, or its event loop is ending.", "answered"]


async def test_a_client_works_for_one_asyncio_run_after_the_other(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()

    async def work() -> int:
        async with open_aws(TARGET, settings) as access:
            described = await access.ecs.describe_tasks("c", ["t"])
        await close_all()
        return len(described.items)

    for _ in range(2):
        assert await asyncio.to_thread(lambda: asyncio.run(work())) == 0
