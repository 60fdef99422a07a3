"""One fate does not take all: what happens to the credentials of one target is not the others' news."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.model.backoff import Backoff
from asyncrun.model.diagnosis import Cause
from asyncrun.model.outcome import StopCause, Verdict
from asyncrun.triggers.watch.questions import Tuning
from tests.support.gateway import Gateway
from tests.support.lab import Lab, container
from tests.support.triggers import (
    ONE,
    TWO,
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
from tests.triggers.ecs.conftest import SECRET

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")

ROLE = "arn:aws:iam::123456789012:role/runner"


async def test_a_role_that_expires_and_comes_back_fails_nobody_and_the_other_target_hears_nothing(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], settings: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__ACCESS_GRACE", "60")
    connect(ONE, "AKIDONE", role_arn=ROLE)
    connect(TWO, "AKIDTWO")
    arns = [await call(lab.run, until_told(tmp_path)) for _ in range(2)]
    async with tuned_poller(ONE, arns[0], Tuning(backoff=0.5, renewals=Backoff(first=1.0, longest=1.0))):
        runs = [start(trigger(0, arns[0], ONE)), start(trigger(1, arns[1], TWO))]
        for number in (0, 1):
            await hears(task_log, number, "before", "main")
        assumed = set(gateway.keys_of("DescribeTasks")) - {"AKIDTWO"}
        assert len(assumed) == 1
        gateway.expired |= {*assumed, "AKIDONE"}  # neither the role nor a new one: STS refuses as well
        await hears(task_log, 0, "cannot be seen at the moment; the watching goes on")
        gateway.expired.discard("AKIDONE")  # the old session stays expired: only a new one helps
        await hears(task_log, 0, "can be seen again, after")
        tell(tmp_path)
        events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 2
    assert "AWS does not accept the credentials of Airflow connection 'fate_one'" in said(task_log, 0)
    assert "cannot be seen" not in said(task_log, 1)
    assert set(gateway.keys_of("DescribeTasks")) - {"AKIDTWO"} > assumed
    assert SECRET not in json.dumps(task_log.records())


async def test_a_role_that_does_not_come_back_fails_its_run_only_and_says_who_must_act(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], tmp_path: Path
) -> None:
    connect(ONE, "AKIDONE")
    connect(TWO, "AKIDTWO")
    arns = [await call(lab.run, container("sleep 30")), await call(lab.run, until_told(tmp_path))]
    runs = [start(trigger(0, arns[0], ONE)), start(trigger(1, arns[1], TWO))]
    for number in (0, 1):
        await hears(task_log, number, "is RUNNING")
    gateway.expired.add("AKIDONE")
    failed = end(await runs[0])
    assert not runs[1].done()
    assert (failed.outcome.verdict, failed.outcome.stop_cause, failed.diagnosis.cause) == (
        Verdict.LOST, StopCause.ACCESS, Cause.ACCESS,
    )  # fmt: skip
    assert "may still be running" in failed.diagnosis.summary
    assert "connection 'fate_one'" in said(task_log, 0)
    assert "Whoever manages" in str(failed.diagnosis.next_step)
    tell(tmp_path)
    assert isinstance(await runs[1], TaskSuccessEvent)
    assert said(task_log, 1, "main") == "before\nafter"
    assert "cannot be seen" not in said(task_log, 1)
    assert SECRET not in json.dumps([task_log.records(), failed.to_dict()])
    await call(lab.ecs.stop_task, task=arns[0])


async def test_a_connection_that_is_rotated_in_mid_run_is_nobodys_news(
    lab: Lab, task_log: TaskLogReader, gateway: Gateway, connect: Callable[..., None], settings: pytest.MonkeyPatch,
    tmp_path: Path,
) -> None:  # fmt: skip
    settings.setenv("AIRFLOW__ASYNCRUN__CONNECTION_TTL", "1")
    connect(ONE, "AKIDOLD")
    connect(TWO, "AKIDTWO")
    ticking = until_told(tmp_path, each="i=$((i+1)); echo tick $i")
    arns = [await call(lab.run, ticking) for _ in range(3)]
    runs = [start(trigger(n, arn, target)) for n, (arn, target) in enumerate(zip(arns, (ONE, ONE, TWO), strict=True))]
    for number in range(3):
        await hears(task_log, number, "tick 1", "main")
    connect(ONE, "AKIDNEW")
    await until(lambda: "AKIDNEW" in gateway.keys_of("DescribeTasks"))
    gateway.expired.add("AKIDOLD")  # as after a rotation: the old key is deleted
    await until(lambda: gateway.keys_of("FilterLogEvents")[-4:].count("AKIDNEW") >= 2)
    tell(tmp_path)
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in range(3):
        first, *ticks, last = said(task_log, number, "main").split("\n")
        assert (first, last) == ("before", "after")
        assert ticks == [f"tick {i}" for i in range(1, len(ticks) + 1)]
        assert len(ticks) >= 10
        assert "cannot be seen" not in said(task_log, number)
    for operation in ("DescribeTasks", "FilterLogEvents"):
        used = gateway.keys_of(operation)
        assert {"AKIDOLD", "AKIDNEW", "AKIDTWO"} == set(used)
        assert "AKIDOLD" not in used[-4:]
