"""Our clock is minutes off AWS's: nothing is lost, late or said that is not so. Under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from asyncrun.clients.api import LogPage
from tests.triggers.logs.fakes import START, CloudWatch
from tests.triggers.logs.runs import STREAM, Run, clock

pytestmark = [pytest.mark.looptime, pytest.mark.parametrize("ahead", [-120.0, -30.0, -8.0, 0.0, 8.0, 30.0, 120.0])]


def skewed(ahead: float) -> tuple[CloudWatch, float]:
    """A CloudWatch with a clock of its own, and the moment that is ``START`` there."""
    return CloudWatch(lambda: clock() + ahead, really_ahead=ahead), START + ahead


async def test_the_last_line_is_waited_for_as_long_as_ever(ahead: float) -> None:
    api, start = skewed(ahead)
    for i in range(60):
        api.put(STREAM, start + i, f"{i}", visible=start + i + 1)
    api.put(STREAM, start + 60, "the reason", visible=start + 65)
    with Run(api) as run:
        await asyncio.sleep(63)
        drained = await run.end(start + 60)
    assert run.sink.lines[-1] == "the reason"
    assert drained.complete
    assert 14 <= drained.waited <= 17
    assert run.said == []


class FirstPageEmpty(CloudWatch):
    """As AWS may do it."""

    async def filter_log_events(
        self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None
    ) -> LogPage:
        page = await super().filter_log_events(group, streams, start_ms=start_ms)
        return page if next_token else LogPage([], "the rest")


async def test_a_last_line_on_a_later_page_is_not_left_behind(ahead: float) -> None:
    late = 0
    for tenths in range(100, 160):  # around the last look, which begins some 12 s after the end
        start = clock() + ahead
        api = FirstPageEmpty(lambda: clock() + ahead, really_ahead=ahead, key=tenths)
        for i in range(20):
            api.put(STREAM, start + i, f"{i}")
        shows = start + 20 + tenths / 10
        api.put(STREAM, start + 20, "the reason", visible=shows)
        with Run(api) as run:
            await asyncio.sleep(22)
            drained = await run.end(start + 20)
        assert drained.complete
        if run.sink.lines[-1] == "the reason":
            late = max(late, tenths)
        else:  # it was not there when the last look began
            assert shows > clock() + ahead - 0.3
    assert late >= 130


async def test_a_stream_that_appears_with_the_last_flush_is_waited_for(ahead: float) -> None:
    api, start = skewed(ahead)
    api.put(STREAM, start + 1, "all that it wrote", visible=start + 7)
    with Run(api) as run:
        await asyncio.sleep(2)
        drained = await run.end(start + 1.5)
    assert run.sink.lines == ["all that it wrote"]
    assert drained.never_appeared == ()


async def test_lines_of_a_busy_group_show_within_seconds(ahead: float) -> None:
    api, start = skewed(ahead)
    for name in "abcdefgh":
        for i in range(1200):
            api.put(name, start + i / 20, f"{i}", visible=start + i / 20 + 1)
    runs = [Run(api, name) for name in "abcdefgh"]
    for second in range(20, 61, 10):
        await asyncio.sleep(second - clock() + START)
        assert all(len(run.sink.lines) >= (second - 5) * 20 for run in runs)
    for run in runs:
        run.close()
