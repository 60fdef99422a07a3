"""CloudWatch Logs that denies, throttles or does not answer, under virtual time."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence

import pytest

from asyncrun.clients.api import LogPage
from asyncrun.model.errors import (
    AccessDenied,
    CredentialsExpired,
    MalformedAnswer,
    RequestRefused,
    Throttled,
    Unavailable,
)
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink
from tests.triggers.logs.runs import SETTINGS, STREAM, Run, clock, denied

pytestmark = [pytest.mark.looptime]


async def test_without_filter_log_events_each_stream_is_read_by_itself() -> None:
    api = CloudWatch(clock, page=7, refuse=denied("filter"))
    for i in range(40):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Run(api, "a") as a, Run(api, "b", "c") as b:
        await asyncio.sleep(60)
        drained = await b.end(START + 40)
    assert a.sink.lines == [str(i) for i in range(40)]
    assert [line.removeprefix("[b] ") for line in b.sink.lines] == [str(i) for i in range(40)]
    assert drained.never_appeared == ("c",)
    assert a.said == [
        (
            "warning",
            "The permission logs:FilterLogEvents is missing: each log stream is read by itself with "
            "logs:GetLogEvents, and with many runs lines arrive late (not allowed: filter)",
        )
    ]


async def test_a_log_that_is_read_by_itself_waits_where_airflow_takes_its_records_slowly() -> None:
    """And nothing else does: its reader must not take the event loop."""
    await asyncio.sleep(1_000)
    api = CloudWatch(clock, page=1_000, refuse=denied("filter"))
    lines = [f"{i} ".ljust(300, "x") for i in range(5_000)]
    for i, line in enumerate(lines):
        api.put(STREAM, START + i / 10, line)
    with Run(api, sink=MemorySink(cost=1_280, speed=20_000)) as run:  # 1.5 MB: more than may wait
        await asyncio.sleep(30)
        assert run.log.full
        await asyncio.sleep(600)
    assert run.sink.lines == lines


async def test_without_any_permission_the_run_goes_on_without_its_log() -> None:
    api = CloudWatch(clock, refuse=denied("filter", "get"))
    with Run(api) as run:
        await asyncio.sleep(5)
        drained = await run.end(clock())
    assert drained.unreadable == ("main",)
    assert drained.waited < 12, "no longer than a log that can be read"
    assert run.said[-1] == (
        "error",
        "The log stream p/main/1 of group /ecs/etl cannot be read (not allowed: get. Both logs:FilterLogEvents and "
        "logs:GetLogEvents are missing). The container run goes on without this log",
    )


async def test_a_log_stays_with_the_api_that_gave_its_first_line() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda operation, streams: (
        AccessDenied("no") if operation == "filter" and START + 10 < clock() < START + 60 else None
    )
    for i in range(100):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(130)
    assert run.sink.lines == [str(i) for i in range(100)]
    assert {operation for operation, _, _ in api.calls} == {"filter"}
    assert [level for level, _ in run.said] == ["error"]


@pytest.mark.parametrize("error", [Throttled("slow down"), Unavailable("503"), CredentialsExpired("expired")])
async def test_an_api_that_is_away_delays_the_log_and_loses_nothing(error: Exception) -> None:
    api = CloudWatch(clock, page=5)
    api.refuse = lambda *_: error if START + 10 < clock() < START + 130 else None
    for i in range(150):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(150)
        drained = await run.end(START + 150)
    assert run.sink.lines == [str(i) for i in range(150)]
    assert drained.complete
    ((level, text),) = run.said
    assert level == "warning"
    assert text.startswith("CloudWatch Logs in eu-central-1 has not answered for ")
    assert str(error) in text


async def test_a_short_outage_among_throttled_calls_loses_nothing_and_delays_little() -> None:
    """Ten runs end during an outage of 15 s; before and after it a third of the calls is throttled."""
    api = CloudWatch(clock, gap=0.5)
    chance = random.Random(3)
    throttled = lambda: Throttled("slow down") if chance.random() < 0.33 else None  # noqa: E731
    api.refuse = lambda *_: Unavailable("503") if START + 16 < clock() < START + 31 else throttled()
    names = [f"s{i}" for i in range(10)]
    for name in names:
        for i in range(15):
            api.put(name, START + 4 + i, f"{name} {i}", visible=START + 4.2 + 5 * (i // 5 + 1))
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(32)
    drained = await asyncio.gather(*(run.end(START + 19) for run in runs))
    for name, run, one in zip(names, runs, drained, strict=True):
        assert run.sink.lines == [f"{name} {i}" for i in range(15)]
        assert one.complete
        assert one.waited < 15
        assert run.said == []


async def test_reading_goes_on_within_seconds_after_a_long_outage() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if START + 10 < clock() < START + 300 else None
    for i in range(320):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(300 + 6)
        assert len(run.sink.lines) >= 300
        assert len(api.calls) < 2 * 300


@pytest.mark.parametrize("operation", ["filter", "get"])
async def test_throttled_calls_are_repeated_and_are_no_silence(operation: str) -> None:
    """Two of three calls are throttled, for minutes: lines arrive, and nobody is told that CloudWatch is silent."""
    api = CloudWatch(clock, gap=0.5)

    def refuse(called: str, _: Sequence[str]) -> Exception | None:
        if called != operation:
            return AccessDenied("no")
        return Throttled("slow down") if len(api.calls) % 3 else None

    api.refuse = refuse
    for i in range(120):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(60)
        assert len(run.sink.lines) >= 50
        await asyncio.sleep(60)
        await run.end(START + 120)
    assert run.sink.lines == [f"{i}" for i in range(120)]
    assert not any("not answered" in text for _, text in run.said)


@pytest.mark.parametrize("operation", ["filter", "get"])
async def test_a_gateways_page_is_an_outage_however_long_it_lasts(operation: str) -> None:
    api = CloudWatch(clock)

    def refuse(called: str, _: Sequence[str]) -> Exception | None:
        if called != operation:
            return AccessDenied("no")
        return MalformedAnswer("<html>") if START + 10 < clock() < START + 10 + 2 * SETTINGS.access_grace else None

    api.refuse = refuse
    names = [f"s{i}" for i in range(5)]
    for name in names:
        for i in range(0, 700, 2):
            api.put(name, START + i, f"{i}")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(700)
    drained = await asyncio.gather(*(run.end(clock()) for run in runs))
    for run, one in zip(runs, drained, strict=True):
        assert run.sink.lines == [f"{i}" for i in range(0, 700, 2)]
        assert one.complete
        assert any(text.startswith("CloudWatch Logs in eu-central-1 has not answered for 3") for _, text in run.said)


@pytest.mark.parametrize("operation", ["filter", "get"])
@pytest.mark.parametrize(
    "error", [MalformedAnswer("cut"), RequestRefused("odd", code="X"), AccessDenied("no", code="AccessDenied")]
)
async def test_one_odd_answer_costs_no_line(error: Exception, operation: str) -> None:
    api, odd = CloudWatch(clock), [error]

    def refuse(called: str, _: Sequence[str]) -> Exception | None:
        if called != operation and operation == "get":
            return AccessDenied("no")
        return odd.pop() if called == operation and odd and clock() > START + 30 else None

    api.refuse = refuse
    for i in range(120):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Run(api, "a") as a, Run(api, "b") as b:
        await asyncio.sleep(120)
        drained = await asyncio.gather(a.end(clock()), b.end(clock()))
    assert odd == []
    assert a.sink.lines == b.sink.lines == [f"{i}" for i in range(120)]
    assert all(one.complete for one in drained)


@pytest.mark.parametrize("error", [MalformedAnswer("not UTF-8"), RequestRefused("no", code="X")])
async def test_a_stream_that_cannot_be_read_costs_its_own_log_only(error: Exception) -> None:
    api = CloudWatch(clock)
    names = [f"s{i:02}" for i in range(20)]
    api.refuse = lambda _, streams: error if "s17" in streams and clock() > START + 20 else None
    for name in names:
        for i in range(0, 500, 5):
            api.put(name, START + i, f"{i}")
    runs = {name: Run(api, name) for name in names}
    await asyncio.sleep(60)
    assert all(len(run.sink.lines) >= 11 for name, run in runs.items() if name != "s17")
    assert "error" not in [level for level, _ in runs["s17"].said]
    await asyncio.sleep(20 + SETTINGS.access_grace - 60)
    assert [level for level, _ in runs["s17"].said] == ["warning"], "it may still pass"
    await asyncio.sleep(500 - 20 - SETTINGS.access_grace)
    drained = {name: await run.end(clock()) for name, run in runs.items()}
    for name, run in runs.items():
        if name != "s17":
            assert run.sink.lines == [f"{i}" for i in range(0, 500, 5)]
            assert drained[name].complete
            assert run.said == []
    assert drained["s17"].unreadable == ("s17",)
    assert runs["s17"].said[-1][1].startswith(f"The log stream s17 of group /ecs/etl cannot be read ({error})")
    assert len(api.calls) < 1200


async def test_a_stream_that_is_refused_for_a_while_is_read_on() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda *_: RequestRefused("no", code="X") if START + 20 < clock() < START + 200 else None
    for i in range(300):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(300)
        assert (await run.end(clock())).complete
    assert run.sink.lines == [f"{i}" for i in range(300)]


async def test_pages_that_always_lead_in_a_circle_or_nowhere_are_not_read_for_ever() -> None:
    """A token that is refused: the batch is read again from where it stands, once; then it counts as a refusal."""
    api = CloudWatch(clock, page=3)

    async def refuse_tokens(*args: object, next_token: str | None = None, **kwargs: object) -> LogPage:
        if next_token is not None:
            api.calls.append(("filter", (STREAM,), 0))
            await asyncio.sleep(api.gap)
            raise RequestRefused("The specified nextToken is invalid", code="InvalidParameterException")
        return await CloudWatch.filter_log_events(api, *args, next_token=None, **kwargs)  # type: ignore[arg-type]

    api.filter_log_events = refuse_tokens  # type: ignore[method-assign, assignment]
    for i in range(10):
        api.put(STREAM, START - 100 + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(SETTINGS.access_grace + 60)
        drained = await run.end(clock())
    assert drained.unreadable == ("main",)
    assert len(api.calls) < 2 * (SETTINGS.access_grace + 60) / 15 * 3


async def test_one_denial_does_not_cost_a_log_that_may_be_read_in_the_allowed_way() -> None:
    api = CloudWatch(clock)
    first = iter([True])
    api.refuse = lambda operation, streams: (
        AccessDenied(f"not allowed: {operation}") if operation == "get" or next(first, False) else None
    )
    for i in range(60):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(30)
        assert len(run.sink.lines) > 20
        drained = await run.end(START + 60)
    assert run.sink.lines == [str(i) for i in range(60)]
    assert drained.complete


async def test_tokens_that_are_refused_again_and_again_do_not_end_a_log_that_goes_on() -> None:
    class Forgetful(CloudWatch):
        async def filter_log_events(
            self, group: str, streams: Sequence[str], *, start_ms: int, next_token: str | None = None, **_: object
        ) -> LogPage:
            if next_token is not None and dice.random() < 0.05:
                await asyncio.sleep(self.gap)
                raise RequestRefused("The specified nextToken is invalid.", code="InvalidParameterException")
            return await super().filter_log_events(group, streams, start_ms=start_ms, next_token=next_token)

    dice = random.Random(7)
    api = Forgetful(clock, page=150, gap=0.5)
    for i in range(9000):
        api.put(STREAM, START + i / 20, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(455)
        assert len(run.sink.lines) > 8000
    assert [level for level, _ in run.said if level == "error"] == []
    assert run.sink.lines == [str(i) for i in range(len(run.sink.lines))]
