"""The sink that writes what does not stand in the task log yet."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from asyncrun.triggers.logs.records import Record
from asyncrun.triggers.logs.takeover.past import Memory, Past
from asyncrun.triggers.once import OnceSink
from tests.triggers.logs.fakes import MemorySink
from tests.triggers.takeover.records import record
from tests.triggers.takeover.test_past import read

pytestmark = pytest.mark.looptime
LOG = [record(50 * i, f"line {i}") for i in range(6)]


async def test_a_log_that_is_read_again_is_written_from_where_it_ended() -> None:
    inner = MemorySink()
    sink = OnceSink(inner)
    await sink.emit(LOG[:4])
    for one in LOG:
        await sink.emit([one])
    assert inner.records == LOG


async def test_with_a_past_it_holds_for_both(tmp_path: Path) -> None:
    """Whatever stands there is not forgotten before something later is written: reading may begin again."""
    memory = Memory(1 << 20)
    past = Past(memory)
    past.learn(read(tmp_path, [LOG[0], LOG[1], LOG[3]]))
    inner = MemorySink()
    sink = OnceSink(inner, past)
    assert sink.new(LOG) == sink.new(LOG) == [LOG[2], LOG[4], LOG[5]]
    await sink.emit(LOG[:3])
    await sink.emit(LOG[:4])
    assert inner.records == [LOG[2]]
    assert not memory.take(1 << 20)
    await sink.emit(LOG)
    await sink.emit(LOG)
    assert inner.records == [LOG[2], LOG[4], LOG[5]]
    assert memory.take(1 << 20)


async def test_what_could_not_be_written_stays_new() -> None:
    class Broken(MemorySink):
        async def emit(self, records: Sequence[Record]) -> None:
            raise BrokenPipeError

    sink = OnceSink(Broken())
    with pytest.raises(BrokenPipeError):
        await sink.emit(LOG)
    assert sink.new(LOG) == LOG
