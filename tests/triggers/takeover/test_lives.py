"""Triggerers that die, one after the other, over one log volume: Airflow's supervisor writes, its own reader shows."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, closing, nullcontext

import pytest

from asyncrun.clients.config import uploads_logs
from asyncrun.model.logs import LogLine
from asyncrun.model.settings import Settings
from asyncrun.triggers.logs.emitter import emitter
from asyncrun.triggers.logs.run_log import RunLog
from asyncrun.triggers.logs.takeover import taking_over
from asyncrun.triggers.logs.takeover.taking_over import past_of
from asyncrun.triggers.once import OnceSink
from asyncrun.triggers.tasklog import TaskLog
from tests.support.triggers import until
from tests.triggers.takeover.volume import TI, TRIGGER_ID, Triggerer, Volume

SETTINGS = Settings(log_takeover="continue")
START_MS = 1_700_000_000_000


def lines(count: int, container: str = "main", every: int = 20) -> list[LogLine]:
    """Several in a slot, equal ones among them."""
    return [
        LogLine(START_MS + every * i, container, ("info", "debug")[i % 7 == 6], f"line {i // 3}") for i in range(count)
    ]


@asynccontextmanager
async def life(settings: Settings = SETTINGS, containers: Sequence[str] = ("main",)) -> AsyncIterator[RunLog]:
    """What a trigger does about its log, from its beginning. Its end is a crash: nothing is waited for."""
    task_log = TaskLog(TRIGGER_ID, settings)
    try:
        past = await past_of(TI, settings, task_log)
        with nullcontext() if past is None else closing(past):
            run_log = emitter().open(OnceSink(task_log.sink, past), containers, settings)
            try:
                yield run_log
            finally:
                run_log.close()
    finally:
        await task_log.__aexit__(asyncio.CancelledError, None, None)


async def live(volume: Volume, job: int, log: Sequence[LogLine], containers: Sequence[str] = ("main",)) -> None:
    """A whole life, which reads that much of the log and writes it all."""
    with volume.triggerer(job):
        async with life(containers=containers) as run_log:
            run_log.add(log)
            assert await run_log.finish(20)


def texts(log: Sequence[LogLine], container: str = "main") -> list[str]:
    return [line.text for line in log if line.container == container]


async def test_a_run_that_was_not_taken_over_has_no_word_about_it_in_its_log(volume: Volume) -> None:
    await live(volume, 1, lines(10))
    assert volume.shown() == texts(lines(10))
    assert volume.said(1) == ""


async def test_an_earlier_life_that_wrote_no_line_is_no_past(volume: Volume) -> None:
    with volume.triggerer(1):
        async with life():
            TaskLog(TRIGGER_ID, SETTINGS).say("info", "waiting for the container")
            await until(lambda: volume.said(1))
    await live(volume, 2, lines(10))
    assert volume.shown() == texts(lines(10))
    assert volume.said(2) == ""


async def test_the_second_triggerer_goes_on_where_the_log_of_the_first_ends(volume: Volume) -> None:
    log = lines(1000)
    with volume.triggerer(1) as first:
        async with life() as run_log:
            run_log.add(log[:400])
            run_log.settle("main")
            await until(lambda: volume.texts(1))
            first.kill()
    await live(volume, 2, log)
    assert volume.shown() == texts(log)
    held = volume.texts(1)
    assert 0 < len(held) <= 400
    assert held + volume.texts(2) == texts(log)
    count = sum(one["logger"] == "main" for one in volume.written(1))
    assert volume.said(2).endswith(f"{count} records of this log stand in 1 earlier file and are not written again")


@pytest.mark.parametrize("seed", range(6))
async def test_over_many_lives_each_line_is_written_and_shown_once(volume: Volume, seed: int) -> None:
    """Killed at any moment; each life reads what the containers have written by then, in another order."""
    chance = random.Random(seed)
    main, side = lines(900), lines(900, "side", every=30)
    jobs = [1, 2, 3, chance.choice([1, 2, 3]), 5, chance.choice([1, 4]), 6]
    for number, job in enumerate(jobs):
        last = number == len(jobs) - 1
        share = 1.0 if last else (number + 1) / len(jobs)
        log = main[: int(900 * share)] + side[: int(900 * share)]
        late = chance.randrange(-500, 500)
        log = sorted(log, key=lambda line, late=late: line.time_ms + late * (line.container == "side"))  # type: ignore[misc]
        with volume.triggerer(job, starting=chance.random() < 0.5) as triggerer:
            async with life(containers=("main", "side")) as run_log:
                run_log.add(log)
                if last:
                    assert await run_log.finish(20)
                else:
                    await kill_at_random(triggerer, chance)
    for name, written in (("main", main), ("side", side)):
        assert [line.removeprefix(f"[{name}] ") for line in volume.shown(name)] == texts(written, name)
    records = [
        (one["timestamp"], one["logger"])
        for job in set(jobs)
        for one in volume.written(job)
        if one["logger"] in ("main", "side")
    ]
    assert len(records) == len(set(records)), "nothing was written twice"


async def kill_at_random(triggerer: Triggerer, chance: random.Random) -> None:
    await asyncio.sleep(chance.random() * 0.2)
    triggerer.kill()
    await asyncio.sleep(0.01)


async def test_a_triggerer_that_comes_back_truncates_its_own_file_and_writes_that_again(volume: Volume) -> None:
    log = lines(300)
    await live(volume, 1, log[:100])
    await live(volume, 2, log[:200])
    with volume.triggerer(1, starting=False):  # the file is still whole when it is looked at first
        async with life() as run_log:
            assert volume.texts(1)[:100] == []
            run_log.add(log)
            assert await run_log.finish(20)
    assert volume.shown() == texts(log)
    assert sorted(volume.texts(1) + volume.texts(2)) == sorted(texts(log))


async def test_what_the_second_life_wrote_while_the_first_went_on_is_shown_once(volume: Volume) -> None:
    """A triggerer that is only thought to be dead."""
    log = lines(300)
    await live(volume, 1, log[:100])
    with volume.triggerer(2):
        async with life() as run_log:
            held = volume.file(1).read_bytes()
            await live(volume, 3, log)
            late = volume.file(3).read_bytes()
            run_log.add(log)
            assert await run_log.finish(20)
    assert volume.file(1).read_bytes() == held
    assert volume.file(3).read_bytes() == late
    assert volume.shown() == texts(log)


async def test_masked_secrets_are_not_written_twice(volume: Volume) -> None:
    volume.secrets.append("hunter2secret")
    log = [
        LogLine(START_MS + 100 * i, "main", "info", f"{i}: password=hunter2secret, token eyJhbGciOi.abc.def")
        for i in range(20)
    ]
    await live(volume, 1, log[:10])
    await live(volume, 2, log)
    assert volume.texts(2)[0].startswith("10: password=***")
    assert [text.partition(":")[0] for text in volume.shown()] == [str(i) for i in range(20)]


async def test_a_file_that_airflow_cannot_show_is_no_past(volume: Volume) -> None:
    """The supervisor died in the middle of a character: Airflow's reader then shows nothing of the file."""
    log = [LogLine(START_MS + 100 * i, "main", "info", f"{i} €") for i in range(20)]
    await live(volume, 1, log[:10])
    volume.file(1).write_bytes(
        volume.file(1).read_bytes().rstrip()[:-30].rpartition("€".encode())[0] + "€".encode()[:1]
    )
    await live(volume, 2, log)
    assert volume.texts(2) == volume.shown() == texts(log)
    assert "0 records of this log stand in 0 earlier files" in volume.said(2)


async def test_a_torn_last_record_is_written_again(volume: Volume) -> None:
    log = lines(60)
    await live(volume, 1, log[:30])
    data = volume.file(1).read_bytes()
    volume.file(1).write_bytes(data[:-10])
    await live(volume, 2, log)
    shown = volume.shown()
    assert shown == texts(log)


class TestReplaysInstead:
    """Where continuing is not possible, the log is written whole, and says why."""

    async def lived_twice(self, volume: Volume, why: str) -> None:
        log = lines(60)
        await live(volume, 1, log[:30])
        await live(volume, 2, log)
        assert volume.texts(2) == texts(log)
        assert volume.shown() == texts(log)
        (said,) = [one for one in volume.written(2) if "is not possible here" in one["event"]]
        assert said["level"] == "warning"
        assert why in said["event"]

    async def test_with_remote_logging(self, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("AIRFLOW__LOGGING__REMOTE_LOGGING", "True")
        uploads_logs.cache_clear()
        await self.lived_twice(volume, "remote_logging is on, and then earlier files may never be shown")
        assert "is not possible here" in volume.said(1)

    async def test_where_the_path_needs_more_than_a_trigger_knows(
        self, volume: Volume, template: Callable[[str], None]
    ) -> None:
        template("{{ ti.dag_id }}/{{ ti.logical_date }}/x.log")
        await self.lived_twice(volume, "log_filename_template asks for ti.logical_date")

    async def test_where_the_files_of_the_supervisor_are_elsewhere(
        self, volume: Volume, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(taking_over, "_MARK_LIMIT", 0.3)
        log = lines(60)
        await live(volume, 1, log[:30])
        elsewhere = Volume(volume.folder / "elsewhere", volume.supervisors)
        await live(elsewhere, 2, log)
        assert elsewhere.texts(2) == texts(log)
        assert "what is logged here does not arrive in" in elsewhere.said(2)

    async def test_with_a_file_that_cannot_be_read(self, volume: Volume) -> None:
        await live(volume, 3, lines(30))
        volume.file(9).mkdir()
        await self.lived_twice(volume, "the earlier files cannot be read ([Errno 21] Is a directory")

    async def test_where_reading_takes_too_long(self, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(taking_over, "_LIMIT", 0.0)
        await self.lived_twice(volume, "the earlier files were not read within 0 s")

    @pytest.mark.expects_defect
    async def test_after_a_defect_of_ours(self, volume: Volume, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(*_: object) -> None:
            raise ZeroDivisionError("x")

        monkeypatch.setattr(taking_over, "trigger_files", broken)
        await self.lived_twice(volume, "a defect of asyncrun (ZeroDivisionError: x)")


async def test_nobody_asks_for_the_past_by_default_or_outside_of_a_triggerer(volume: Volume) -> None:
    await live(volume, 1, lines(30))
    with volume.triggerer(2):
        task_log = TaskLog(TRIGGER_ID, SETTINGS)
        assert await past_of(TI, Settings(), task_log) is None
        assert await past_of(None, SETTINGS, task_log) is None
        await task_log.__aexit__(None, None, None)
    assert volume.said(2) == ""
