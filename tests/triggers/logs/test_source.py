"""From CloudWatch to the task log, under virtual time: complete, in order, once, and soon."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import pytest

from asyncrun.clients.api import LogEvent
from asyncrun.model.errors import AccessDenied, CredentialsExpired, NotFound, Throttled, Unavailable
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.cloudwatch import reader_for
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.source import Drained, EcsLog, LogStream
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink

SETTINGS = Settings()
pytestmark = [pytest.mark.looptime]


def clock() -> float:
    return START + asyncio.get_running_loop().time()


class Run:
    """One followed run and what its task log says."""

    def __init__(
        self,
        api: CloudWatch,
        *streams: str,
        group: str = "/ecs/etl",
        settings: Settings = SETTINGS,
        sink: MemorySink | None = None,
    ) -> None:
        names = streams or ("main",)
        self.sink = sink or MemorySink()
        self.said: list[tuple[str, str]] = []
        self.log = emitter().open(self.sink, names, settings)
        self.source = EcsLog(
            [LogStream(name, group, api, f"p/{name}/1" if not streams else name) for name in names],
            self.log,
            lambda level, text: self.said.append((level, text)),
            settings,
            since_ms=int(START * 1000) - 600_000,
            clock=clock,
        )

    async def end(self, ended_at: float | None) -> Drained:
        drained = await self.source.drain(ended_at)
        assert await self.log.finish(600)
        self.close()
        return drained

    def close(self) -> None:
        self.source.close()
        self.log.close()

    def __enter__(self) -> Run:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


STREAM = "p/main/1"


async def test_lines_show_while_the_run_goes_on_and_none_is_lost_at_the_end() -> None:
    api = CloudWatch(clock)
    for i in range(60):
        api.put(STREAM, START + i, f"line {i}", visible=START + 5 * (i // 5 + 1))
    with Run(api) as run:
        await asyncio.sleep(30)
        assert len(run.sink.lines) >= 20
        await asyncio.sleep(31)
        drained = await run.end(START + 60)
    assert run.sink.lines == [f"line {i}" for i in range(60)]
    assert drained.complete
    assert run.said == []


async def test_a_message_of_several_lines_has_one_level() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START, "ERROR: broken\nTraceback:\r\n  File x\n")
    with Run(api) as run:
        await asyncio.sleep(10)
    (record,) = run.sink.records
    assert (record.level, record.text) == ("error", "ERROR: broken\nTraceback:\n  File x")


async def test_late_and_out_of_order_events_show_once() -> None:
    """Older than what was read, but within the overlap; and one that only the final pass can find."""
    api = CloudWatch(clock)
    api.put(STREAM, START + 10, "on time", visible=START + 11)
    api.put(STREAM, START + 2, "late by ten seconds", visible=START + 13)
    api.put(STREAM, START + 11, "same time, early", visible=START + 12)
    api.put(STREAM, START + 11, "same time, late", visible=START + 18)
    api.put(STREAM, START + 12, "later than the overlap", visible=START + 40)
    with Run(api) as run:
        await asyncio.sleep(30)
        drained = await run.end(START + 30)
    assert sorted(run.sink.lines) == sorted(
        ["on time", "late by ten seconds", "same time, early", "same time, late", "later than the overlap"]
    )
    assert drained.complete


async def test_the_end_waits_for_a_whole_quiet_period_of_real_reads() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START + 1, "first")
    api.put(STREAM, START + 19.9, "the error, flushed late", visible=START + 29)
    with Run(api) as run:
        await asyncio.sleep(20)
        drained = await run.end(START + 20)
    assert run.sink.lines == ["first", "the error, flushed late"]
    assert drained.complete
    assert 9 + 12 <= drained.waited <= 9 + 12 + 3


async def test_a_run_that_ended_long_ago_is_drained_by_a_few_reads() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START - 500, "old")
    with Run(api) as run:
        drained = await run.end(START - 400)
    assert run.sink.lines == ["old"]
    assert drained.complete
    assert drained.waited < 3


async def test_a_log_that_never_falls_silent_is_cut_at_the_limit_and_says_so() -> None:
    api = CloudWatch(clock)
    for i in range(200):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        drained = await run.end(START)
    assert not drained.complete
    assert drained.waited == pytest.approx(SETTINGS.logs_drain_limit, abs=1)
    assert run.said == [
        (
            "warning",
            "The log may be incomplete: CloudWatch was read for 60 s after the end, and it was not yet certain that "
            "nothing more comes. The full log: CloudWatch log group /ecs/etl, stream p/main/1, region eu-central-1",
        )
    ]


async def test_a_stream_that_never_appears_is_said_and_not_waited_for_long() -> None:
    with Run(CloudWatch(clock)) as run:
        await asyncio.sleep(100)
        drained = await run.end(clock())
    assert drained.complete
    assert drained.never_appeared == ("main",)
    assert drained.waited <= SETTINGS.logs_quiet_period + 5
    assert run.said == [
        (
            "info",
            "No log of container main: its stream never appeared, most likely because it wrote nothing or never ran "
            "(CloudWatch log group /ecs/etl, stream p/main/1, region eu-central-1)",
        )
    ]


async def test_missing_streams_hold_up_no_others_and_cost_few_calls() -> None:
    api = CloudWatch(clock)
    names = [f"s{i:03}" for i in range(250)]
    present = set(names[::7])
    for name in present:
        for i in range(60):
            api.put(name, START + i, f"{name} {i}")
    runs = [Run(api, name) for name in names]
    try:
        await asyncio.sleep(30)
        calls = len(api.calls)
        assert calls < 30 / 0.05 * 0.75  # most of the time nothing was asked
        late = {run.source._parts[0].stream.stream: len(run.sink.lines) for run in runs}
        assert min(late[name] for name in present) >= 15
        await asyncio.sleep(40)
        await asyncio.gather(*(run.end(START + 60) for run in runs))
    finally:
        for run in runs:
            run.close()
    for name, run in zip(names, runs, strict=True):
        assert run.sink.lines == ([f"{name} {i}" for i in range(60)] if name in present else [])


async def test_many_runs_share_few_calls() -> None:
    api = CloudWatch(clock)
    names = [f"s{i:03}" for i in range(300)]
    for name in names:
        for i in range(20):
            api.put(name, START + i, f"{i}")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(20)
    for run in runs:
        run.close()
    assert len(api.calls) <= 20 * 3 + 20
    assert all(len(streams) <= 100 for _, streams, _ in api.calls)
    await asyncio.sleep(1)


async def test_a_stream_that_vanishes_does_not_stop_the_others() -> None:
    api = CloudWatch(clock)
    gone = lambda operation, streams: (  # noqa: E731
        NotFound("The specified log stream does not exist.") if "b" in streams and clock() > START + 10 else None
    )
    api.refuse = gone
    for i in range(30):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Run(api, "a") as a, Run(api, "b") as b:
        await asyncio.sleep(40)
    assert a.sink.lines == [str(i) for i in range(30)]
    assert len(b.sink.lines) >= 8


async def test_a_missing_log_group_is_said_once() -> None:
    api = CloudWatch(clock, refuse=lambda *_: NotFound("The specified log group does not exist."))
    with Run(api, "a", "b") as run:
        await asyncio.sleep(60)
        drained = await run.end(clock())
    assert [text for level, text in run.said if level == "warning"] == [
        "The log group /ecs/etl does not exist in eu-central-1: its lines will show here once it does. Check "
        "awslogs-group and awslogs-region of the task definition (The specified log group does not exist.)"
    ]
    assert drained.never_appeared == ("a", "b")


def denied(*operations: str) -> Callable[[str, Sequence[str]], Exception | None]:
    return lambda operation, streams: AccessDenied(f"not allowed: {operation}") if operation in operations else None


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


async def test_without_any_permission_the_run_goes_on_without_its_log() -> None:
    api = CloudWatch(clock, refuse=denied("filter", "get"))
    with Run(api) as run:
        await asyncio.sleep(5)
        drained = await run.end(clock())
    assert drained.unreadable == ("main",)
    assert drained.waited < 1
    assert run.said[-1] == (
        "error",
        "The log stream p/main/1 of group /ecs/etl cannot be read; the permissions logs:FilterLogEvents and "
        "logs:GetLogEvents are missing (not allowed: get). The container run goes on without this log",
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


async def test_a_drain_does_not_take_silence_of_the_api_for_the_end_of_the_log() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if START + 10 < clock() < START + 45 else None
    api.put(STREAM, START + 1, "first")
    api.put(STREAM, START + 19, "last", visible=START + 22)
    with Run(api) as run:
        await asyncio.sleep(20)
        drained = await run.end(START + 20)
    assert run.sink.lines == ["first", "last"]
    assert drained.complete


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


async def test_time_in_which_cloudwatch_does_not_answer_is_not_taken_from_the_drain() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if START + 10 < clock() < START + 200 else None
    api.put(STREAM, START + 1, "first")
    api.put(STREAM, START + 19, "last", visible=START + 22)
    with Run(api) as run:
        await asyncio.sleep(20)
        drained = await run.end(START + 20)
    assert run.sink.lines == ["first", "last"]
    assert drained.complete
    ((_, text),) = run.said
    assert text.startswith("CloudWatch Logs in eu-central-1 has not answered for 3")
    assert drained.waited < 180 + 5 + 12 + 3  # the outage, the pause, a quiet period, reading


async def test_reading_goes_on_within_seconds_after_a_long_outage() -> None:
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if START + 10 < clock() < START + 300 else None
    for i in range(320):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(300 + 6)
        assert len(run.sink.lines) >= 300
        assert len([calls for calls in api.calls if clock() > START + 10]) < 2 * 300


async def test_a_cloudwatch_that_never_answers_again_ends_the_wait_and_nothing_false_is_said() -> None:
    api = CloudWatch(clock, refuse=lambda *_: Unavailable("503"))
    with Run(api) as run:
        await asyncio.sleep(5)
        drained = await run.end(clock())
    assert not drained.complete
    assert drained.never_appeared == ()
    assert drained.waited == pytest.approx(SETTINGS.logs_drain_limit + 600, abs=1)
    where = "CloudWatch log group /ecs/etl, stream p/main/1, region eu-central-1"
    assert run.said[1:] == [
        (
            "info",
            "No log of container main: whether it wrote anything is not known, because CloudWatch did not say so after "
            f"the end ({where})",
        ),
        (
            "warning",
            "The log may be incomplete: for 660 s after the end CloudWatch could not be read, or not often enough. The "
            f"full log: {where}",
        ),
    ]


async def test_that_a_stream_never_appeared_is_said_only_after_a_look_made_after_the_end() -> None:
    """The stream was looked for while the run went on; it appears after that, and CloudWatch answers no more."""
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if clock() > START + 20 else None
    api.put(STREAM, START + 19, "unseen", visible=START + 21)
    with Run(api) as run:
        await asyncio.sleep(20)
        drained = await run.end(START + 20)
    assert drained.never_appeared == ()
    assert not any("never appeared" in text for _, text in run.said)


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


@pytest.mark.parametrize("first", [5.2, 8.2, 30.2])
@pytest.mark.parametrize(("spread", "soon"), [(0.0, 3.0), (2.0, 5.0)])
async def test_500_streams_that_appear_together_are_all_read_within_seconds(
    first: float, spread: float, soon: float
) -> None:
    """At two calls a second, of which reading those that are found already takes its share."""
    api = CloudWatch(clock, gap=0.5)
    chance = random.Random(1)
    names = [f"s{i:03}" for i in range(500)]
    for name in names:
        appears = START + first + chance.random() * spread
        for i in range(3):
            api.put(name, appears + 5 * i, f"{i}")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(first - 5)
    for run in runs:
        run.source.started()
    await asyncio.sleep(5 + spread + soon)
    found = reader_for(api, "/ecs/etl", SETTINGS, clock=clock).statistics().found
    for run in runs:
        run.close()
    assert found == 500


async def test_a_stream_that_never_appears_does_not_keep_those_of_its_group_from_being_read() -> None:
    api = CloudWatch(clock, gap=0.5)
    names = [f"s{i:03}" for i in range(200)]
    for name in names:
        if name != "s042":
            api.put(name, START + 5, "here")
    runs = [Run(api, name) for name in names]
    await asyncio.sleep(30)
    missing = [name for name, run in zip(names, runs, strict=True) if not run.sink.lines]
    for run in runs:
        run.close()
    assert missing == ["s042"]


async def test_a_run_that_cannot_take_more_pauses_and_others_go_on() -> None:
    settings = replace(SETTINGS, log_rate=1_000_000, log_backlog=1280)
    api = CloudWatch(clock, page=500)
    for i in range(4000):
        api.put("heavy", START + i / 1000, f"{i} " + "x" * 1000)
    for i in range(60):
        api.put("light", START + i, f"{i}")
    slow = MemorySink(cost=10_000, speed=50_000)
    with Run(api, "heavy", settings=settings, sink=slow) as heavy, Run(api, "light") as light:
        await asyncio.sleep(40)
        assert heavy.log.full or len(slow.lines) == 4000
        assert emitter().statistics().queued_bytes < 2 * 2**20
        assert len(light.sink.lines) > 25
        await asyncio.sleep(600)
        drained = await heavy.end(START + 60)
    assert [line.split()[0] for line in slow.lines] == [str(i) for i in range(4000)]
    assert drained.complete
    assert light.sink.lines == [str(i) for i in range(60)]


async def test_a_reader_that_was_left_reads_no_more_and_the_next_one_starts_anew() -> None:
    api = CloudWatch(clock)
    for i in range(100):
        api.put(STREAM, START + i, f"{i}")
    with Run(api):
        await asyncio.sleep(10)
    calls = len(api.calls)
    await asyncio.sleep(30)
    assert len(api.calls) == calls
    with Run(api) as run:
        await asyncio.sleep(20)
    assert run.sink.lines[:50] == [str(i) for i in range(50)]


async def test_two_runs_may_follow_one_stream() -> None:
    api = CloudWatch(clock)
    for i in range(10):
        api.put(STREAM, START + i, f"{i}")
    with Run(api) as one, Run(api) as other:
        await asyncio.sleep(30)
    assert one.sink.lines == other.sink.lines == [str(i) for i in range(10)]


async def test_repeated_reading_stays_small_and_its_memory_bounded() -> None:
    api = CloudWatch(clock, page=10_000)
    for i in range(12_000):
        api.put(STREAM, START + i / 100, f"{i}")
    with Run(api) as run:
        await asyncio.sleep(150)
        statistics = reader_for(api, "/ecs/etl", SETTINGS).statistics()
        (part,) = run.source._followings
        assert len(part._stream.seen) < 76 * 100  # ids are kept for five overlaps
    assert run.sink.lines == [str(i) for i in range(12_000)]
    assert statistics.repeated < 4.5 * statistics.events


async def test_a_line_that_cannot_be_taken_breaks_its_own_log_only(caplog: pytest.LogCaptureFixture) -> None:
    class Broken(Run):
        def __init__(self, *args: Any) -> None:
            super().__init__(*args)
            self.log._last.clear()  # any line raises a KeyError

    api = CloudWatch(clock)
    for i in range(10):
        api.put("a", START + i, f"{i}")
        api.put("b", START + i, f"{i}")
    with Broken(api, "a") as broken, Run(api, "b") as other:
        await asyncio.sleep(20)
        drained = await broken.source.drain(clock())
    assert other.sink.lines == [str(i) for i in range(10)]
    assert drained.unreadable == ("a",)
    assert "Lines of log stream a could not be taken" in caplog.text


async def test_closing_while_draining_leaves_nothing_behind() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START, "x")
    with Run(api) as run:
        drain = asyncio.create_task(run.source.drain(None))
        await asyncio.sleep(3)
        drain.cancel("__airflow_user_action__")
        with pytest.raises(asyncio.CancelledError) as caught:
            await drain
    assert caught.value.args == ("__airflow_user_action__",)


async def test_quiet_streams_do_not_make_busy_ones_be_read_again_and_again() -> None:
    api = CloudWatch(clock)
    for i in range(6000):
        api.put("busy", START + i / 100, f"{i}")
    api.put("quiet", START, "0")
    api.put("quiet", START + 50, "1")
    with Run(api, "busy") as busy, Run(api, "quiet") as quiet:
        await asyncio.sleep(90)
        statistics = reader_for(api, "/ecs/etl", SETTINGS).statistics()
    assert busy.sink.lines == [str(i) for i in range(6000)]
    assert quiet.sink.lines == ["0", "1"]
    # A quiet one drags the busy ones of its batch back by a flush (7 s) at most, and not by the overlap (15 s).
    assert statistics.repeated < 9 * statistics.events


async def test_streams_that_catch_up_do_not_drag_live_ones_back() -> None:
    api = CloudWatch(clock, page=100)
    for i in range(3000):
        api.put("old", START - 500 + i / 10, f"{i}")
    for i in range(30):
        api.put("live", START + i, f"{i}")
    with Run(api, "live") as live:
        await asyncio.sleep(10)
        with Run(api, "old") as old:
            await asyncio.sleep(10)
            assert len(live.sink.lines) >= 10
            await asyncio.sleep(30)
    assert old.sink.lines == [str(i) for i in range(3000)]
    assert live.sink.lines == [str(i) for i in range(30)]
    together = [start for _, streams, start in api.calls if set(streams) == {"live", "old"}]
    assert all(start > (START - 60) * 1000 for start in together)


async def test_a_large_page_is_taken_in_small_steps() -> None:
    class Counting:
        full = False

        def __init__(self) -> None:
            self.steps: list[int] = []

        def events(self, events: Sequence[LogEvent]) -> None:
            self.steps.append(len(events))

        def read(self, began_ms: int, *, final: bool) -> None: ...

        def exists(self) -> None: ...

        def unreadable(self) -> None: ...

        def say(self, level: str, message: str) -> None: ...

    api = CloudWatch(clock)
    for i in range(10_000):
        api.put(STREAM, START - 500 + i / 100, f"{i}")
    follower = Counting()
    following = reader_for(api, "/ecs/etl", SETTINGS, clock=clock).follow(STREAM, follower, 0)
    await asyncio.sleep(10)
    following.close()
    following.close()
    assert sum(follower.steps) == 10_000
    assert max(follower.steps) <= 500


async def test_a_slow_pipe_delays_the_end_of_a_log_and_does_not_cut_it() -> None:
    """The run ended; its lines wait for Airflow longer than a drain may last."""
    settings = replace(SETTINGS, log_rate=1_000_000)
    api = CloudWatch(clock, page=500)
    for i in range(5000):
        api.put(STREAM, START - 60 + i / 100, f"{i} " + "x" * 1000)
    slow = MemorySink(cost=10_000, speed=15_000)  # some 7 KiB/s of text
    with Run(api, settings=settings, sink=slow) as run:
        drained = await run.source.drain(START)
        assert drained.waited > 3 * settings.logs_drain_limit
        assert drained.complete
        assert await run.log.finish(3600)
    assert [line.split()[0] for line in slow.lines] == [str(i) for i in range(5000)]


@pytest.mark.parametrize("refused", ["", "filter"])
@pytest.mark.parametrize("seed", range(6))
async def test_a_replay_gives_the_same_records_as_reading_along(seed: int, refused: str) -> None:
    """What Airflow's reader needs to show each line once after a triggerer died (facts/airflow-logs.md, 3)."""
    chance = random.Random(seed)
    api = CloudWatch(clock, page=chance.choice([3, 50, 10_000]), refuse=denied(refused))
    count = 0
    for container in ("a", "b"):
        time, flush = START, chance.uniform(0, 5)
        while time < START + 60:
            time += chance.choice([0, 0.001, 0.02, 0.3, 4])
            flushed = START + flush + 5 * -((START + flush - time) // 5)
            api.put(container, time, chance.choice(["same", "ERROR: broken", f"line {count}"]), visible=flushed + 0.4)
            count += 1
    with Run(api, "a", "b") as along:
        await asyncio.sleep(20 + seed)
        with Run(api, "a", "b") as taken_over:
            await along.end(START + 62)
            await taken_over.end(START + 62)
    with Run(api, "a", "b") as replayed:
        await replayed.end(START + 62)
    first, second, third = (sorted(run.sink.records, key=lambda r: r.stamp_ms) for run in (along, taken_over, replayed))
    assert sum(record.lines for record in first) == count
    assert first == second == third
