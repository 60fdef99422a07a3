"""What a service's answers tell of its clock."""

from __future__ import annotations

import math
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.clients.aws import open_aws
from asyncrun.clients.remote_clock import RemoteClock
from asyncrun.model.errors import NotFound
from asyncrun.model.refs import AwsTarget
from asyncrun.model.settings import Settings
from tests.clients.conftest import Connect
from tests.clients.standin import StandIn

EPOCH = 1_700_000_000.0


def answer(date: str) -> dict[str, Any]:
    return {"ResponseMetadata": {"HTTPHeaders": {"date": date}}}


def dated(moment: float) -> dict[str, Any]:
    return answer(format_datetime(datetime.fromtimestamp(math.floor(moment), UTC), usegmt=True))


class Clocks:
    """Ours, and the service's, which is ``ahead``."""

    def __init__(self, ahead: float) -> None:
        self.ours, self.ahead = EPOCH, ahead
        self.learned = RemoteClock(lambda: self.ours)

    def call(self, there: float, back: float) -> None:
        """A call whose answer is written after ``there`` seconds, and is here ``back`` seconds later."""
        asked_at = self.learned.now()
        self.ours += there
        written = dated(self.ours + self.ahead)
        self.ours += back
        self.learned.heard(written, asked_at)


seconds = st.floats(0, 3)


@given(ahead=st.floats(-3600, 3600), ways=st.lists(st.tuples(seconds, seconds, st.floats(0, 30)), min_size=1))
def test_a_service_is_never_believed_to_be_further_than_it_is(
    ahead: float, ways: list[tuple[float, float, float]]
) -> None:
    clocks = Clocks(ahead)
    best = math.inf
    for there, back, pause in ways:
        clocks.call(there, back)
        best = min(best, 1 + back)
        assert ahead - best - 0.001 <= clocks.learned.ahead <= ahead + 0.001
        clocks.ours += pause


@pytest.mark.parametrize("jump", [-600.0, 600.0])
def test_a_clock_that_was_set_is_noticed_by_the_next_answer(jump: float) -> None:
    clocks = Clocks(20.0)
    clocks.call(0.1, 0.1)
    clocks.ours, clocks.ahead = clocks.ours + jump, clocks.ahead - jump
    clocks.call(0.1, 0.1)
    assert clocks.ahead - 1.2 <= clocks.learned.ahead <= clocks.ahead


@pytest.mark.parametrize("odd", [None, "text", {}, {"ResponseMetadata": {}}, answer("yesterday"), answer("")])
def test_an_answer_without_a_date_teaches_nothing(odd: Any) -> None:
    clock = RemoteClock()
    clock.heard(odd, 0.0)
    assert clock.ahead == 0


@pytest.mark.usefixtures("closing")
async def test_every_answer_of_a_region_tells_its_time_refusals_too(
    aws: StandIn, connect: Connect, settings: Settings
) -> None:
    connect()
    aws.ahead = -1000.0
    aws.error("FilterLogEvents", "ResourceNotFoundException")
    async with open_aws(AwsTarget(conn_id="aws_test"), settings) as access:
        logs = access.logs("eu-west-1")
        assert logs.ahead == 0
        with pytest.raises(NotFound):
            await logs.filter_log_events("g", ["s"], start_ms=0)
        assert logs.ahead == pytest.approx(-1000.5, abs=3)
        assert access.logs("eu-west-2").ahead == 0
        aws.ahead = 500.0
        await logs.filter_log_events("g", ["s"], start_ms=0)
        assert logs.ahead == pytest.approx(499.5, abs=3)
