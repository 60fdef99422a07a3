"""The shared way to AWS is opened: equal targets have one look-up and one session, and what cannot be says why."""

from __future__ import annotations

import asyncio
import sys
import threading

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.model.errors import AccessDenied, CredentialsExpired, RequestRefused, Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect, longest_step
from tests.clients.standin import StandIn
from tests.clients.support import ROLE, TARGET, open_once, until

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
    results = await asyncio.gather(*(open_once(settings) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in results] == [AccessDenied] * 3
    assert len({id(one) for one in results}) == 3, "an exception object belongs to one raiser"
    assert str(results[0]) == (
        f"AWS denies sts:AssumeRole to arn:aws:iam::1:user/air. Whoever manages IAM permissions must allow "
        f"sts:AssumeRole on {ROLE}."
    )
    assert await open_once(settings) == "eu-west-1"


async def test_cancelled_opener_does_not_disturb_the_others(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect(role_arn=ROLE)
    hold = aws.holds["AssumeRole"] = threading.Event()
    first = asyncio.create_task(open_once(settings), name="first")
    second = asyncio.create_task(open_once(settings), name="second")
    await until(lambda: aws.count("AssumeRole") == 1)
    first.cancel()
    hold.set()
    assert await second == "eu-west-1"
    assert first.cancelled()
    assert aws.count("AssumeRole") == 1


async def test_secrets_are_in_no_repr(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    async with open_aws(TARGET, settings) as access:
        generation = access._rotation.current  # type: ignore[attr-defined]
        assert "secret-word" not in f"{access!r} {generation!r} {generation.resolved!r} {access.key!r}"
