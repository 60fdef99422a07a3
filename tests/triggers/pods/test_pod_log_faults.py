"""What goes wrong with pod logs: nothing is lost that can still be read, nothing fails, and what is missing is said."""

from __future__ import annotations

import asyncio
import dataclasses

import pytest

from asyncrun.clients.budget import TokenBucket
from asyncrun.model.errors import AccessDenied, CredentialsExpired, Expired, NotFound, RequestRefused, Unavailable
from asyncrun.model.settings import Settings
from tests.triggers.logs.fakes import MemorySink
from tests.triggers.pods.log_server import Cut, LogServer, Run, now, stamp_at

pytestmark = [pytest.mark.looptime]


async def written(server: LogServer, count: int = 10, pause: float = 0.5, begin: int = 0) -> list[str]:
    lines = [f"line {number}" for number in range(begin, begin + count)]
    for line in lines:
        server.write(line)
        await asyncio.sleep(pause)
    return lines


@pytest.mark.parametrize(
    "error",
    [
        Unavailable("500: dial tcp: connection refused"),
        Expired("410"),
        CredentialsExpired("401"),
        NotFound("the server could not find the requested resource", code="NotFound"),
        RequestRefused("container main is waiting to start", code="BadRequest"),
    ],
)
async def test_refusals_for_a_while_lose_nothing(error: Exception) -> None:
    server = LogServer(refuse=lambda: error if 3 < now() < 12 else None, cut=lambda number: Cut(after=4))
    async with Run(server) as run:
        server.start()
        lines = await written(server, 40)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_an_outage_is_said_once_with_its_reason() -> None:
    server = LogServer(
        refuse=lambda: Unavailable("connection refused") if now() > 1 else None, cut=lambda n: Cut(after=2)
    )
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(300)
    assert run.said == [("info", "The log of this pod cannot be read now; asyncrun goes on trying: connection refused")]
    assert 15 < len(server.opened) < 40


async def test_a_missing_permission_is_said_once_and_the_run_ends_without_a_log() -> None:
    server = LogServer("main", "proxy", refuse=lambda: AccessDenied('pods "etl" is forbidden', code="Forbidden"))
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(600)
        server.finish()
        began = now()
        drained = await run.end()
        assert now() - began < 1
    assert not drained.complete
    assert drained.unreadable == ("main", "proxy")
    assert run.said == [
        (
            "warning",
            "The log of this pod cannot be read, and the run goes on without it. Reading takes the permission to get "
            'pods/log in namespace jobs: pods "etl" is forbidden',
        )
    ]
    assert len(server.opened) < 30


async def test_a_permission_that_is_given_later_brings_the_log() -> None:
    server = LogServer(refuse=lambda: AccessDenied("forbidden") if now() < 100 else None)
    async with Run(server) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(200)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == ["one"]


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


async def test_a_restart_is_not_taken_for_rotation() -> None:
    """The kubelet answers with the new instance's log before the status tells of it."""
    server = LogServer(lag=1.5)
    async with Run(server) as run:
        server.start()
        lines = []
        for attempt in range(6):
            for number in range(5):
                lines.append(f"run {attempt} line {number}")
                server.write(lines[-1])
                await asyncio.sleep(0.4)
            server.end(exit_code=1)
            await asyncio.sleep(0.2)
            server.start()
        server.finish("Failed")
        await asyncio.sleep(2)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_a_restart_that_is_told_late_shows_no_line_twice() -> None:
    """A kubelet with many pods tells it seconds later. The first restart comes at once, the next ones after 10 s."""
    server = LogServer(lag=5, kubelet_lag=4.9)
    async with Run(server) as run:
        server.start()
        lines = []
        for attempt in range(4):
            for number in range(30):
                lines.append(f"run {attempt} line {number}")
                server.write(lines[-1])
                await asyncio.sleep(0.3)
            server.end(exit_code=1)
            await asyncio.sleep(10 if attempt else 0.1)
            server.start()
        server.finish("Failed")
        await asyncio.sleep(6)
        assert (await run.end()).complete
    assert run.lines == lines
    assert run.said == []


async def test_a_new_instances_log_under_the_old_ones_name_is_not_shown_twice() -> None:
    """The first instance wrote nothing; what was read for it is the second one's."""
    server = LogServer(lag=3)
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(0.5)
        server.end(exit_code=1)
        server.start()
        lines = await written(server, 30, 0.3)
        server.finish()
        await asyncio.sleep(4)
        assert (await run.end()).complete
    assert run.lines == lines


async def test_a_successor_reads_the_instance_before_too() -> None:
    server = LogServer()
    server.start()
    server.write("run 0")
    await asyncio.sleep(1)
    server.end(exit_code=1)
    server.start()
    server.write("run 1")
    async with Run(server) as run:
        await asyncio.sleep(5)
        server.finish()
        await asyncio.sleep(1)
        assert (await run.end()).complete
    assert run.lines == ["run 0", "run 1"]
    assert [one["previous"] for one in server.opened].count(True) >= 1


async def test_a_dead_connection_is_replaced() -> None:
    settings = dataclasses.replace(Settings(), pod_log_silence=20)
    server = LogServer()
    async with Run(server, settings=settings) as run:
        server.start()
        server.write("one")
        await asyncio.sleep(100)
        assert 4 <= len(server.opened) <= 6
        server.write("two")
        await asyncio.sleep(1)
        assert run.lines == ["one", "two"]
    assert run.said == []


async def test_an_error_in_place_of_a_log_is_said_and_is_no_line() -> None:
    server = LogServer()
    async with Run(server) as run:
        server.start().in_place = b"failed to try resolving symlinks in path /var/log/pods: no such file"
        server.finish()
        await asyncio.sleep(1)
        assert not (await run.end()).complete
    assert run.lines == []
    assert run.said == [
        (
            "warning",
            "The log of container main may be incomplete: in place of it came: failed to try resolving symlinks "
            "in path /var/log/pods: no such file",
        )
    ]


async def test_a_full_run_log_stops_the_reading_and_nothing_is_lost() -> None:
    settings = dataclasses.replace(Settings(), log_rate=10**6, log_size_limit=2**30)
    sink = MemorySink(cost=8192, speed=300_000)
    server = LogServer(chunk_size=lambda: 16384)
    async with Run(server, settings=settings, sink=sink) as run:
        server.start()
        for number in range(60_000):
            server.write(f"line {number:06} " + "x" * 90, stamp=stamp_at(now() + number / 10_000))
        server.finish()
        await asyncio.sleep(2)
        assert server.sent < 4_000_000  # of 8.4 MB
        highest = 0
        drain = asyncio.create_task(run.end())
        while not drain.done():
            highest = max(highest, run.run_log._queued)
            await asyncio.sleep(0.1)
        assert (await drain).complete
        assert now() > 20
    assert highest < (1 << 20) + 3 * 16384
    assert [line[:11] for line in run.lines] == [f"line {number:06}" for number in range(60_000)]


async def test_closing_ends_every_connection() -> None:
    server = LogServer("main", "proxy")
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        await asyncio.sleep(1)
        assert server.open_now == 2
        await run.close()
        assert server.open_now == 0
        server.write("too late")
        await asyncio.sleep(10)
    assert run.lines == []


async def test_a_container_that_runs_on_is_cut_at_the_limit_and_said() -> None:
    server = LogServer("main", "proxy")
    async with Run(server) as run:
        server.start("main")
        server.start("proxy")
        server.write("working", "main")
        for number in range(300):
            server.write("beat", "proxy", at=float(number))
        await asyncio.sleep(2)
        server.end("main")
        await asyncio.sleep(0.2)
        began = now()
        drained = await run.end()
        assert 59 < now() - began < 62
        assert server.open_now == 0
    assert not drained.complete
    assert run.said == [
        (
            "warning",
            "The log of container proxy may be incomplete here: it was still running 60 s after the end of the run. "
            "The full log, while the pod is there: kubectl logs -n jobs etl -c proxy --timestamps",
        )
    ]


async def test_an_api_server_that_does_not_answer_is_waited_for_at_the_end() -> None:
    server = LogServer(cut=lambda number: Cut(after=2))
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1.5)
        server.write("one")
        server.refuse = lambda: Unavailable("refused") if now() < 400 else None
        server.finish()
        await asyncio.sleep(2)
        drained = await run.end()
    assert drained.complete
    assert run.lines == ["one"]
    assert 400 < now() < 430


async def test_but_not_for_ever() -> None:
    server = LogServer(refuse=lambda: Unavailable("refused"))
    async with Run(server) as run:
        server.start()
        server.finish()
        await asyncio.sleep(2)
        drained = await run.end()
        assert 650 < drained.waited < 700
    assert not drained.complete
    assert (
        "warning",
        f"The log of container main may be incomplete here: for {drained.waited:.0f} s after the end the API server "
        "did not answer. The full log, while the pod is there: kubectl logs -n jobs etl -c main --timestamps",
    ) in run.said


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


async def test_waiting_for_our_own_call_budget_does_not_count_against_the_end() -> None:
    settings = dataclasses.replace(Settings(), logs_drain_limit=5)
    bucket, runs = TokenBucket(5, 5), list[Run]()
    for _ in range(60):
        server = LogServer("main", "proxy", budget=bucket)
        runs.append(Run(server, settings=settings))
        server.start("main")
        server.start("proxy")
        server.write("one", "main")
    await asyncio.sleep(40)
    for run in runs:
        run.server.write("last", "proxy")
        run.server.finish()
    await asyncio.sleep(1)
    drained = await asyncio.gather(*(run.end() for run in runs))
    assert all(one.complete for one in drained)
    assert max(one.waited for one in drained) > 20
    assert [run.said for run in runs] == [[]] * 60


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


async def test_a_quiet_container_whose_connections_are_cut_costs_no_other_requests() -> None:
    server = LogServer(cut=lambda number: Cut(after=5))
    async with Run(server):
        server.start()
        await asyncio.sleep(600)
    assert server.gets == 0
    assert len(server.opened) > 80


async def test_but_its_pod_is_looked_at_after_an_outage_in_which_nothing_was_told() -> None:
    """The log would be the next instance's."""
    server = LogServer(cut=lambda number: Cut(after=5), refuse=lambda: Unavailable("x") if 5 < now() < 20 else None)
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(6)
        server.lag = 50
        server.write("first")
        await asyncio.sleep(1)
        server.end(exit_code=1)
        server.start()
        await asyncio.sleep(1)
        server.write("second")
        await asyncio.sleep(40)
        assert run.lines == ["first", "second"]
    assert server.gets > 0
