"""The log file of a container: lines, pieces, stamps, parts."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from asyncrun.local.kube.node.host.crilog import PIECE, CriLog, tail
from asyncrun.local.kube.node.logs import InstanceLog

SECOND = 1_000_000_000
STAMP = rb"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{9}Z "


class Written:
    """A log that is written."""

    def __init__(self, path: Path, limit: int = 1 << 30) -> None:
        self.path = path
        self.path.unlink(missing_ok=True)
        self.log = CriLog(str(path), limit)
        self.now = 1_700_000_000 * SECOND

    def feed(self, data: bytes, stream: int = 1) -> None:
        self.now += 1
        self.log.feed(stream, data, self.now)

    def text(self) -> bytes:
        self.log.flush()
        return self.path.read_bytes()


@pytest.fixture
def log(tmp_path: Path) -> Written:
    return Written(tmp_path / "log")


def plain(data: bytes) -> bytes:
    return re.sub(rb"(?m)^" + STAMP, b"", data)


def test_a_partial_line_appears_only_when_it_is_completed_and_is_stamped_then(log: Written) -> None:
    log.feed(b"a")
    assert log.text() == b""
    log.now = 1_700_000_005 * SECOND - 1
    log.feed(b"b\nc")
    assert log.text() == b"2023-11-14T22:13:25.000000000Z ab\n"
    log.log.end(1, log.now + SECOND)
    assert log.text().endswith(b"\n2023-11-14T22:13:26.000000000Z c")


def test_a_long_line_is_one_line_with_one_stamp(log: Written) -> None:
    line = b"x" * (6 * PIECE + 5)
    for at in range(0, len(line), 5000):
        log.feed(line[at : at + 5000])
    assert len(log.text()) > 5 * PIECE  # who follows it sees it grow
    log.feed(b"\n")
    assert plain(log.text()) == line + b"\n"
    assert len(re.findall(STAMP, log.text())) == 1


def test_the_other_stream_goes_on_in_a_line_that_is_not_completed(log: Written) -> None:
    """As the kubelet has it: what follows a piece has no stamp."""
    log.feed(b"x" * (PIECE + 1), stream=1)
    log.feed(b"err\n", stream=2)
    assert plain(log.text()) == b"x" * PIECE + b"err\n"


def test_bytes_pass_through_and_the_carriage_return_before_a_newline_does_not(log: Written) -> None:
    log.feed(b"\xff\x00\r\n\r\ra\r")
    log.feed(b"\n")
    assert plain(log.text()) == b"\xff\x00\n\r\ra\n"


def test_stamps_never_go_back_or_repeat_even_if_the_clock_does(log: Written) -> None:
    for number in range(5):
        log.log.feed(1, b"a\nb\n", 1_700_000_000 * SECOND - number * SECOND)
    stamps = re.findall(STAMP, log.text())
    assert stamps == sorted(set(stamps))
    assert len(stamps) == 10


@settings(max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.binary(max_size=200), cuts=st.lists(st.integers(0, 200), max_size=8))
def test_the_text_does_not_depend_on_how_it_was_read(tmp_path: Path, data: bytes, cuts: list[int]) -> None:
    log, at = Written(tmp_path / "log"), 0
    for cut in [*sorted(cuts), len(data)]:
        log.feed(data[at:cut])
        at = max(at, cut)
    log.log.end(1, log.now)
    lines = [line[:-1] if line.endswith(b"\r") else line for line in data.split(b"\n")[:-1]]
    rest = data.rpartition(b"\n")[2]
    pieces = re.split(STAMP, log.text())
    assert pieces == [b"", *(line + b"\n" for line in lines), *([rest] if rest else [])]
    log.log.close()


def test_a_new_part_begins_at_a_line(tmp_path: Path) -> None:
    log = Written(tmp_path / "log", limit=100)
    for number in range(9):
        log.feed(b"line %d\n" % number)
    text = log.text()
    assert log.log.size == len(text)
    # A line has 38 bytes: the third one reaches the limit, and so does every third after it.
    assert log.log.start == 6 * 38
    assert plain(text[log.log.start :]) == b"line 6\nline 7\nline 8\n"


def test_the_tail_is_the_last_lines_without_stamps_cut_at_the_front(log: Written) -> None:
    for number in range(200):
        log.feed(b"line %d\n" % number)
    log.text()
    assert tail(str(log.path), 3, 2048) == b"line 197\nline 198\nline 199\n"
    assert tail(str(log.path), 3, 11) == b"8\nline 199\n"
    assert len(tail(str(log.path), 80, 100)) == 100


async def test_a_reader_sees_its_part_and_follows_over_the_next(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = InstanceLog("containerd://1", path)
    _write(path, b"0123456789")
    log.grew(10, 0)
    early = log.open()
    log.grew(10, 6)
    late = log.open()
    assert (early.read(0, 100), early.size()) == (b"0123456789", 10)
    assert (late.read(0, 100), late.size()) == (b"6789", 4)
    waiting = [asyncio.ensure_future(early.grown(10)), asyncio.ensure_future(late.grown(4))]
    await asyncio.sleep(0)
    assert not any(one.done() for one in waiting)
    _write(path, b"0123456789ab")
    assert early.read(10, 5) == b""  # what the writer has not told of is not shown
    log.grew(12, 6)
    assert await asyncio.gather(*waiting) == [True, True]
    assert late.read(4, 100) == b"ab"
    log.end()
    assert not await late.grown(6)
    assert await late.grown(5)


async def test_a_reader_reads_on_when_the_log_was_thrown_away(tmp_path: Path) -> None:
    path = tmp_path / "log"
    log = InstanceLog("containerd://1", path)
    _write(path, b"text")
    log.grew(4, 0)
    view = log.open()
    log.drop()
    path.unlink()
    assert view.read(0, 9) == b"text"


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)
