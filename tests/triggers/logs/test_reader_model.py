"""
What a reader of the log sees: the installed Airflow's own merge, run on what our sinks write over several lives.

Airflow's reader takes a record of each file in turn into a heap, shows the smaller half of it whenever it is full, and
drops a record that equals the one before it (``_interleave_logs``). Most tests here shrink that heap, and with it the
logs in which its limits show.
"""

from __future__ import annotations

import asyncio
import io
import random
import threading
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import looptime
import pytest
from airflow.utils.log import file_task_handler
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.records import Record, RecordBuilder
from asyncrun.triggers.logs.takeover.files import records_of
from asyncrun.triggers.logs.takeover.past import Memory, Past
from asyncrun.triggers.once import OnceSink
from tests.triggers.logs.fakes import MemorySink
from tests.triggers.takeover.records import as_written, file_of

SETTINGS = Settings()
# Two lines a second are more than it lets through: notices of skipped lines stand in between.
STRICT = replace(SETTINGS, log_rate=1, log_last_lines=10)
START_MS = 1_700_000_000_000

# A loaded machine is no defect of these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

Log = dict[str, list[LogLine]]


@st.composite
def logs(draw: st.DrawFn, most: int = 60) -> Log:
    """
    For each container its lines in its own order: many in a slot, many equal, some late; as both backends bring them
    (pods: one batch; CloudWatch: one for each time of ingestion).
    """
    log: Log = {}
    for name in draw(st.sampled_from([("a",), ("a", "b"), ("a", "b", "c")])):
        time, batch, lines = START_MS, 0, []
        step = st.tuples(
            st.sampled_from([0, 0, 0, 1, 20, 50, 300, -60]),
            st.sampled_from([0, 0, 0, 0, 5000]),
            st.sampled_from(["info", "info", "info", "error"]),
            st.sampled_from(["x", "x", "y", "é€", "three\\n", "z" * 5000]),
        )
        for forward, wait, level, text in draw(st.lists(step, max_size=most)):
            time, batch = time + forward, batch + wait
            lines.append(LogLine(time, name, level, text, batch))
        log[name] = lines
    return log


@dataclass(frozen=True)
class Life:
    """
    :param seed: of the order in which lines of different containers arrive, and of the pages they come in.
    :param until: which part of its file was written, from 0 to 1.
    :param words: how many lines that are not the containers' stand at the file's beginning.
    """

    seed: int
    until: float
    words: int


LIVES = st.lists(
    st.builds(Life, st.integers(0, 99), st.floats(0, 1), st.integers(0, 4)), min_size=1, max_size=5
)  # the last one writes all of it


def arrival(log: Log, seed: int, drift: int | None = None) -> list[LogLine]:
    """
    The lines of all containers in some order, each container's in its own.

    :param drift: how far a line may come from where it comes when all are sorted by time, about; None: anywhere.
    """
    chance = random.Random(seed)
    whole = [line for lines in log.values() for line in lines]
    if drift is None:
        names = [line.container for line in whole]
        chance.shuffle(names)
    else:
        places = sorted(range(len(whole)), key=lambda i: whole[i].time_ms)
        shifts = {name: chance.uniform(0, drift) for name in log}
        order = sorted(range(len(places)), key=lambda n: n + shifts[whole[places[n]].container])
        names = [whole[places[n]].container for n in order]
    left = {name: iter(lines) for name, lines in log.items()}
    return [next(left[name]) for name in names]


def records(log: Log, lines: Sequence[LogLine], seed: int, limits: Settings = SETTINGS) -> list[Record]:
    chance, builder, first = random.Random(seed), RecordBuilder(list(log), limits), 0
    out: list[Record] = []
    while first < len(lines):
        page = chance.choice([1, 7, 1000])
        out += builder.add(lines[first : first + page])
        first += page
    return out + builder.flush()


def words(count: int, seed: int) -> bytes:
    """Airflow's and asyncrun's own lines: later than the containers', as at a takeover."""
    later = START_MS + 10**9 + 1000 * seed
    return file_of(Record(later + i, "info", "asyncrun", f"word {i} of life {seed}", 1) for i in range(count))


def cut(data: bytes, until: float) -> bytes:
    return data[: round(len(data) * until)]


@contextmanager
def heap_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(file_task_handler, "HEAP_DUMP_SIZE", size)
        patch.setattr(file_task_handler, "HALF_HEAP_DUMP_SIZE", size // 2)
        yield


def merged(files: Sequence[bytes]) -> list[Any]:
    """What Airflow's reader shows of these files, in the order of their names."""
    opened = [io.TextIOWrapper(io.BytesIO(data), encoding="utf-8") for data in files]
    return list(file_task_handler._interleave_logs(*map(file_task_handler._stream_lines_by_chunk, opened)))


def shown(files: Sequence[bytes], log: Log) -> dict[str, list[str]]:
    """For each container the lines that a reader sees."""
    entries = [one for one in merged(files) if getattr(one, "logger", "") in log]
    out: dict[str, list[str]] = {name: [] for name in log}
    for one in entries:
        text = one.event.removeprefix(f"[{one.logger}] ") if len(log) > 1 else one.event
        out[one.logger] += text.split("\n")
    return out


def written(log: Log) -> dict[str, list[str]]:
    return {name: [line.text for line in lines] for name, lines in log.items()}


def replayed(log: Log, lives: Sequence[Life], drift: int | None = None, limits: Settings = SETTINGS) -> list[bytes]:
    """The files that these lives leave: each begins with the first line; the last one gets to the end."""
    files = []
    for number, life in enumerate(lives):
        data = file_of(records(log, arrival(log, life.seed, drift), life.seed, limits))
        until = 1.0 if number == len(lives) - 1 else life.until
        files.append(words(life.words, number) + cut(data, until))
    return files


def continued(
    log: Log, lives: Sequence[Life], folder: Path, drift: int | None = None, limits: Settings = SETTINGS
) -> list[bytes]:
    """The same where each life writes what the earlier files do not hold."""
    files: list[bytes] = []
    for number, life in enumerate(lives):
        past = Past(Memory(1 << 24))
        for data in files:
            (folder / "file").write_bytes(data)
            try:
                past.learn(records_of(folder / "file", threading.Event()))
            except UnicodeDecodeError:
                continue
        new = OnceSink(MemorySink(), past).new(records(log, arrival(log, life.seed, drift), life.seed, limits))
        until = 1.0 if number == len(lives) - 1 else life.until
        files.append(words(life.words, number) + cut(file_of(new), until))
    return files


def whole_records(files: Sequence[bytes]) -> list[bytes]:
    """The same files, each without a record that was cut in the middle; else it is whole."""
    return [data if data.endswith(b"}") else data[: data.rfind(b"\n") + 1] for data in files]


class TestReplay:
    @PATIENT
    @given(log=logs(), lives=LIVES)
    def test_every_line_is_shown_once_and_in_its_containers_order(self, log: Log, lives: list[Life]) -> None:
        assert shown(whole_records(replayed(log, lives)), log) == written(log)

    @PATIENT
    @given(log=logs(), lives=LIVES)
    def test_a_record_cut_in_the_middle_loses_nothing_and_doubles_one_record_at_most(
        self, log: Log, lives: list[Life]
    ) -> None:
        """It counts for as early as the one before, and may come between this one and its equals of other files."""
        files = replayed(log, lives)
        torn = sum(not data.endswith(b"\n") for data in files[:-1] if data)
        seen = [(one.timestamp, one.event) for one in merged(files) if getattr(one, "logger", "") in log]
        once = list(dict.fromkeys(seen))
        assert len(seen) - len(once) <= torn
        assert len(once) == len(records(log, arrival(log, 0), 0))

    @PATIENT
    @given(log=logs(most=120), lives=LIVES)
    def test_notices_of_skipped_lines_are_shown_once_and_in_place(self, log: Log, lives: list[Life]) -> None:
        files = whole_records(replayed(log, lives, limits=STRICT))
        assert shown(files, log) == shown([file_of(records(log, arrival(log, 0), 0, STRICT))], log)

    @settings(PATIENT, max_examples=60)
    @given(log=logs(most=300), lives=LIVES, data=st.data())
    def test_longer_logs_are_exact_while_the_files_are_in_step(
        self, log: Log, lives: list[Life], data: st.DataObject
    ) -> None:
        """
        A record's equals must come into the heap before it leaves: within half a heap's records of all files together.
        With 5,000: 1,250 records of one file where there are two, 500 where there are five.
        """
        size = data.draw(st.sampled_from([60, 100]))
        log = {name: [replace_batch(line) for line in lines] for name, lines in log.items()}
        drift = max(0, size // 2 // len(lives) - 8)
        with heap_of(size):
            files = whole_records(replayed(log, lives, drift))
            assert shown(files, log) == written(log)


def replace_batch(line: LogLine) -> LogLine:
    """A record for each line: places in a file are then places in the log."""
    return LogLine(line.time_ms, line.container, line.level, line.text, line.time_ms)


class TestContinue:
    @PATIENT
    @given(log=logs(), lives=LIVES)
    def test_every_line_is_shown_once_and_in_its_containers_order(
        self, tmp_path_factory: pytest.TempPathFactory, log: Log, lives: list[Life]
    ) -> None:
        """Wherever a file ends: in the middle of a record, or of a character, too."""
        files = continued(log, lives, tmp_path_factory.getbasetemp())
        assert shown(files, log) == written(log)

    @PATIENT
    @given(log=logs(), lives=LIVES)
    def test_no_record_is_written_twice(
        self, tmp_path_factory: pytest.TempPathFactory, log: Log, lives: list[Life]
    ) -> None:
        files = continued(log, lives, tmp_path_factory.getbasetemp())
        readable = [data for data in files if is_readable(data)]
        lines = Counter(line for data in readable for line in data.splitlines() if line.endswith(b"}"))
        assert all(count == 1 for count in lines.values())

    @PATIENT
    @given(log=logs(most=120), lives=LIVES)
    def test_notices_of_skipped_lines_are_shown_once_and_in_place(
        self, tmp_path_factory: pytest.TempPathFactory, log: Log, lives: list[Life]
    ) -> None:
        files = continued(log, lives, tmp_path_factory.getbasetemp(), limits=STRICT)
        assert shown(files, log) == shown([file_of(records(log, arrival(log, 0), 0, STRICT))], log)

    @settings(PATIENT, max_examples=60)
    @given(log=logs(most=300), lives=LIVES, size=st.sampled_from([20, 60]))
    def test_longer_logs_are_complete_though_not_in_order(
        self, tmp_path_factory: pytest.TempPathFactory, log: Log, lives: list[Life], size: int
    ) -> None:
        with heap_of(size):
            seen = shown(continued(log, lives, tmp_path_factory.getbasetemp()), log)
        assert {name: Counter(lines) for name, lines in seen.items()} == {
            name: Counter(lines) for name, lines in written(log).items()
        }

    @PATIENT
    @given(log=logs(most=300), life=st.builds(Life, st.integers(0, 99), st.floats(0, 1), st.integers(0, 2)))
    def test_they_are_in_order_after_half_a_heap_of_earlier_records(
        self, tmp_path_factory: pytest.TempPathFactory, log: Log, life: Life
    ) -> None:
        """2,500 records with Airflow's heap of 5,000: the log warns from there on."""
        files = whole_records(continued(log, [life, Life(0, 1, 0)], tmp_path_factory.getbasetemp()))
        earlier = files[0].count(b"\n")
        with heap_of(max(2, 2 * earlier)):
            assert shown(files, log) == written(log)


def is_readable(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


class TestAtFullSize:
    """Airflow's own heap of 5,000."""

    def long_log(self, count: int) -> Log:
        return {
            name: [LogLine(START_MS + 60 * i + shift, name, "info", f"line {i // 4}") for i in range(count)]
            for name, shift in (("a", 0), ("b", 10))
        }

    def test_replayed_logs_are_exact_however_long(self) -> None:
        log = self.long_log(8_000)
        lives = [Life(1, 0.3, 3), Life(2, 0.9, 0), Life(3, 0.6, 40), Life(4, 1, 2)]
        assert shown(whole_records(replayed(log, lives, drift=500)), log) == written(log)

    def test_they_are_not_where_one_container_is_far_ahead_of_the_other(self) -> None:
        """Why ``PodLog.in_step`` and the CloudWatch readers keep containers together."""
        log = self.long_log(8_000)
        files = [file_of(records(log, arrival(log, 0, drift=0), 0)),
                 file_of(records(log, [*log["a"], *log["b"]], 0))]  # fmt: skip
        assert sum(map(len, shown(files, log).values())) > 17_000

    def test_continued_logs_are_exact_up_to_2500_earlier_records(self, tmp_path: Path) -> None:
        log = {"a": self.long_log(12_000)["a"]}
        lives = [Life(1, 0.1, 3), Life(2, 0.1, 0), Life(4, 1, 2)]
        files = whole_records(continued(log, lives, tmp_path))
        assert 1_000 < sum(data.count(b"\n") for data in files[:-1]) < 2_500
        assert shown(files, log) == written(log)

    def test_beyond_that_they_are_complete_and_may_be_out_of_order(self, tmp_path: Path) -> None:
        log = {"a": self.long_log(12_000)["a"]}
        seen = shown(whole_records(continued(log, [Life(1, 0.5, 0), Life(2, 1, 0)], tmp_path)), log)
        assert Counter(seen["a"]) == Counter(written(log)["a"])
        assert seen != written(log)


def test_a_word_of_ours_in_the_millisecond_of_a_record_could_show_it_twice() -> None:
    """Why ``TaskLog`` keeps its stamps away from the beginnings of slots."""
    line = as_written(Record(START_MS, "info", "a", "x", 1))
    word = as_written(Record(START_MS, "info", "asyncrun", "said live", 1))
    header = as_written(Record(START_MS + 10**9, "info", "airflow", "header", 1))
    log: Log = {"a": [LogLine(START_MS, "a", "info", "x")]}
    assert shown([line + word, header + header + line], log) == {"a": ["x", "x"]}


class TestPipe:
    """From lines to the log channel: whatever the pages and the pressure, and whenever the source is read up."""

    @PATIENT
    @example(
        {"a": [LogLine(START_MS, "a", "info", "x", 5000), LogLine(START_MS, "a", "info", "x", 0)]}, [Life(0, 1, 0)], 1
    )
    @given(log=logs(), lives=LIVES, cost=st.sampled_from([0, 5_000, 40_000]))
    def test_every_life_writes_the_same_records(self, log: Log, lives: list[Life], cost: int) -> None:
        log = {name: sorted(lines, key=lambda line: line.batch) for name, lines in log.items()}
        plain = records(log, [line for lines in log.values() for line in lines], 0)
        with asyncio.Runner(loop_factory=looptime.new_event_loop) as runner:
            for life in lives:
                out = runner.run(self.lived(log, life, cost))
                assert by_logger(out) == by_logger(plain)

    async def lived(self, log: Log, life: Life, cost: int) -> list[Record]:
        """All of the log; now and then a container's batch is read to its end, or the watching crashes and restarts."""
        sink, chance = MemorySink(cost=cost, speed=100_000), random.Random(life.seed)
        once = OnceSink(sink)
        for final in (False, True) if life.words else (True,):
            run_log = emitter().open(once, list(log), SETTINGS)
            lines = arrival(log, life.seed)
            lines = lines if final else lines[: round(len(lines) * life.until)]
            for number, line in enumerate(lines):
                run_log.add([line])
                later = next((one for one in lines[number + 1 :] if one.container == line.container), None)
                if final and later is not None and later.batch != line.batch and chance.random() < 0.5:
                    run_log.settle(line.container)
                if chance.random() < 0.3:
                    await asyncio.sleep(chance.random() * 5)
            if final:
                assert await run_log.finish(10_000)
            run_log.close()
            await asyncio.sleep(60)
        return sink.records


def by_logger(some: Sequence[Record]) -> dict[str, list[Record]]:
    out: dict[str, list[Record]] = {}
    for one in some:
        out.setdefault(one.logger, []).append(one)
    return out
