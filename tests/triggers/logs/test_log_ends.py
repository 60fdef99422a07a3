"""When a log counts as read to its end, under virtual time, and what is said where it is not."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from asyncrun.model.errors import Unavailable
from asyncrun.triggers.logs.source import Drained
from tests.support.kill import KILL
from tests.triggers.logs.fakes import START, CloudWatch, MemorySink
from tests.triggers.logs.runs import SETTINGS, STREAM, Run, clock

pytestmark = [pytest.mark.looptime]


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


async def test_lines_that_a_driver_held_back_are_waited_for_beside_busy_streams() -> None:
    api = CloudWatch(clock)
    busy = [f"busy{i}" for i in range(40)]
    for name in busy:
        for i in range(400):
            api.put(name, START + i, f"{i}", visible=START + 5 * (i // 5 + 1))
    for i in range(200):  # the last 40 s come in five pieces, 10 s after the end and later
        api.put(STREAM, START + i, f"{i}", visible=START + (5 * (i // 5 + 1) if i < 160 else 210 + (i - 160) // 8 * 3))
    others = [Run(api, name) for name in busy]
    with Run(api) as run:
        await asyncio.sleep(203)
        drained = await run.end(START + 200)
    for other in others:
        other.close()
    assert run.sink.lines == [str(i) for i in range(200)]
    assert drained.complete


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


async def ended_during_an_outage(until: float) -> tuple[Run, Drained]:
    """A run of 20 s, whose last line shows at 22 s; CloudWatch does not answer from 10 s on, to ``until`` s."""
    api = CloudWatch(clock)
    api.refuse = lambda *_: Unavailable("503") if START + 10 < clock() < START + until else None
    api.put(STREAM, START + 1, "first")
    api.put(STREAM, START + 19, "last", visible=START + 22)
    with Run(api) as run:
        await asyncio.sleep(20)
        drained = await run.end(START + 20)
    return run, drained


async def test_a_drain_does_not_take_silence_of_the_api_for_the_end_of_the_log() -> None:
    run, drained = await ended_during_an_outage(until=45)
    assert run.sink.lines == ["first", "last"]
    assert drained.complete


async def test_time_in_which_cloudwatch_does_not_answer_is_not_taken_from_the_drain() -> None:
    run, drained = await ended_during_an_outage(until=200)
    assert run.sink.lines == ["first", "last"]
    assert drained.complete
    ((_, text),) = run.said
    assert text.startswith("CloudWatch Logs in eu-central-1 has not answered for 3")
    assert drained.waited < 180 + 5 + 12 + 3  # the outage, the pause, a quiet period, reading


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


async def test_closing_while_draining_leaves_nothing_behind() -> None:
    api = CloudWatch(clock)
    api.put(STREAM, START, "x")
    with Run(api) as run:
        drain = asyncio.create_task(run.source.drain(None))
        await asyncio.sleep(3)
        drain.cancel(KILL)
        with pytest.raises(asyncio.CancelledError) as caught:
            await drain
    assert caught.value.args == (KILL,)


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
