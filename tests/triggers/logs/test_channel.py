"""The private log channel: Airflow's own reader takes our records, whole, and the loop never waits for it."""

from __future__ import annotations

import asyncio
import json
import os
import re
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import structlog
from airflow.sdk._shared.logging.structlog import LoggerFactory, NamedBytesLogger

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.channel import open_sink
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.records import Record, compact
from tests.triggers.logs import airflow_pair


def both_ends(mode: str, tmp_path: Path) -> str:
    env = {**os.environ, "AIRFLOW_HOME": str(tmp_path), "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(tmp_path)}
    env.pop("PYTEST_VERSION", None)
    answer = subprocess.run(
        [sys.executable, "-W", "ignore", airflow_pair.__file__, mode, str(tmp_path / "task.log")],
        env=env, capture_output=True, text=True, timeout=100, check=False,
    )  # fmt: skip
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def test_airflows_triggerer_takes_compact_records_and_routes_them_by_trigger(tmp_path: Path) -> None:
    *records, end = map(json.loads, both_ends("triggerer", tmp_path).splitlines())
    assert end["event"] == "end of _ChannelSink"
    assert records[0] == {
        "timestamp": "2020-01-02T03:04:05.067Z", "level": "info", "event": "[main] first\nsecond", "logger": "main",
    }  # fmt: skip
    assert [(r["level"], r["event"]) for r in records[1:5]] == [
        ("error", "[side-car] 100% %s {x} ✓"),
        ("info", "[main] details"),  # Airflow drops DEBUG at its default level; a container's output is not dropped
        ("critical", ""),
        ("warning", "[main] token eyJ***"),
    ]
    assert records[5]["event"] == "x" * 100_000
    assert len(records) == 6


def test_a_workers_log_keeps_the_time_of_the_source(tmp_path: Path) -> None:
    *records, end = map(json.loads, both_ends("worker", tmp_path).splitlines())
    assert end["event"] == "end of _PlainSink"
    assert [(r["timestamp"], r["level"], r["logger"]) for r in records[:3]] == [
        ("2020-01-02T03:04:05.067000Z", "info", "main"),
        ("2020-01-02T03:04:05.068000Z", "error", "side-car"),
        ("2020-01-02T03:04:05.070000Z", "info", "main"),
    ]
    assert [r["event"] for r in records[:3]] == [record.text for record in airflow_pair.RECORDS[:3]]
    assert len(records) == 6


def test_a_console_shows_the_lines_with_the_time_of_the_source(tmp_path: Path) -> None:
    shown = re.sub(r"\x1b\[[0-9;]*m", "", both_ends("console", tmp_path))
    assert "2020-01-02T03:04:05.068Z [error" in shown
    assert "[side-car] 100% %s {x} ✓" in shown
    assert "[main] details" in shown


@pytest.fixture
def ends() -> Iterator[tuple[Any, socket.socket]]:
    """Our end as structlog's file, as Airflow sets it up in the triggerer; and the supervisor's end."""
    saved = structlog.get_config()
    theirs, ours = socket.socketpair()
    file = os.fdopen(ours.detach(), "wb", buffering=0)
    structlog.configure(logger_factory=LoggerFactory(NamedBytesLogger, io=file))
    yield file, theirs
    structlog.configure(**saved)
    file.close()
    theirs.close()


class SlowReader(threading.Thread):
    """Reads like the supervisor: some KiB at a time, with pauses."""

    def __init__(self, end: socket.socket, pause: float) -> None:
        super().__init__(daemon=True)
        self.end, self.pause, self.data = end, pause, bytearray()
        self.start()

    def run(self) -> None:
        while part := self.end.recv(4096):
            self.data += part
            time.sleep(self.pause)

    def records(self) -> list[dict[str, Any]]:
        self.join(20)
        return [json.loads(line) for line in self.data.decode().splitlines()]


def big(count: int, size: int) -> list[Record]:
    return [Record(1_000_000 + i, "info", "main", f"{i} " + "x" * size, 1) for i in range(count)]


async def test_a_record_is_never_torn_where_the_socket_takes_less(ends: tuple[Any, socket.socket]) -> None:
    file, theirs = ends
    os.set_blocking(file.fileno(), False)
    sink = open_sink(7)
    reader = SlowReader(theirs, 0.0005)
    ticks = 0

    async def tick() -> None:
        nonlocal ticks
        while True:
            await asyncio.sleep(0.005)
            ticks += 1

    ticker = asyncio.create_task(tick())
    await sink.emit(big(20, 60_000))  # several times the socket's buffer
    ticker.cancel()
    file.close()
    assert [r["event"].split()[0] for r in reader.records()] == [str(i) for i in range(20)]
    assert ticks > 5  # the loop went on meanwhile


async def test_a_record_larger_than_the_socket_is_written_in_a_thread(ends: tuple[Any, socket.socket]) -> None:
    file, theirs = ends
    sink = open_sink(7)
    reader = SlowReader(theirs, 0.001)
    writing = asyncio.create_task(sink.emit(big(1, 1_000_000)))
    await asyncio.sleep(0.05)
    assert not writing.done()  # and we are here: the loop is free
    await writing
    file.close()
    (record,) = reader.records()
    assert len(record["event"]) == 1_000_002


async def test_fill_level_tells_what_the_supervisor_has_not_read(ends: tuple[Any, socket.socket]) -> None:
    _, theirs = ends
    sink = open_sink(7)
    assert sink.fill() == 0
    await sink.emit(big(10, 400))
    fill = sink.fill()
    assert fill is not None
    assert fill >= 10 * 400
    theirs.recv(1 << 20)
    assert sink.fill() == 0


async def test_emitter_holds_back_at_the_backlog_and_finishes_only_when_it_is_read(
    ends: tuple[Any, socket.socket],
) -> None:
    file, theirs = ends
    settings = Settings()
    sink = open_sink(7)
    run_log = emitter().open(sink, ["main"], settings)
    run_log.add([LogLine(1_000_000 + 50 * i, "main", "info", f"{i} " + "x" * 400) for i in range(400)])
    assert not await run_log.finish(0.3)  # nobody reads
    waiting = sink.fill()
    assert waiting is not None
    assert settings.log_backlog < waiting <= settings.log_backlog + 2048
    reader = SlowReader(theirs, 0.001)
    assert await run_log.finish(20)
    assert sink.fill() == 0
    run_log.close()
    file.close()
    assert [r["event"].split()[0] for r in reader.records()] == [str(i) for i in range(400)]
    statistics = emitter().statistics()
    assert (statistics.records, statistics.lines, statistics.queued_bytes) == (400, 400, 0)
    assert statistics.waited >= statistics.longest_wait > 0.2


async def test_a_short_log_is_not_done_before_it_is_read_though_it_is_far_below_the_backlog(
    ends: tuple[Any, socket.socket],
) -> None:
    """A trigger that ends within a second may be over before a busy supervisor has read its first line."""
    file, theirs = ends
    sink = open_sink(7)
    run_log = emitter().open(sink, ["main"], Settings())
    run_log.add([LogLine(1_000_000, "main", "info", "hello")])
    assert not await run_log.finish(0.2)  # nobody reads
    assert not sink.has_passed()
    await open_sink(8).emit(big(10, 400))  # what others write after it is nothing to it
    assert not sink.has_passed()
    theirs.recv(20)  # a part of it
    assert not sink.has_passed()
    reader = SlowReader(theirs, 0.0)
    assert await run_log.finish(5)
    assert sink.has_passed()
    run_log.close()
    file.close()
    reader.join(20)


async def test_a_log_is_done_although_others_go_on_writing(ends: tuple[Any, socket.socket]) -> None:
    """The socket never gets empty, since other providers' triggers write what we do not count."""
    file, theirs = ends
    foreign = b"x" * 300 + b"\n"
    for _ in range(4):
        file.write(foreign)
    sink = open_sink(7)
    await sink.emit(big(1, 400))
    passed, unread = [], [301] * 4 + [len(compact(big(1, 400)[0], 7)) + 1]
    for _ in range(12):
        unread.append(file.write(foreign))
        passed.append(sink.has_passed())
        assert theirs.recv(unread[0]) is not None
        del unread[0]
        passed.append(sink.has_passed())
    assert passed[:8] == [False] * 8  # ours is the fifth to be read
    assert passed[-1]
    assert sink.fill()
    file.close()


async def test_a_pipe_or_file_is_not_taken_for_the_channel(tmp_path: Path) -> None:
    saved = structlog.get_config()
    with (tmp_path / "out").open("wb", buffering=0) as file:
        structlog.configure(logger_factory=LoggerFactory(NamedBytesLogger, io=file))
        try:
            assert type(open_sink(7)).__name__ == "_PlainSink"
            assert open_sink(7).fill() is None
        finally:
            structlog.configure(**saved)


async def test_plain_records_carry_the_trigger_they_belong_to() -> None:
    with structlog.testing.capture_logs() as records:
        await open_sink(7).emit([Record(1_577_934_245_067, "warning", "main", "text", 1)])
    assert records == [
        {"event": "text", "log_level": "warning", "timestamp": "2020-01-02T03:04:05.067Z", "trigger_id": 7}
    ]


async def test_a_supervisor_that_is_gone_fails_nobody(
    ends: tuple[Any, socket.socket], caplog: pytest.LogCaptureFixture
) -> None:
    _, theirs = ends
    theirs.close()
    run_log = emitter().open(open_sink(7), ["main"], Settings())
    run_log.add([LogLine(1_000_000, "main", "info", "x")])
    await run_log.finish(0.5)
    run_log.close()
    assert emitter().statistics().failed == 1
    assert "Container output could not be written" in caplog.text
    await asyncio.sleep(1.1)
