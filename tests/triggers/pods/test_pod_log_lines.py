"""Long and odd lines of a pod's log, as the task log shows them; and when the record of the last lines goes out."""

from __future__ import annotations

import asyncio
import dataclasses
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.errors import Unavailable
from asyncrun.model.pod_log_text import PodLogText
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.pods.lines import kept_bytes, line_of, text_of
from asyncrun.triggers.logs.text import shown, size_of
from tests.triggers.pods.followed_run import Run
from tests.triggers.pods.log_lines import Cut, now, spelled, stamp_at
from tests.triggers.pods.log_server import LogServer

LIMIT = 256


def as_shown(text: bytes, limit: int = LIMIT) -> str:
    (line,) = PodLogText(kept_bytes(limit)).feed(spelled(stamp_at(0)) + b" " + text + b"\n")
    return shown(text_of(line, limit), limit)


@given(st.binary(max_size=4 * LIMIT).map(lambda raw: raw.replace(b"\n", b"")))
def test_lines_of_up_to_four_times_the_limit_are_cut_like_any_other(text: bytes) -> None:
    assert as_shown(text) == shown(text.decode("utf-8", "replace"), LIMIT)


@given(
    st.sampled_from([b"x", "é".encode(), "😀".encode(), b"\0", b"::group::"]),
    st.integers(4 * LIMIT + 10, 20 * LIMIT),
)
def test_longer_ones_are_cut_within_the_limit_and_say_how_much_is_missing(unit: bytes, size: int) -> None:
    text = (unit * size)[:size]
    cut = as_shown(text)
    found = re.fullmatch(
        r"(.*) \.\.\. \[([\d,]+) more bytes of this line cut: \[asyncrun\] log_line_limit = 256\]", cut
    )
    assert found is not None
    assert size_of(cut) <= LIMIT
    assert "::group::" not in cut
    if unit in (b"x", "é".encode(), "😀".encode()) and size % len(unit) == 0:
        shown_bytes = len(found[1].encode())
        assert abs(shown_bytes + int(found[2].replace(",", "")) - size) <= 6  # a character cut in two becomes U+FFFD


def test_a_lines_level_and_time_are_its_own() -> None:
    (line,) = PodLogText(1000).feed(b"2026-11-21T01:14:01.023998222Z ERROR: no\n")
    assert line.stamp is not None
    made = line_of(line, line.stamp, "main", 1000)
    assert (made.time_ms, made.container, made.level, made.text) == (1_795_223_641_023, "main", "error", "ERROR: no")


@pytest.mark.looptime
async def test_a_slot_that_a_cut_divides_is_one_record() -> None:
    server = LogServer(
        cut=lambda number: Cut(after=2.001) if number == 0 else None,
        refuse=lambda: Unavailable("x") if 2 < now() < 8 else None,
    )
    async with Run(server) as run:
        server.start()
        server.write("before the cut", at=2.0, stamp=stamp_at(2.0))
        server.write("after it", at=2.02, stamp=stamp_at(2.02))
        await asyncio.sleep(7)
        assert run.lines == []  # it is not known yet what belongs to it
        await asyncio.sleep(20)
        assert [record.text for record in run.sink.records] == ["before the cut\nafter it"]


@pytest.mark.looptime
async def test_a_line_that_is_half_read_keeps_its_slot_open() -> None:
    pieces = [100, 200]
    server = LogServer(chunk_size=lambda: pieces.pop(0) if pieces else 10**6)
    async with Run(server) as run:
        server.start()
        await asyncio.sleep(1)
        server.write("first")
        server.write("x" * 500)
        await asyncio.sleep(5)
        assert [record.text for record in run.sink.records] == ["first\n" + "x" * 500]


@pytest.mark.looptime
async def test_lines_of_one_slot_are_one_record_when_read_in_turns() -> None:
    settings = dataclasses.replace(Settings(), pod_log_follows=1)
    holder, server = LogServer(), LogServer()
    async with Run(holder, settings=settings), Run(server, settings=settings) as run:
        holder.start()
        await asyncio.sleep(1)
        server.start()
        for number in range(200):
            await asyncio.sleep(0.0313)
            server.write(f"line {number}")
        await asyncio.sleep(20)
        records = run.sink.records
    slots = [record.stamp_ms // 50 for record in records]
    assert len(set(slots)) == len(slots)
    assert sum(record.lines for record in records) == 200
