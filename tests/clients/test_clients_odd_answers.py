"""No answer, answers of another form, and what a proxy or gateway on the way answers in AWS's place."""

from __future__ import annotations

from http import HTTPStatus

import pytest

from asyncrun.clients.aws import open_aws
from asyncrun.model.errors import MalformedAnswer, RemoteError, Throttled, Unavailable
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn
from tests.clients.support import TARGET

pytestmark = pytest.mark.usefixtures("closing")

HERE = "ECS DescribeTasks in eu-west-1"


async def failure(settings: Settings) -> RemoteError:
    """How a call of DescribeTasks fails."""
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(RemoteError) as caught:
            await access.ecs.describe_tasks("c", ["t"])
    return caught.value


async def test_no_answer_is_unavailable(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", (0, None), (0, None))
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(Unavailable) as caught:
            await access.ecs.describe_tasks("c", ["t"])
        assert str(caught.value) == f"{HERE} got no answer (ConnectionClosedError)."
    connect(conn_id="aws_away", endpoint_url="http://127.0.0.1:9")
    async with open_aws(AwsTarget(conn_id="aws_away"), settings) as access:
        with pytest.raises(Unavailable, match=r"got no answer \(EndpointConnectionError\)"):
            await access.ecs.describe_tasks("c", ["t"])


async def test_connection_cut_once_is_absorbed(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", (0, None))
    async with open_aws(TARGET, settings) as access:
        assert (await access.ecs.describe_tasks("c", ["t"])).items == []


@pytest.mark.parametrize("answer", ["not json", {"tasks": "none"}, {"failures": []}, [1]])
async def test_answer_of_another_form_is_malformed(
    aws: StandIn, connect: Connect, settings: Settings, answer: object
) -> None:
    connect()
    aws.reply("DescribeTasks", (200, answer))
    error = await failure(settings)
    assert type(error) is MalformedAnswer
    assert str(error).startswith(f"The answer to {HERE} cannot be read: ")


async def test_elements_that_are_no_objects_do_not_spoil_the_others(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.reply("DescribeTasks", (200, {"tasks": ["a", {"taskArn": "t"}, 3]}))
    async with open_aws(TARGET, settings) as access:
        assert (await access.ecs.describe_tasks("c", ["t"])).items == [{"taskArn": "t"}]


async def test_html_error_page_of_a_proxy_is_unavailable(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", *[(502, "<html>bad gateway</html>")] * 2)
    assert isinstance(await failure(settings), Unavailable)


@pytest.mark.parametrize("status", [302, 400, 401, 403, 404, 407, 408, 413, 421, 425, 503])
async def test_an_error_without_a_code_of_aws_is_a_gateways_and_refuses_nothing(
    aws: StandIn, connect: Connect, settings: Settings, status: int
) -> None:
    connect()
    page = "<html><body>Sign in to go on</body></html>"
    for operation in ("DescribeTasks", "FilterLogEvents", "RunTask"):
        aws.reply(operation, *[(status, page)] * 2)
    phrase = HTTPStatus(status).phrase
    async with open_aws(TARGET, settings) as access:
        with pytest.raises(Unavailable) as caught:
            await access.ecs.describe_tasks("c", ["t"])
        for call in (
            access.logs().filter_log_events("g", ["s"], start_ms=0),
            access.ecs.run_task({"taskDefinition": "d"}),
        ):
            with pytest.raises(Unavailable):
                await call
    assert type(caught.value) is Unavailable
    assert caught.value.code == ""
    assert str(caught.value) == (
        f"{HERE} was answered without an error code of AWS (HTTP {status} {phrase}), so by something on the way, such "
        "as a proxy or gateway: if it lasts, whoever manages the network must act."
    )


async def test_a_gateway_that_limits_the_rate_slows_us_down(aws: StandIn, connect: Connect, settings: Settings) -> None:
    connect()
    aws.reply("DescribeTasks", *[(429, "slow down")] * 2)
    error = await failure(settings)
    assert isinstance(error, Throttled)
    assert "without an error code of AWS (HTTP 429 Too Many Requests)" in str(error)


async def test_a_json_error_without_a_code_is_a_gateways_too(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.reply("DescribeTasks", (400, {"message": "blocked by policy"}))
    error = await failure(settings)
    assert isinstance(error, Unavailable)
    assert "HTTP 400 Bad Request" in str(error)
