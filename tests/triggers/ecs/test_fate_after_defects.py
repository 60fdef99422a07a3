"""
One fate does not take all: a defect of ours in a poller, or in one run, leaves the other runs alone.

In virtual time, against an AWS in memory.
"""

from __future__ import annotations

import asyncio
from typing import Any, Self

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.clients.aws import open_aws
from asyncrun.clients.config import load_settings
from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.errors import Unavailable
from asyncrun.model.event import CompletionEvent
from asyncrun.model.settings import Settings
from asyncrun.triggers.base import Run, RunTrigger
from asyncrun.triggers.ecs import EcsTaskTrigger
from asyncrun.triggers.ecs_run import EcsRun
from asyncrun.triggers.registry import registry
from asyncrun.triggers.tasklog import TaskLog
from asyncrun.triggers.watch.ecs_tasks import EcsTaskPoller
from tests.support.memory_aws import MemoryAws, at, stream_of
from tests.support.triggers import TARGET, event_of, said, trigger
from tests.triggers.conftest import TaskLogReader

pytestmark = [
    pytest.mark.usefixtures("settings", "loop_closed"), pytest.mark.looptime, pytest.mark.expects_defect,
]  # fmt: skip


def saying_hello(memory: MemoryAws, *numbers: int) -> list[str]:
    """Tasks that run for ten seconds, and have written a line each."""
    memory.lines = {stream_of(number): [f"hello {number}"] for number in numbers}
    at(10, lambda: [memory.finish(number) for number in numbers])
    return [memory.put(number) for number in numbers]


class CrashingPoller(EcsTaskPoller):
    """A poller with a defect that shows twice: at its start, and between two rounds."""

    crashes = 0

    async def run(self) -> None:
        if self.crashes < 2:
            self.crashes += 1
            async with asyncio.TaskGroup() as group:  # it runs well for a moment
                watching = group.create_task(super().run())
                await asyncio.sleep(0.6)
                watching.cancel()
            raise ZeroDivisionError("a defect in the poller")
        await super().run()


async def test_a_poller_that_crashes_fails_nobody(
    memory: MemoryAws, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture
) -> None:
    arns = saying_hello(memory, 0, 1, 2)
    pollers: list[CrashingPoller] = []
    settings = load_settings()

    async with open_aws(TARGET, settings) as access:

        def make() -> CrashingPoller:
            pollers.append(CrashingPoller(access.ecs, "default", settings, access.renew))
            return pollers[0]

        key = ("ecs tasks", access.key, "default")
        with registry().subscribe(key, arns[0], make):  # whoever subscribes first brings the poller
            events = await asyncio.gather(*(event_of(trigger(n, arn)) for n, arn in enumerate(arns)))
            assert registry().statistics()[key].restarts == 2
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    assert len(pollers) == 1
    crashed = [one for one in caplog.records if "this is a defect of asyncrun" in one.getMessage()]
    assert len(crashed) == 2
    assert all("The shared watcher ECS tasks of cluster default crashed" in one.getMessage() for one in crashed)
    for number in range(3):
        assert said(task_log, number, "main") == f"hello {number}"
        assert said(task_log, number).endswith("container 'main' exited with 0")
        assert "defect" not in said(task_log, number)


class CrashingOnce(EcsTaskTrigger):
    """A trigger whose first run has a defect."""

    opened = 0

    def open_run(self, settings: Settings, task_log: TaskLog) -> EcsRun:
        self.opened += 1
        run = BrokenRun if self.opened == 1 else EcsRun
        return run(EcsTaskWatch.from_dict(self.watch), settings, task_log)


class BrokenRun(EcsRun):
    async def completion(self) -> CompletionEvent:
        await asyncio.sleep(0.3)
        nothing: list[CompletionEvent] = []
        return nothing[0]


async def test_a_defect_in_one_run_is_said_there_and_the_watching_starts_again(
    memory: MemoryAws, task_log: TaskLogReader, caplog: pytest.LogCaptureFixture
) -> None:
    arns = saying_hello(memory, 0, 1)
    events = await asyncio.gather(event_of(trigger(0, arns[0], kind=CrashingOnce)), event_of(trigger(1, arns[1])))
    assert [type(event) for event in events] == [TaskSuccessEvent] * 2
    assert "A defect of asyncrun while watching (IndexError: list index out of range)" in said(task_log, 0)
    assert "defect" not in said(task_log, 1)
    assert said(task_log, 0, "main") == "hello 0"
    assert said(task_log, 1, "main") == "hello 1"
    assert f"A defect of asyncrun while watching ECS task {arns[0]}" in caplog.text


class Hopeless(RunTrigger):
    """A run that breaks each time."""

    def __init__(self, watch: Any = None) -> None:
        super().__init__(watch)
        self.stopped: list[str] = []
        self.opened: list[float] = []

    def open_run(self, settings: Settings, task_log: TaskLog) -> Run:
        self.opened.append(asyncio.get_running_loop().time())
        return self

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None: ...

    async def completion(self) -> CompletionEvent:
        raise ZeroDivisionError("a defect")

    async def stop(self, reason: str) -> None:
        self.stopped.append(reason)
        if len(self.watch or ()) > 0:
            raise Unavailable("StopTask was not answered")

    def __str__(self) -> str:
        return "a hopeless run"


class Flaky(EcsTaskTrigger):
    """A trigger whose run shows a defect six times, each time after it watched well for a while."""

    crashes_left = 6

    def open_run(self, settings: Settings, task_log: TaskLog) -> EcsRun:
        kind = FlakyRun if self.crashes_left else EcsRun
        self.crashes_left -= 1
        return kind(EcsTaskWatch.from_dict(self.watch), settings, task_log)


class FlakyRun(EcsRun):
    async def completion(self) -> CompletionEvent:
        watching = asyncio.create_task(super().completion(), name="watching")
        await asyncio.wait({watching}, timeout=700)
        watching.cancel()
        await asyncio.wait({watching})
        raise ZeroDivisionError("a defect")


async def test_crashes_far_apart_never_end_a_run_and_its_log_shows_each_line_once(
    memory: MemoryAws, task_log: TaskLogReader, settings: pytest.MonkeyPatch
) -> None:
    for name in ("POLL_INTERVAL", "LOGS_POLL_INTERVAL", "LOGS_POLL_IDLE"):
        settings.setenv(f"AIRFLOW__ASYNCRUN__{name}", "20")
    arn, lines = memory.put(0), [f"line {number}" for number in range(1000)]
    memory.lines[stream_of(0)] = lines[:900]
    at(1500, lambda: memory.lines[stream_of(0)].extend(lines[900:]))
    at(4400, lambda: memory.finish(0))
    event = await event_of(trigger(0, arn, kind=Flaky))
    assert type(event) is TaskSuccessEvent
    assert said(task_log, 0).count("A defect of asyncrun while watching (ZeroDivisionError: a defect)") == 6
    assert said(task_log, 0, "main").split("\n") == lines


@pytest.mark.parametrize("stoppable", [True, False])
async def test_a_run_with_a_defect_that_stays_is_stopped_and_not_left_behind(
    task_log: TaskLogReader, *, stoppable: bool
) -> None:
    made = Hopeless([] if stoppable else ["cannot be stopped"])
    made.trigger_id = 0
    with pytest.raises(ZeroDivisionError):
        await event_of(made)
    assert [at - made.opened[0] for at in made.opened] == [0, 5, 15]
    assert made.stopped == ["Stopped by Airflow: a defect of asyncrun, which can no longer watch this task"]
    await asyncio.sleep(1)
    told = "a hopeless run could not be stopped and may still be running: StopTask was not answered"
    assert (told in said(task_log, 0)) is not stoppable
