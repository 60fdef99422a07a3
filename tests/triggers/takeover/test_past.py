"""What earlier files hold: recognized, and nothing else is."""

from __future__ import annotations

import re
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.takeover.files import Written, records_of
from asyncrun.triggers.logs.takeover.past import Crowded, Memory, Past, could_be
from tests.triggers.takeover.records import file_of, record

RECORDS = st.lists(
    st.builds(
        record,
        st.integers(0, 40),
        st.sampled_from(["x", "y", "", "a\nb", "***", "é"]),
        st.sampled_from(["main", "side"]),
        st.sampled_from(["info", "error"]),
    ),
    max_size=40,
)


def ascending(records: Sequence[Record]) -> list[Record]:
    """As a run writes them: the stamps of a container grow."""
    last: dict[str, int] = {}
    out = []
    for one in records:
        if one.stamp_ms > last.get(one.logger, -1):
            last[one.logger] = one.stamp_ms
            out.append(one)
    return out


def read(tmp_path: Path, records: Sequence[Record]) -> Iterator[tuple[int, Written]]:
    path = tmp_path / "file"
    path.write_bytes(file_of(records))
    return records_of(path, threading.Event())


@settings(deadline=None)
@given(files=st.lists(RECORDS.map(ascending), max_size=4), asked=RECORDS)
def test_exactly_the_records_of_the_files_are_held(
    tmp_path_factory: pytest.TempPathFactory, files: list[list[Record]], asked: list[Record]
) -> None:
    past = Past(Memory(1 << 20))
    for records in files:
        past.learn(read(tmp_path_factory.getbasetemp(), records))
    known = {(one.stamp_ms, one.logger, one.text) for records in files for one in records}
    for one in [*asked, *(one for records in files for one in records)]:
        assert past.holds(one) == ((one.stamp_ms, one.logger, one.text) in known)
    assert past.count == sum(map(len, files))


def test_a_level_that_airflow_does_not_show_went_out_as_another(tmp_path: Path) -> None:
    past = Past(Memory(1 << 20))
    past.learn(read(tmp_path, [record(0, "details", level="info")]))
    assert past.holds(record(0, "details", level="debug"))


def test_what_stands_behind_its_place_is_not_ours_and_hides_nothing(tmp_path: Path) -> None:
    past = Past(Memory(1 << 20))
    past.learn(read(tmp_path, [record(stamp, "x") for stamp in (5, 9, 1, 2, 3, 3, 12)]))
    assert [stamp for stamp in range(15) if past.holds(record(stamp, "x"))] == [5, 9, 12]


class TestMasked:
    """Airflow put asterisks in the place of secrets."""

    @pytest.mark.parametrize(
        ("masked", "text"),
        [
            ("password=***", "password=hunter2"),
            ("password=*** and again ***", "password=hunter2 and again hunter2"),
            ("one\nthe token is ***\nthree", "one\nthe token is eyJhbGciOi.abc.def\nthree"),
            ("[main] password=***", "[main] password=hunter2"),
            ("*** is the password", "hunter2 is the password"),
            ("a line with *** of its own", "a line with *** of its own"),
        ],
    )
    def test_what_is_left_of_a_text_is_recognized(self, tmp_path: Path, masked: str, text: str) -> None:
        past = Past(Memory(1 << 20))
        past.learn(read(tmp_path, [record(0, masked)]))
        assert past.holds(record(0, text))
        assert not past.holds(record(1, text))
        assert not past.holds(record(0, text, logger="side"))

    @pytest.mark.parametrize(
        ("masked", "text"),
        [
            ("password=***", "password: hunter2"),
            ("password=***", "password=hunter2\nanother line"),
            ("password=***\n***", "password=hunter2\nanother line"),
            ("***", "anything"),
            ("[main] ***", "[main] anything"),
            ("pw ***", "pw anything"),
            ("the same *** twice the same", "the same"),
            ("beginning *** middle *** end", "beginning x end"),
            ("no mask here", "no mask there"),
            ("one\ntwo is *** here", "ONE\ntwo is x here"),
            ("password***password", "password"),
            ("abcdefgh***efgh***efgh***ijkl", "abcdefghXefghYijkl"),
        ],
    )
    def test_what_may_be_another_text_is_not(self, tmp_path: Path, masked: str, text: str) -> None:
        past = Past(Memory(1 << 20))
        past.learn(read(tmp_path, [record(0, masked)]))
        assert not past.holds(record(0, text))

    def test_the_name_of_a_container_is_nothing_of_its_text(self, tmp_path: Path) -> None:
        past = Past(Memory(1 << 20))
        past.learn(read(tmp_path, [record(0, "[batch-main] ***", "batch-main")]))
        assert not past.holds(record(0, "[batch-main] anything", "batch-main"))

    @settings(deadline=None)
    @given(
        pieces=st.lists(st.text("ab* \n", max_size=12), min_size=2, max_size=5),
        secret=st.text("abc*", min_size=5, max_size=9),
    )
    def test_airflows_own_masking_is_recognized_or_the_text_is_short(self, pieces: list[str], secret: str) -> None:
        text = ("s3cret" + secret).join(pieces)
        masked = text.replace("s3cret" + secret, "***")
        short = any(
            "***" in one and sum(len(part.strip()) for part in re.split("\\*{3,}", one)) < 8 and one != other
            for one, other in zip(masked.split("\n"), text.split("\n"), strict=True)
        )
        assert could_be(masked, record(0, text)) or short


class TestMemory:
    def test_a_record_costs_16_bytes_whatever_its_length(self, tmp_path: Path) -> None:
        memory = Memory(2_000 * 16 + 8_192)
        past = Past(memory)
        past.learn(read(tmp_path, [record(i, "x" * 1000) for i in range(2_000)]))
        assert past.count == 2_000
        assert not memory.take(8_192)
        past.close()
        past.close()
        assert memory.take(2_000 * 16 + 8_192)

    def test_what_does_not_fit_leaves_nothing_behind(self, tmp_path: Path) -> None:
        memory = Memory(16_384)
        past = Past(memory)
        with pytest.raises(Crowded):
            past.learn(read(tmp_path, [record(i, "x") for i in range(2_000)]))
        past.close()
        assert memory.take(16_384)

    def test_masked_texts_count(self, tmp_path: Path) -> None:
        past = Past(Memory(16_384))
        with pytest.raises(Crowded):
            past.learn(read(tmp_path, [record(i, "***" + "x" * 1000) for i in range(20)]))

    def test_what_is_passed_is_forgotten(self, tmp_path: Path) -> None:
        memory = Memory(1 << 20)
        past = Past(memory)
        past.learn(read(tmp_path, [record(i, "x", "ab"[i % 2]) for i in range(100)]))
        past.forget("a", record(98, "").stamp_ms)
        assert not past.holds(record(98, "x", "a"))
        assert past.holds(record(99, "x", "b"))
        past.forget("b", record(98, "").stamp_ms)
        assert past.holds(record(99, "x", "b"))
        past.forget("b", record(99, "").stamp_ms)
        assert memory.take(1 << 20)

    def test_a_thread_that_nobody_waits_for_any_more_keeps_nothing(self, tmp_path: Path) -> None:
        memory = Memory(1 << 20)
        past = Past(memory)
        past.close()
        past.learn(read(tmp_path, [record(0, "x")]))
        assert not past.holds(record(0, "x"))
        assert memory.take(1 << 20)

    def test_half_a_file_is_not_learned(self, tmp_path: Path) -> None:
        path = tmp_path / "file"
        path.write_bytes(file_of([record(0, "x")]) + "é".encode()[:1])
        past = Past(Memory(1 << 20))
        with pytest.raises(UnicodeDecodeError):
            past.learn(records_of(path, threading.Event()))
        assert not past.holds(record(0, "x"))
        assert past.count == 0
