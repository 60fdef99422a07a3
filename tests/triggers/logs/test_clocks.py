"""Our clock is minutes off AWS's: nothing is lost, late or said that is not so. Under virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from email.utils import formatdate

import pytest

from asyncrun.clients.api import LogPage
from asyncrun.clients.remote_clock import RemoteClock
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
        self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None, **_: object
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
    assert late >= 125


class Dated(CloudWatch):
    """
    As AWS may do it: the first page is empty, each page shows what is visible by then, and its answers have a ``Date``
    of whole seconds, so that its clock becomes known better and better.
    """

    def __init__(self, of_aws: Callable[[], float], key: int) -> None:
        super().__init__(of_aws, key=key, gap=0.04)
        self.learned = RemoteClock(clock)

    async def _begin(self, operation: str, streams: Sequence[str], start_ms: int) -> None:
        asked_at = clock()
        try:
            await super()._begin(operation, streams, start_ms)
        finally:
            headers = {"date": formatdate(int(self.clock()), usegmt=True)}
            self.learned.heard({"ResponseMetadata": {"HTTPHeaders": headers}}, asked_at)
            self.ahead = self.learned.ahead

    async def filter_log_events(
        self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None, **_: object
    ) -> LogPage:
        page = await super().filter_log_events(group, streams, start_ms=start_ms)
        if next_token is None:
            return LogPage([], "from the beginning")
        after = (0, "") if next_token == "from the beginning" else tuple(next_token.split("/"))
        rest = [one for one in page.events if (one.time_ms, one.event_id) > (int(after[0]), after[1])]
        last = rest[:20][-1:]
        return LogPage(rest[:20], f"{last[0].time_ms}/{last[0].event_id}" if len(rest) > 20 else None)


async def test_lines_stay_in_order_while_the_clock_becomes_known_better(ahead: float) -> None:
    lines = [f"{number}" for number in range(150)]
    for tenths in range(10):
        api = Dated(lambda: clock() + ahead, tenths)
        await asyncio.sleep(1.1)  # so that each first pass begins at another fraction of a second
        for number, line in enumerate(lines):
            api.put(STREAM, clock() + ahead - 1 + number / len(lines), line)
        with Run(api) as run:
            await asyncio.sleep(10)
            await run.end(clock() + ahead)
        assert run.sink.lines == lines


async def test_what_was_written_after_a_line_that_comes_during_a_pass_is_not_shown_before_it(ahead: float) -> None:
    shown_together = []
    for hundredths in range(0, 60, 3):
        api = Dated(lambda: clock() + ahead, hundredths)
        start = clock() + ahead - 30
        for number in range(60):
            api.put(STREAM, start + number / 100, f"{number}")
        comes = clock() + ahead + hundredths / 100
        api.put(STREAM, start + 0.605, "written before", visible=comes, taken_in=comes)
        api.put(STREAM, start + 0.61, "written after")
        with Run(api) as run:
            await asyncio.sleep(10)
            await run.end(clock() + ahead)
        assert sorted(run.sink.lines[60:]) == ["written after", "written before"]
        shown_together.append(run.sink.lines[60] == "written before")
    first_pass_ended = shown_together.index(False)  # what comes later than that was not there to be read
    assert first_pass_ended > 3
    assert not any(shown_together[first_pass_ended:])


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
