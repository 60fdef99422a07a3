"""Lines to records: pure, complete, in order, one millisecond each; and what the limits leave out."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.records import JOINED_BYTES, JOINED_LINES, Record, RecordBuilder, compact

SETTINGS = Settings()
LEVELS = st.sampled_from(["info", "info", "error", "debug"])


@st.composite
def logs(draw: st.DrawFn) -> dict[str, list[LogLine]]:
    """For each container its lines in its own order: mostly forward in time, sometimes late, often equal."""
    out: dict[str, list[LogLine]] = {}
    for name in draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])):
        time, batch, lines = 1_000_000, 1_000_000, []
        texts, later = st.sampled_from(["x", "y", "z" * 3000]), st.sampled_from([0, 0, 0, 5000])
        for step, level, text, wait in draw(
            st.lists(st.tuples(st.integers(-120, 200), LEVELS, texts, later), max_size=60)
        ):
            time, batch = time + step, batch + wait
            lines.append(LogLine(time, name, level, text, batch))
        out[name] = lines
    return out


def build(log: dict[str, list[LogLine]], order: Sequence[str], chunk: int) -> list[Record]:
    """Read the containers' lines in the given order, ``chunk`` at a time."""
    builder = RecordBuilder(list(log), SETTINGS)
    left = {name: list(lines) for name, lines in log.items()}
    arrival = [left[name].pop(0) for name in order]
    records = []
    for first in range(0, len(arrival), chunk):
        records += builder.add(arrival[first : first + chunk])
    return records + builder.flush()


@given(log=logs(), data=st.data())
def test_records_depend_on_the_lines_and_not_on_their_arrival(
    log: dict[str, list[LogLine]], data: st.DataObject
) -> None:
    names = [name for name, lines in log.items() for _ in lines]
    one = build(log, data.draw(st.permutations(names)), data.draw(st.integers(1, 7)))
    other = build(log, names, 1)
    assert sorted(one, key=lambda r: r.stamp_ms) == sorted(other, key=lambda r: r.stamp_ms)


@given(log=logs(), data=st.data())
def test_that_a_batch_was_read_to_its_end_changes_no_record(log: dict[str, list[LogLine]], data: st.DataObject) -> None:
    """The reader may say so after any batch, or leave it."""
    forward = {name: sorted(lines, key=lambda line: line.batch) for name, lines in log.items()}
    builder = RecordBuilder(list(log), SETTINGS)
    records = []
    for name, lines in forward.items():
        for i, line in enumerate(lines):
            records += builder.add([line])
            if (i + 1 == len(lines) or lines[i + 1].batch != line.batch) and data.draw(st.booleans()):
                records += builder.settle(name)
    records += builder.flush()
    plain = build(forward, [name for name, lines in forward.items() for _ in lines], 1000)
    assert sorted(records, key=lambda r: r.stamp_ms) == sorted(plain, key=lambda r: r.stamp_ms)


@given(log=logs(), data=st.data())
def test_every_line_shows_once_in_its_containers_order(log: dict[str, list[LogLine]], data: st.DataObject) -> None:
    order = data.draw(st.permutations([name for name, lines in log.items() for _ in lines]))
    records = sorted(build(log, order, 3), key=lambda r: r.stamp_ms)
    for name, lines in log.items():
        prefix = f"[{name}] " if len(log) > 1 else ""
        mine = [record for record in records if record.logger == name]
        assert all(record.text.startswith(prefix) for record in mine)
        shown = [(r.level, text) for r in mine for text in r.text.removeprefix(prefix).split("\n")]
        assert shown == [(line.level, line.text) for line in lines]


@given(log=logs(), data=st.data())
def test_every_record_has_a_millisecond_of_its_own(log: dict[str, list[LogLine]], data: st.DataObject) -> None:
    order = data.draw(st.permutations([name for name, lines in log.items() for _ in lines]))
    stamps = Counter(record.stamp_ms for record in build(log, order, 5))
    assert all(count == 1 for count in stamps.values())


@given(log=logs())
def test_joined_records_stay_small(log: dict[str, list[LogLine]]) -> None:
    for record in build(log, [name for name, lines in log.items() for _ in lines], 5):
        assert record.lines <= JOINED_LINES
        assert record.lines == 1 or len(record.text.encode()) <= JOINED_BYTES + len("[a] ")


def line(time_ms: int, text: str = "text", level: str = "info", container: str = "main") -> LogLine:
    return LogLine(time_ms, container, level, text)


def test_lines_of_one_slot_are_one_record_with_the_slots_time() -> None:
    builder = RecordBuilder(["main"], SETTINGS)
    assert builder.add([line(1_000_001, "one"), line(1_000_049, "two")]) == []
    assert builder.add([line(1_000_050, "three")]) == [Record(1_000_000, "info", "main", "one\ntwo", 2)]
    assert builder.flush() == [Record(1_000_050, "info", "main", "three", 1)]


def test_slot_is_a_multiple_of_the_number_of_containers() -> None:
    builder = RecordBuilder(["a", "b", "c"], replace(SETTINGS, log_slot=50))  # 51 ms
    records = [*builder.add([line(51 * 1000 + 50, "x", container="c")]), *builder.flush()]
    assert records == [Record(51 * 1000 + 2, "info", "c", "[c] x", 1)]


def test_a_line_after_its_slot_went_out_takes_the_next_stamp() -> None:
    builder = RecordBuilder(["main"], SETTINGS)
    builder.add([line(1_000_000, "early")])
    assert [r.stamp_ms for r in builder.settle("main")] == [1_000_000]
    builder.add([line(1_000_001, "late")])
    assert builder.flush() == [Record(1_000_001, "info", "main", "late", 1)]


def test_compact_record_has_exactly_the_fields_airflow_needs() -> None:
    data = compact(Record(1_577_934_245_067, "error", "main", 'a "b"\nc', 2), 7)
    assert b"\n" not in data
    assert json.loads(data) == {
        "timestamp": "2020-01-02T03:04:05.067Z",
        "level": "error",
        "event": 'a "b"\nc',
        "logger": "main",
        "trigger_id": 7,
    }


def test_a_long_line_is_cut_and_says_how_much() -> None:
    builder = RecordBuilder(["main"], replace(SETTINGS, log_line_limit=256))
    builder.add([line(0, "é" * 200)])
    (record,) = builder.flush()
    assert record.text == "é" * 128 + " ... [144 more bytes of this line cut: [asyncrun] log_line_limit = 256]"


def test_a_line_of_an_unfollowed_container_is_an_error() -> None:
    with pytest.raises(KeyError):
        RecordBuilder(["main"], SETTINGS).add([line(0, container="other")])


class TestLimits:
    """The governor: in source time, per container."""

    LIMITED = replace(SETTINGS, log_rate=10, log_last_lines=10)  # a burst of 100

    def shown(self, times: Sequence[int], settings: Settings = LIMITED, chunk: int = 1, text: str = "") -> list[str]:
        builder = RecordBuilder(["main"], settings, where={"main": "stream s"})
        lines = [line(time, text + str(i)) for i, time in enumerate(times)]
        records = []
        for first in range(0, len(lines), chunk):
            records += builder.add(lines[first : first + chunk])
        records += builder.flush()
        texts = [text for record in records for text in record.text.split("\n")]
        assert builder.skipped + sum("skipped here" not in text for text in texts) == len(times)
        return texts

    def test_a_burst_is_shown_whole(self) -> None:
        assert self.shown([0] * 100) == [str(i) for i in range(100)]

    def test_a_flood_is_cut_in_place_and_the_last_lines_are_kept(self) -> None:
        shown = self.shown([0] * 1314)
        assert shown == [
            *(str(i) for i in range(100)),
            "1,204 lines skipped here: this run wrote more than [asyncrun] log_rate = 10 lines/s; "
            "the full log: stream s",
            *(str(i) for i in range(1304, 1314)),
        ]

    def test_after_a_flood_lines_flow_again_with_one_notice_per_gap(self) -> None:
        shown = self.shown([*[0] * 200, *range(10_000, 40_000, 1000)])
        assert sum("skipped here" in text for text in shown) == 1
        assert shown[-30:] == [str(i) for i in range(200, 230)]

    def test_the_last_lines_are_whole_even_right_after_a_gap(self) -> None:
        shown = self.shown([*[0] * 500, 6000, 6001])
        assert shown[-10:] == [str(i) for i in range(492, 502)]

    def test_nothing_is_shown_above_the_size_limit_but_the_last_lines(self) -> None:
        limited = replace(self.LIMITED, log_size_limit=65536)
        shown = self.shown(range(0, 1000_000, 1000), limited, text="x" * 1000)
        assert len(shown) == 66 + 1 + 10  # the line that crosses the limit is shown
        assert "924 lines skipped here: this run wrote more than [asyncrun] log_size_limit = 65,536 bytes" in shown[66]

    def test_lines_that_were_held_back_count_when_they_are_shown(self) -> None:
        """After a gap of 60 lines half of the burst is free: ten of it are spent on the last lines of the gap."""
        shown = self.shown([*[0] * 160, *[5_000] * 100])
        at = shown.index("160")
        assert "51 lines skipped here" in shown[100]
        assert shown[at + 1 : at + 41] == [str(n) for n in range(161, 201)]
        assert "skipped here" in shown[at + 41]

    def test_a_container_is_told_its_own_share(self) -> None:
        builder = RecordBuilder(["main", "side", "log"], self.LIMITED)
        builder.add([line(0, container="main") for _ in range(1000)])
        (notice,) = [record.text for record in builder.flush() if "skipped" in record.text]
        assert notice.endswith(
            " lines skipped here: container main wrote more than 3.333 lines/s, its share of [asyncrun] log_rate = "
            "10 lines/s among the run's 3 containers"
        )

    @given(steps=st.lists(st.integers(0, 300), max_size=400), chunk=st.integers(1, 50))
    def test_what_is_skipped_does_not_depend_on_chunks(self, steps: list[int], chunk: int) -> None:
        times = [sum(steps[: i + 1]) for i in range(len(steps))]
        assert self.shown(times, chunk=chunk) == self.shown(times, chunk=1000)
