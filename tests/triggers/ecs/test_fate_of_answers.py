"""One fate does not take all: answers that cannot be read about one task, and an API that is away for all."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from airflow.triggers.base import TaskSuccessEvent, TriggerEvent

from asyncrun.model.errors import Unavailable
from asyncrun.model.outcome import Verdict
from asyncrun.triggers.watch.questions import Tuning
from tests.support.gateway import Gateway
from tests.support.kill import KILL
from tests.support.lab import Lab
from tests.support.memory_aws import MemoryAws, at
from tests.support.triggers import (
    ONE,
    TARGET,
    call,
    end,
    hears,
    said,
    start,
    tell,
    trigger,
    tuned_poller,
    until,
    until_told,
)
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

SPOILT: list[dict[str, Any]] = [{"lastStatus": 7}, {"taskDefinitionArn": ["x"]}, {"containers": [7]}]


async def test_an_answer_that_is_malformed_for_one_task_fails_that_one_only(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], tmp_path: Path
) -> None:
    """Three tasks, each malformed in another way, beside two healthy ones."""
    connect(ONE, "AKIDONE")
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(5)]
    spoilt = dict(zip(arns[1:4], SPOILT, strict=True))

    def change(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        for one in answer.get("tasks", ()) if operation == "DescribeTasks" else ():
            one.update(spoilt.get(one["taskArn"], {}))
        return answer

    gateway.change = change
    runs = [start(trigger(n, arn, ONE)) for n, arn in enumerate(arns)]
    for number in (1, 2, 3):
        broken = end(await runs[number])
        assert broken.outcome.verdict is Verdict.LOST
        assert "cannot be read" in broken.diagnosis.summary
        assert arns[number] in broken.diagnosis.summary
    assert not runs[0].done()
    assert not runs[4].done()
    tell(tmp_path)
    for number in (0, 4):
        assert isinstance(await runs[number], TaskSuccessEvent)
        assert said(task_log, number, "main") == "before\nafter"
        assert "cannot be" not in said(task_log, number)


async def test_an_answer_that_is_malformed_for_a_moment_fails_nobody(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], tmp_path: Path
) -> None:
    connect(ONE, "AKIDONE")
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(2)]
    spoiled: list[str] = []

    def change(operation: str, answer: dict[str, Any]) -> dict[str, Any]:
        for one in answer.get("tasks", ()):
            if one["taskArn"] == arns[1] and len(spoiled) < 2:
                spoiled.append(one["taskArn"])
                one["lastStatus"] = {}
        return answer

    gateway.change = change
    runs = [start(trigger(n, arn, ONE)) for n, arn in enumerate(arns)]
    await until(lambda: len(spoiled) == 2)
    tell(tmp_path)
    assert [type(event) for event in await asyncio.gather(*runs)] == [TaskSuccessEvent] * 2


async def test_an_api_that_refuses_connections_fails_nobody_and_is_said_once_in_each_log(
    lab: Lab, task_log: TaskLogReader, tmp_path: Path
) -> None:
    """Some seconds, through the real client; the two minutes are below, in virtual time."""
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(3)]
    async with tuned_poller(TARGET, arns[0], Tuning(backoff=0.5, patience=0.5)):
        runs = [start(trigger(n, arn)) for n, arn in enumerate(arns)]
        for number in range(3):
            await hears(task_log, number, "before", "main")
        await call(lab.aws.control.refuse_all)
        for number in range(3):
            await hears(task_log, number, "cannot be seen at the moment; the watching goes on")
        asked = len(await call(lab.aws.control.calls, "DescribeTasks"))
        await until(lambda: len(lab.aws.control.calls("DescribeTasks")) > asked + 2)
        assert not any(run.done() for run in runs)
        await call(lab.aws.control.refuse_all, refuse=False)
        for number in range(3):
            await hears(task_log, number, "can be seen again, after")
        tell(tmp_path)
        events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in range(3):
        assert said(task_log, number, "main").split("\n") == ["before", "after"]
        assert said(task_log, number).count("cannot be seen at the moment") == 1
        assert said(task_log, number).count("can be seen again, after") == 1


@pytest.mark.looptime
@pytest.mark.parametrize("kill_one", [False, True])
async def test_two_minutes_without_an_api_fail_nobody_and_one_that_is_killed_then_leaves_alone(
    memory: MemoryAws, task_log: TaskLogReader, *, kill_one: bool
) -> None:
    loop = asyncio.get_running_loop()
    runs = [start(trigger(number, memory.put(number))) for number in range(5)]
    away, began = Unavailable("the connection to AWS was refused"), loop.time()
    at(10, lambda: setattr(memory, "fault", lambda operation: away))
    at(70, lambda: kill_one and runs[4].cancel(KILL))
    at(80, lambda: [memory.finish(0), memory.finish(1)])
    at(130, lambda: setattr(memory, "fault", lambda operation: None))
    at(200, lambda: [memory.finish(2), memory.finish(3, code=3), memory.finish(4)])
    await asyncio.sleep(129)
    assert [run.done() for run in runs] == [False] * 4 + [kill_one]
    await asyncio.sleep(60)
    assert [run.done() for run in runs] == [True] * 2 + [False] * 2 + [kill_one]
    await asyncio.wait(runs)
    assert 200 <= loop.time() - began < 230
    assert [type(run.result()) for run in runs[:4]] == [TaskSuccessEvent] * 3 + [TriggerEvent]
    assert end(runs[3].result()).outcome.exit_code == 3
    if kill_one:
        with pytest.raises(asyncio.CancelledError) as caught:
            runs[4].result()
        assert caught.value.args == (KILL,)
    for number in range(4):
        text = said(task_log, number)
        assert text.count("cannot be seen at the moment; the watching goes on. the connection to AWS was refused") == 1
        assert text.count("can be seen again, after") == 1
