"""Lines that can no longer be read: what is missing is said at its place, and what was read is not doubted."""

from __future__ import annotations

import asyncio

import pytest

from asyncrun.model.errors import NotFound, Unavailable
from tests.triggers.pods.followed_run import Run, written
from tests.triggers.pods.log_lines import Cut, now, stamp_at
from tests.triggers.pods.log_server import LogServer

pytestmark = [pytest.mark.looptime]


async def test_the_log_of_a_deleted_pod_ends_and_what_was_missed_is_said() -> None:
    server = LogServer(refuse=lambda: Unavailable("busy") if 2 < now() < 5 else None, cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(3)
        server.write("nobody will read this")
        server.delete()
        began = now()
        drained = await run.end()
        assert now() - began < 10
    assert run.lines == ["one"]
    assert not drained.complete
    assert (
        "warning",
        "The log of container main may be incomplete: the pod was deleted before it was read to its end",
    ) in run.said


async def test_another_pod_under_the_name_is_not_read() -> None:
    server = LogServer(cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(1)
        server.uid = "another"
        server.refuse = lambda: NotFound("not found")
        assert not (await run.end()).complete
    assert run.lines == ["one"]
    assert "the pod was deleted" in run.texts


async def test_a_log_that_vanished_after_it_was_read_is_complete() -> None:
    """An evicted pod's log is gone about a second after Failed (trace p2)."""
    server = LogServer()
    async with Run(server) as run:
        instance = server.start()
        server.write("up")
        await asyncio.sleep(1)
        server.end(exit_code=143, phase="Failed")
        await asyncio.sleep(0.3)
        instance.gone = True
        drained = await run.end()
    assert run.lines == ["up"]
    assert drained.complete
    assert run.said == []


async def test_a_log_that_vanished_unread_is_said_and_never_shown_as_a_line() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start().gone = True
        server.end(exit_code=143, phase="Failed")
        await asyncio.sleep(1)
        drained = await run.end()
    assert run.lines == []
    assert not drained.complete
    assert run.said == [("warning", "The log of container main may be incomplete: the kubelet no longer has it")]


async def test_lines_that_were_rotated_away_are_said_at_their_place() -> None:
    server = LogServer(cut=lambda number: Cut(after=5), refuse=lambda: Unavailable("x") if 5 < now() < 20 else None)
    async with Run(server) as run:
        server.start()
        first = await written(server)  # until 5
        await asyncio.sleep(5)
        server.write("lost")
        await asyncio.sleep(1)
        server.rotate()
        later = await written(server, begin=100)
        await asyncio.sleep(20)
        server.finish()
        await asyncio.sleep(1)
        assert not (await run.end()).complete
    notice = "Lines may be missing here: while the log of this container could not be read, its node rotated it or"
    assert [line[: len(notice)] for line in run.lines] == [*first, notice, *later]
    (record,) = [one for one in run.sink.records if one.text.startswith(notice)]
    assert record.level == "warning"
    assert record.stamp_ms >= stamp_at(11) // 10**6


async def test_a_log_that_is_away_for_a_moment_is_read_when_it_is_back() -> None:
    """The kubelet says that it is gone, too, while containerd starts."""
    server = LogServer()
    async with Run(server) as run:
        instance = server.start()
        server.write("one")
        server.finish()
        instance.gone = True
        asyncio.get_running_loop().call_later(1.0, setattr, instance, "gone", False)
        await asyncio.sleep(0.2)
        assert (await run.end()).complete
    assert run.lines == ["one"]
    assert run.said == []


async def test_a_line_that_was_cut_once_and_then_read_whole_is_not_shown_again_when_the_log_is_gone() -> None:
    """A killed kubelet cuts within a line, and ends the answer cleanly (trace r)."""
    server = LogServer(cut=lambda number: Cut(after_bytes=62 + 31 + 5, clean=True) if number == 0 else None, end_lag=30)
    async with Run(server) as run:
        instance = server.start()
        server.write("A" * 30)
        server.write("hello world")
        await asyncio.sleep(5)
        server.write("later line")
        await asyncio.sleep(5)
        server.end()
        await asyncio.sleep(2)
        instance.gone = True
        server.finish("Failed")
        await run.end()
    assert run.lines == ["A" * 30, "hello world", "later line"]


async def test_but_the_last_one_is_shown_as_far_as_it_came() -> None:
    server = LogServer(end_lag=0.1)
    async with Run(server) as run:
        instance = server.start()
        server.write("one")
        server.write("no line feed", feed=False)
        await asyncio.sleep(1)
        server.end()
        await asyncio.sleep(0.15)
        instance.gone = True
        server.finish("Failed")
        await run.end()
    assert run.lines == ["one", "no line feed"]


async def test_two_clean_cuts_before_the_cursors_own_line_are_not_taken_for_rotation() -> None:
    cuts = {0: Cut(after=2, clean=True), 1: Cut(after_bytes=40, clean=True), 2: Cut(after_bytes=40, clean=True)}
    server = LogServer(cut=cuts.get)
    async with Run(server) as run:
        server.start()
        lines = await written(server, 3, 0.2)
        await asyncio.sleep(20)
        lines += await written(server, 1, 5, begin=3)
        server.finish()
        await asyncio.sleep(2)
        assert (await run.end()).complete
    assert run.lines == lines
    assert run.said == []


@pytest.mark.parametrize("size", [0, 40])
async def test_nor_are_two_of_an_ended_container(size: int) -> None:
    cuts = {0: Cut(after=2), 1: Cut(after_bytes=size, clean=True), 2: Cut(after_bytes=size, clean=True)}
    server = LogServer(cut=cuts.get)
    async with Run(server) as run:
        server.start()
        lines = await written(server, 3, 0.2)
        server.finish()
        await asyncio.sleep(2)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_lines_that_may_have_been_rotated_away_at_the_end_are_said_once() -> None:
    server = LogServer(cut=lambda number: Cut(after=5) if number == 0 else None)
    async with Run(server) as run:
        server.start()
        lines = await written(server, 9)
        server.rotate()
        server.finish()
        await asyncio.sleep(2)
        drained = await run.end()
    assert not drained.complete
    assert run.lines[:-1] == lines
    assert run.lines[-1].startswith("Lines may be missing here: while the log of this container could not be read")
    assert drained.waited < 10
