"""Places in a log, and the text of a pod's log: each line once, however it comes."""

from __future__ import annotations

import base64
from datetime import datetime
from itertools import pairwise

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from asyncrun.model.log_cursor import SECOND, Fate, LogCursor, Resumption
from asyncrun.model.pod_log_text import PodLogText, TextLine
from tests.support.traces import names, trace

START = 1_790_000_000 * SECOND


def cut_up(data: bytes, places: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(place % (len(data) + 1) for place in places)})
    return [data[begin:end] for begin, end in pairwise(edges)]


def lines_of(chunks: list[bytes], keep: int = 1 << 20) -> list[TextLine]:
    text = PodLogText(keep)
    lines = [line for chunk in chunks for line in text.feed(chunk)]
    rest = text.rest()
    return lines if rest is None else [*lines, rest]


# Text.


def test_a_line_has_a_stamp_in_nanoseconds_and_its_bytes() -> None:
    (line,) = lines_of([b"2026-11-21T01:14:01.023498222Z hello\n"])
    assert line == TextLine(1_795_223_641_023_498_222, b"hello", 5)


@pytest.mark.parametrize(
    ("stamp", "ns"),
    [
        (b"2026-11-21T02:14:01.023498222+01:00", 1_795_223_641_023_498_222),
        (b"2026-11-21T01:14:01.5Z", 1_795_223_641_500_000_000),
        (b"2026-11-21T01:14:01Z", 1_795_223_641_000_000_000),
    ],
)
def test_other_runtimes_stamps_are_read(stamp: bytes, ns: int) -> None:
    assert lines_of([stamp + b" x\n"]) == [TextLine(ns, b"x", 1)]


def test_a_node_in_another_time_zone_changes_nothing_of_the_lines_after_it() -> None:
    first, second = lines_of([b"2026-11-21T01:14:01.000000000Z a\n2026-11-21T01:14:01.000000000+01:00 b\n"])
    assert first.stamp is not None
    assert second.stamp == first.stamp - 3600 * SECOND


def test_an_empty_line_is_a_line() -> None:
    assert [
        line.head for line in lines_of([b"2026-11-21T01:14:01.023498222Z \n2026-11-21T01:14:01.023498223Z a\n"])
    ] == [
        b"",
        b"a",
    ]


def test_the_end_of_a_log_that_is_gone_is_no_line_of_the_container() -> None:
    (line,) = lines_of([b"unable to retrieve container logs for ", b"containerd://f82ef07132b3"])
    assert line.is_gone
    (said,) = lines_of([b"2026-11-21T01:14:01.023498222Z unable to retrieve container logs for containerd://f8\n"])
    assert not said.is_gone  # a container may write that, too


@pytest.mark.parametrize("text", [b"2026-02-31T01:14:01.023498222Z x\n", b"hello\n", b"2026-11-21 x\n"])
def test_what_has_no_stamp_says_so(text: bytes) -> None:
    (line,) = lines_of([text])
    assert line == TextLine(None, text[:-1], len(text) - 1)


def test_a_line_that_is_cut_within_its_stamp_is_recognized() -> None:
    whole = b"2026-11-21T01:14:01.023498222Z"
    for size in range(1, len(whole)):
        (line,) = lines_of([whole[:size]])
        assert line.may_be_cut_stamp or line.stamp is not None
    assert not lines_of([b"hello"])[0].may_be_cut_stamp


def test_a_long_line_takes_bounded_memory_and_is_counted() -> None:
    text = PodLogText(1000)
    list(text.feed(b"2026-11-21T01:14:01.023498222Z "))
    for _ in range(1000):
        assert list(text.feed(b"x" * 10_000)) == []
    assert len(text._open) < 1100
    (line,) = text.feed(b"\n")
    assert line.size == 10_000_000
    assert 1000 <= len(line.head) < 1010


BODIES = st.lists(
    st.one_of(
        st.binary(max_size=200).map(lambda raw: raw.replace(b"\n", b"")),
        st.just(b"x" * 500),
        st.just("é€😀".encode()),
        st.just(b"nul \0 here \xff\xfe"),
    ),
    max_size=12,
)


@settings(max_examples=300)
@given(BODIES, st.lists(st.integers(0, 10**6), max_size=30), st.booleans())
def test_lines_do_not_depend_on_chunks(bodies: list[bytes], places: list[int], ends: bool) -> None:
    data = b"\n".join(b"2026-11-21T01:14:01.%09dZ " % number + body for number, body in enumerate(bodies))
    data += b"\n" if ends and data else b""
    for keep in (1 << 20, 60):
        assert lines_of(cut_up(data, places), keep) == lines_of([data], keep)
    assert [line.head for line in lines_of([data])] == bodies
    assert [line.size for line in lines_of([data], 60)] == [len(body) for body in bodies]


# The cursor.


def test_a_cursor_asks_for_whole_seconds_with_room_for_stamps_that_are_not_sorted() -> None:
    assert LogCursor().since == ""
    assert LogCursor(stamp=1_795_223_641_023_498_222, seen=1).since == "2026-11-21T01:14:01Z"
    assert LogCursor(stamp=1_795_223_641_003_498_222, seen=1).since == "2026-11-21T01:14:00Z"


def test_what_was_seen_is_skipped_and_what_follows_is_new() -> None:
    place = Resumption(LogCursor(first=1, stamp=7, seen=2))
    assert [place.take(stamp) for stamp in (5, 6, 7, 7, 7, 8)] == [Fate.SEEN] * 4 + [Fate.NEW] * 2
    assert place.cursor == LogCursor(first=1, stamp=8, seen=1)


def test_a_cursors_own_line_that_does_not_come_again_is_a_gap() -> None:
    place = Resumption(LogCursor(first=1, stamp=7, seen=1))
    assert [place.take(6), place.take(9), place.take(10)] == [Fate.SEEN, Fate.GAP, Fate.GAP]
    assert not place.found
    place.accept_gap()
    assert [place.take(9), place.take(9)] == [Fate.NEW, Fate.NEW]
    assert place.cursor == LogCursor(first=1, stamp=9, seen=2)


def test_lines_that_were_taken_for_the_instance_before_are_not_shown_twice() -> None:
    """The first connection was meant for the instance before, and was answered with this one's log."""
    before = LogCursor(first=5, stamp=7, seen=1)
    place = Resumption(LogCursor(), before)
    assert [place.take(stamp) for stamp in (5, 6, 7, 8)] == [Fate.SEEN] * 3 + [Fate.NEW]
    place = Resumption(LogCursor(), before)
    assert [place.take(stamp) for stamp in (6, 7)] == [Fate.NEW] * 2  # really another one


@settings(max_examples=500)
@given(
    st.lists(
        st.tuples(st.sampled_from([0, 0, 1, 500, 10**6, 3 * 10**8, 10**9]), st.sampled_from([0, 0, 0, 5 * 10**6]))
    ),
    st.lists(st.integers(0, 40), max_size=8),
)
@example([(0, 0), (10**9, 0), (0, 5 * 10**6)], [2])
def test_each_line_is_new_once_wherever_connections_end(steps: list[tuple[int, int]], ends: list[int]) -> None:
    """The server leaves out lines of before the second that it is asked for, one by one; stamps may repeat."""
    stamps, at = [], START
    for step, back in steps:
        at += step
        stamps.append(at - back)
    cursor, taken = LogCursor(), []
    for end in [*ends, 10**6]:
        since = int(datetime.fromisoformat(cursor.since).timestamp()) * SECOND if cursor.since else 0
        place = Resumption(cursor)
        for number, stamp in [(n, s) for n, s in enumerate(stamps) if s >= since][:end]:
            fate = place.take(stamp)
            assert fate is not Fate.GAP
            if fate is Fate.NEW:
                taken.append(number)
                cursor = place.cursor
    assert taken == list(range(len(stamps)))


# What a real cluster sent.


@pytest.mark.parametrize("name", names())
def test_recorded_logs_are_read_whole_whatever_their_chunks(name: str) -> None:
    streams: dict[str, list[bytes]] = {}
    for one in trace(name):
        if one["kind"] == "log-open" and "timestamps=true" in one["path"] and one["status"] == 200:
            streams[one["id"]] = []
        elif one["kind"] == "log-chunk" and one["id"] in streams and ("text" in one or "b64" in one):
            chunk = base64.b64decode(one["b64"]) if "b64" in one else one["text"].encode()
            streams[one["id"]].append(chunk)
    for chunks in streams.values():
        data = b"".join(chunks)
        lines = lines_of(chunks)
        assert lines == lines_of([data])
        if any(line.is_gone for line in lines):
            assert len(lines) == 1
            continue
        place = Resumption(LogCursor())
        assert all(line.stamp is not None and place.take(line.stamp) is Fate.NEW for line in lines)
        assert sum(31 + line.size for line in lines) + data.count(b"\n") == len(data)
