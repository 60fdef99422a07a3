"""The shared way to AWS: one look-up, one session, rotation, closing."""

from __future__ import annotations

import asyncio
import inspect
import sys
import threading
from collections.abc import Callable
from dataclasses import replace

import pytest

from asyncrun.clients.aws import _registry, close_all, open_aws
from asyncrun.model.errors import AccessDenied, CredentialsExpired, RequestRefused, Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect, longest_step
from tests.clients.standin import StandIn

TARGET = AwsTarget(conn_id="aws_test")
KILL = "__airflow_user_action__"
ROLE = "arn:aws:iam::123456789012:role/runner"
pytestmark = pytest.mark.usefixtures("closing")


async def test_500_simultaneous_opens_make_one_look_up_and_one_session(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(AwsTarget(conn_id="aws_test", region_name="us-east-1"), settings):
        pass  # the first one in a process loads the SDK: about 0.1 s of JSON parsing that holds the GIL, in a thread
    connect(role_arn=ROLE)
    everyone_in = asyncio.Barrier(500)

    leave = asyncio.Event()

    async def use() -> int:
        async with open_aws(TARGET, settings) as access:
            await everyone_in.wait()
            await leave.wait()
            return id(access)

    async with longest_step() as gauge:
        users = [asyncio.create_task(use(), name=f"user-{n}") for n in range(499)]
        async with open_aws(TARGET, settings) as access:
            await everyone_in.wait()
            opened = gauge.longest
            assert (await access.ecs.describe_tasks("c", ["t"])).items == []
        leave.set()
        seen = await asyncio.gather(*users)
    assert set(seen) == {id(access)}
    assert aws.count("AssumeRole") == 1
    assert opened < 0.1, f"longest step {opened:.3f} s"


async def test_equal_targets_share_and_others_do_not(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    frankfurt = AwsTarget(conn_id="aws_test", region_name="eu-central-1")
    async with (
        open_aws(TARGET, settings) as one,
        open_aws(AwsTarget(conn_id="aws_test"), settings) as two,
        open_aws(frankfurt, settings) as other,
    ):
        assert one is two
        assert one.key == two.key != other.key
        assert one.ecs.key == two.ecs.key != other.ecs.key
        assert one.logs().key == one.logs("eu-west-1").key != one.logs("us-east-1").key
        assert (one.region, other.region, one.logs("us-east-1").region) == ("eu-west-1", "eu-central-1", "us-east-1")


async def test_target_with_options_opens(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    options = {"user_agent_extra": "team-seven", "retries": {"max_attempts": 50}, "max_pool_connections": 1}
    async with open_aws(AwsTarget(conn_id="aws_test", botocore_config=options), settings) as access:
        aws.error("DescribeTasks", "ServerException", 500, times=9)
        with pytest.raises(Unavailable):
            await access.ecs.describe_tasks("c", ["t"])
    assert aws.count("DescribeTasks") == 2, "retries of shared clients are ours"
    assert "team-seven asyncrun/" in aws.headers[-1]["User-Agent"]


async def test_unknown_option_is_refused_by_name(connect: Connect, settings: Settings) -> None:
    connect()
    target = AwsTarget(conn_id="aws_test", botocore_config={"conect_timeout": 3})
    with pytest.raises(RequestRefused, match=r"^botocore_config cannot work: .*conect_timeout"):
        async with open_aws(target, settings):
            pass


async def test_without_connection_the_sdk_finds_credentials_itself(
    aws: StandIn, connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    async with open_aws(AwsTarget(conn_id=None, region_name="eu-west-1"), settings) as access:
        await access.ecs.describe_tasks("c", ["t"])
        await access.logs("us-east-1").filter_log_events("g", ["s"], start_ms=0)
    assert aws.keys("DescribeTasks") == aws.keys("FilterLogEvents") == ["AKIDENV"]
    assert [h["Authorization"].split("/")[2] for h in aws.headers] == ["eu-west-1", "us-east-1"]


async def test_unknown_connection_falls_back_to_the_sdk_and_errors_say_so(
    aws: StandIn, connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", aws.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDENV")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "s")
    aws.error("DescribeTasks", "ExpiredTokenException")
    async with open_aws(AwsTarget(conn_id="nowhere", region_name="eu-west-1"), settings) as access:
        with pytest.raises(CredentialsExpired) as caught:
            await access.ecs.describe_tasks("c", ["t"])
    assert str(caught.value) == (
        "AWS does not accept the credentials that the AWS SDK finds in this process (there is no Airflow connection "
        "'nowhere') for ECS DescribeTasks in eu-west-1 (ExpiredTokenException): whoever manages Airflow connection "
        "'nowhere' must renew them."
    )


async def test_missing_region_says_where_to_set_it(connect: Connect, settings: Settings) -> None:
    connect(region_name=None)
    with pytest.raises(RequestRefused) as caught:
        async with open_aws(TARGET, settings):
            pass
    assert str(caught.value) == (
        "No AWS region is known: set region_name on the operator, or region_name in the extra of Airflow connection "
        "'aws_test'."
    )


async def test_missing_provider_names_the_extra(
    connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    monkeypatch.setitem(sys.modules, "airflow.providers.amazon.aws.hooks.base_aws", None)
    with pytest.raises(
        RequestRefused, match=r"must install asyncrun\[aws\], or the operator must say aws_conn_id=None"
    ):
        async with open_aws(TARGET, settings):
            pass


async def test_role_that_may_not_be_assumed_is_a_denial_and_the_next_open_tries_again(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect(role_arn=ROLE)
    said = f"User: arn:aws:iam::1:user/air is not authorized to perform: sts:AssumeRole on resource: {ROLE}"
    fault = f"<ErrorResponse><Error><Code>AccessDenied</Code><Message>{said}</Message></Error></ErrorResponse>"
    aws.reply("AssumeRole", (403, fault))
    results = await asyncio.gather(*(_open_once(settings) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in results] == [AccessDenied] * 3
    assert len({id(one) for one in results}) == 3, "an exception object belongs to one raiser"
    assert str(results[0]) == (
        f"AWS denies sts:AssumeRole to arn:aws:iam::1:user/air. Whoever manages IAM permissions must allow "
        f"sts:AssumeRole on {ROLE}."
    )
    assert await _open_once(settings) == "eu-west-1"


async def _open_once(settings: Settings) -> str:
    async with open_aws(TARGET, settings) as access:
        return access.region


async def test_cancelled_opener_does_not_disturb_the_others(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect(role_arn=ROLE)
    hold = aws.holds["AssumeRole"] = threading.Event()
    first = asyncio.create_task(_open_once(settings), name="first")
    second = asyncio.create_task(_open_once(settings), name="second")
    await _until(lambda: aws.count("AssumeRole") == 1)
    first.cancel()
    hold.set()
    assert await second == "eu-west-1"
    assert first.cancelled()
    assert aws.count("AssumeRole") == 1


async def test_rotated_connection_takes_over_in_the_background_and_keys_stay(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, replace(settings, connection_ttl=0.01)) as access:
        ecs, keys = access.ecs, (access.key, access.ecs.key, access.logs().key)
        await ecs.describe_tasks("c", ["t"])
        connect(login="AKIDSECOND")

        async def uses_new_credentials() -> bool:
            await ecs.describe_tasks("c", ["t"])
            return aws.keys("DescribeTasks")[-1] == "AKIDSECOND"

        await _until(uses_new_credentials)
        assert keys == (access.key, access.ecs.key, access.logs().key)
    assert aws.keys("DescribeTasks")[0] == "AKIDFIRST"


async def test_unchanged_connection_keeps_client_and_assumed_role(
    aws: StandIn, connect: Connect, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    connect(role_arn=ROLE)
    async with open_aws(TARGET, replace(settings, connection_ttl=0.01)) as access:
        for _ in range(10):
            await access.ecs.describe_tasks("c", ["t"])
            await asyncio.sleep(0.02)
    assert aws.count("AssumeRole") == 1


async def test_call_in_flight_finishes_on_the_old_client_during_a_renewal(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        hold = aws.holds["DescribeTasks"] = threading.Event()
        aws.reply("DescribeTasks", (200, {"tasks": [{"taskArn": "old"}], "failures": []}))
        old = asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name="old-call")
        await _until(lambda: aws.count("DescribeTasks") == 1)
        connect(login="AKIDSECOND")
        await asyncio.gather(*(access.renew() for _ in range(10)))
        await access.ecs.list_tasks("c", started_by="s", desired_status="RUNNING")
        assert aws.keys("ListTasks") == ["AKIDSECOND"]
        assert not old.done()
        hold.set()
        assert (await old).items == [{"taskArn": "old"}]


async def test_renewal_assumes_the_role_anew_even_if_the_connection_is_the_same(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect(role_arn=ROLE)
    async with open_aws(TARGET, settings) as access:
        await asyncio.gather(*(access.renew() for _ in range(20)))
        await access.ecs.describe_tasks("c", ["t"])
    assert aws.count("AssumeRole") == 2
    assert aws.keys("DescribeTasks") == ["ASSUMED2"]


async def test_renewals_that_several_ask_for_one_after_the_other_are_one(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    """Each cluster has a poller of its own, and a denial is every poller's."""
    connect(role_arn=ROLE)
    async with open_aws(TARGET, settings) as access:
        for _ in range(10):
            await access.renew()
            await access.ecs.describe_tasks("c", ["t"])
    assert aws.count("AssumeRole") == 2


async def test_connection_that_disappears_does_not_change_whose_credentials_are_used(
    aws: StandIn, connect: Connect, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        monkeypatch.delenv("AIRFLOW_CONN_AWS_TEST")
        monkeypatch.setenv("AWS_DEFAULT_REGION", "eu-west-1")
        with pytest.raises(Unavailable) as caught:
            await access.renew()
        assert str(caught.value) == (
            "Airflow no longer returns connection 'aws_test': it was deleted, or Airflow does not answer. "
            "The credentials that it had stay in use."
        )
        await access.ecs.describe_tasks("c", ["t"])
    assert aws.keys("DescribeTasks") == ["AKIDFIRST"]


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
    await _until(lambda: not [task for task in asyncio.all_tasks() if "linger" in task.get_name()])
    with pytest.raises(Unavailable, match=r"^This way to AWS is closed"):
        await second.ecs.describe_tasks("c", ["t"])
    async with open_aws(TARGET, settings) as third:
        assert third is not first
    assert aws.count("AssumeRole") == 2


async def test_close_all_ends_calls_in_flight_as_unavailable(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.holds["DescribeTasks"] = threading.Event()
    async with open_aws(TARGET, settings) as access:
        calls = [asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name=f"call-{n}") for n in range(60)]
        await _until(lambda: aws.count("DescribeTasks") == 50)  # the others queue for the pool
        await close_all()
        results = await asyncio.gather(*calls, return_exceptions=True)
    assert {type(one) for one in results} == {Unavailable}
    assert str(results[0]) == "ECS DescribeTasks in eu-west-1 was not answered: its client was closed."


async def test_a_call_that_is_killed_while_its_clients_are_closed_ends_with_the_message_of_the_kill(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    """The triggerer reads from it that a user did it."""
    connect()
    aws.holds["DescribeTasks"] = threading.Event()
    async with open_aws(TARGET, settings) as access:
        calls = [asyncio.create_task(access.ecs.describe_tasks("c", ["t"]), name=f"call-{n}") for n in range(60)]
        await _until(lambda: aws.count("DescribeTasks") == 50)
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
    openers = [asyncio.create_task(_open_once(settings), name=f"opener-{n}") for n in range(3)]
    await _until(lambda: aws.count("AssumeRole") == 1)
    await close_all()
    results = await asyncio.gather(*openers, return_exceptions=True)
    hold.set()
    assert [str(one) for one in results] == ["This way to AWS was closed while it was being opened."] * 3
    assert await _open_once(settings) == "eu-west-1"


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


async def test_secrets_are_in_no_repr(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        generation = access._rotation.current  # type: ignore[attr-defined]
        assert "secret-word" not in f"{access!r} {generation!r} {generation.resolved!r} {access.key!r}"


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


async def _until(condition: Callable[[], object], limit: float = 10) -> None:
    async with asyncio.timeout(limit):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return
            await asyncio.sleep(0.01)
