"""The way to the past of a log: whoever leaves it early, in whatever step, leaves nothing behind."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.takeover import taking_over
from asyncrun.triggers.logs.takeover.files import Stopped, Written
from asyncrun.triggers.logs.takeover.past import Memory
from asyncrun.triggers.logs.takeover.taking_over import past_of
from asyncrun.triggers.tasklog import TaskLog
from tests.support.triggers import until
from tests.triggers.takeover.records import file_of, record
from tests.triggers.takeover.volume import TI, TRIGGER_ID, Volume

SETTINGS = Settings(log_takeover="continue")
MEMORY = 6000
"""Bytes: enough for the past of a few records, and not for that of hundreds."""
READINGS = ["the beginning of the first file", "the first file", "the second file"]


class Gate:
    """Work of the thread that comes to it stands still there."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._open = threading.Event()
        self.reached = asyncio.Event()

    def open(self) -> None:
        self._open.set()

    def __call__(self) -> None:
        self._loop.call_soon_threadsafe(self.reached.set)
        assert self._open.wait(20)


class Reading:
    """
    Stands before each reading of records, which are those of ``READINGS`` in this order.

    :ivar gates: by the number of a reading.
    :ivar stopped: numbers of the readings that ended early.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.gates: dict[int, Gate] = {}
        self.stopped: list[int] = []
        self._count = 0
        self._records_of: Callable[[Path, threading.Event], Iterator[tuple[int, Written]]] = taking_over.records_of
        patch.setattr(taking_over, "records_of", self._read)

    def _read(self, path: Path, stop: threading.Event) -> Iterator[tuple[int, Written]]:
        number, self._count = self._count, self._count + 1
        if number in self.gates:
            self.gates[number]()
        try:
            yield from self._records_of(path, stop)
        except Stopped:
            self.stopped.append(number)
            raise


@pytest.fixture
def memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    made = Memory(MEMORY)
    monkeypatch.setattr(taking_over, "_MEMORY", made)
    return made


def write(volume: Volume, job: int, count: int) -> None:
    """What an earlier triggerer has left."""
    volume.log.parent.mkdir(parents=True, exist_ok=True)
    volume.file(job).write_bytes(file_of(record(50 * i, f"line {i}") for i in range(count)))


@asynccontextmanager
async def asking() -> AsyncIterator[asyncio.Task[taking_over.Past | None]]:
    """A trigger's task that asks for the past."""
    task_log = TaskLog(TRIGGER_ID, SETTINGS)
    yield asyncio.create_task(past_of(TI, SETTINGS, task_log), name="a trigger")
    await task_log.__aexit__(None, None, None)


async def thread_is_idle() -> None:
    await asyncio.get_running_loop().run_in_executor(taking_over._thread(), lambda: None)


async def killed(task: asyncio.Task[taking_over.Past | None]) -> None:
    task.cancel("__airflow_user_action__")
    with pytest.raises(asyncio.CancelledError, match=r"^__airflow_user_action__$"):
        await task


@pytest.mark.parametrize("number", range(3), ids=READINGS)
async def test_a_kill_passes_while_the_files_are_read_and_the_reading_ends(
    volume: Volume, memory: Memory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    write(volume, 1, 10)
    write(volume, 2, 10)
    reading = Reading(monkeypatch)
    gate = reading.gates[number] = Gate()
    with volume.triggerer(3):
        async with asking() as task:
            await gate.reached.wait()
            await killed(task)
    assert memory.take(MEMORY), "at once"
    memory.give(MEMORY)
    gate.open()
    await thread_is_idle()
    assert memory.take(MEMORY)
    assert reading.stopped == [number]


async def test_a_kill_passes_before_the_first_look_for_the_mark(
    volume: Volume, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(taking_over, "_FIRST_LOOK", 60.0)
    write(volume, 1, 10)
    with volume.triggerer(3):
        async with asking() as task:
            await until(lambda: "looking for what it holds" in volume.said(3))
            await killed(task)
    assert memory.take(MEMORY)


async def test_a_kill_passes_while_the_mark_is_looked_for(
    volume: Volume, memory: Memory, monkeypatch: pytest.MonkeyPatch
) -> None:
    def shows(path: Path, mark: str) -> bool:
        gate()
        return False

    gate = Gate()
    monkeypatch.setattr(taking_over, "shows", shows)
    write(volume, 1, 10)
    with volume.triggerer(3):
        async with asking() as task:
            await gate.reached.wait()
            await killed(task)
    gate.open()
    await thread_is_idle()
    assert memory.take(MEMORY)


async def test_where_memory_is_short_the_log_is_written_whole_and_none_is_kept(volume: Volume, memory: Memory) -> None:
    """The first file fits."""
    write(volume, 1, 10)
    write(volume, 2, 500)
    with volume.triggerer(3):
        async with asking() as task:
            assert await task is None
    assert "too many logs, or too long ones, were taken over at once" in volume.said(3)
    assert memory.take(MEMORY)


@pytest.mark.parametrize("number", [0, 2], ids=["at the beginning", "at the end"])
async def test_there_is_one_deadline_for_all_of_it(
    volume: Volume, memory: Memory, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    monkeypatch.setattr(taking_over, "_LIMIT", 1.0)
    write(volume, 1, 10)
    write(volume, 2, 10)
    reading = Reading(monkeypatch)
    reading.gates = {0: Gate(), number: Gate()}
    loop = asyncio.get_running_loop()
    with volume.triggerer(3):
        async with asking() as task:
            began = loop.time()
            if number:
                loop.call_later(0.8, reading.gates[0].open)
            assert await task is None
            assert 0.99 < loop.time() - began < 1.6
    assert "the earlier files were not read within 1 s" in volume.said(3)
    reading.gates[number].open()
    await thread_is_idle()
    assert reading.stopped == [number]
    assert memory.take(MEMORY)


async def test_a_supervisor_that_is_slow_is_waited_for(volume: Volume, memory: Memory) -> None:
    write(volume, 1, 10)
    with volume.triggerer(3) as triggerer:
        os.kill(triggerer.pid, signal.SIGSTOP)
        async with asking() as task:
            await asyncio.sleep(0.3)
            assert not task.done()
            os.kill(triggerer.pid, signal.SIGCONT)
            past = await task
    assert past is not None
    with closing(past):
        assert past.count == 10


@pytest.mark.parametrize(("count", "is_long"), [(2500, False), (2501, True)])
async def test_the_log_says_so_where_airflow_may_show_it_out_of_order(
    volume: Volume, count: int, is_long: bool
) -> None:
    write(volume, 1, count)
    with volume.triggerer(3):
        async with asking() as task:
            past = await task
    assert past is not None
    past.close()
    assert f"{count:,} records of this log stand in 1 earlier file and are not written again" in volume.said(3)
    assert volume.said(3).count("Of a log this long Airflow may show parts out of order") == is_long
