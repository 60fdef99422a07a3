"""One fate does not take all: a log that is gone, and one that is far too long."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest
from airflow.triggers.base import TaskSuccessEvent

from tests.support.lab import Lab, container, logging_to
from tests.support.triggers import call, hears, said, start, tell, trigger, until_told
from tests.triggers.conftest import TaskLogReader

pytestmark = pytest.mark.usefixtures("settings", "loop_closed")


async def test_a_log_group_that_is_gone_costs_its_runs_log_and_nothing_else(
    lab: Lab, task_log: TaskLogReader, tmp_path: Path
) -> None:
    groups = ["/fate/1", "/fate/2", "/fate/3"]
    for group in groups:
        await call(lab.logs.create_log_group, logGroupName=group)
    arns = [await call(lab.run, until_told(tmp_path, group=group)) for group in groups]
    await call(lab.wait, arns[1], "RUNNING")
    await call(lab.logs.delete_log_group, logGroupName="/fate/2")
    runs = [start(trigger(n, arn)) for n, arn in enumerate(arns)]
    for number in (0, 2):
        await hears(task_log, number, "before", "main")
    tell(tmp_path)
    assert [type(event) for event in await asyncio.gather(*runs)] == [TaskSuccessEvent] * 3
    assert [said(task_log, n, "main") for n in range(3)] == ["before\nafter", "", "before\nafter"]
    assert "No log of container main" in said(task_log, 1)
    assert "/fate/2" in said(task_log, 1)
    for number in (0, 2):
        assert "No log" not in said(task_log, number)


NOISE = (
    "import sys, time\n"
    "for second in range(4):\n"
    "    began = time.time()\n"
    "    sys.stdout.write(''.join(f'noise {second} {i}\\n' for i in range(10000)))\n"
    "    sys.stdout.flush()\n"
    "    time.sleep(max(0, began + 1 - time.time()))\n"
    "print('the last line', flush=True)\n"
)


async def test_ten_thousand_lines_a_second_drown_nobody_else(lab: Lab, task_log: TaskLogReader) -> None:
    noisy = container(**logging_to())
    noisy.update(entryPoint=["python3", "-c"], command=[NOISE])
    quiet = container("for i in 1 2 3 4 5 6 7 8; do echo quiet $i; sleep 0.5; done", **logging_to())
    arns = [await call(lab.run, definition) for definition in (noisy, quiet, quiet)]
    runs = [start(trigger(n, arn)) for n, arn in enumerate(arns)]
    await hears(task_log, 0, "noise 0 0", "main")
    for number in (1, 2):
        await hears(task_log, number, "quiet 8", "main")
    events = await asyncio.gather(*runs)
    assert [type(event) for event in events] == [TaskSuccessEvent] * 3
    for number in (1, 2):
        assert said(task_log, number, "main").split("\n") == [f"quiet {i}" for i in range(1, 9)]
        assert "skipped" not in said(task_log, number)
    lines = said(task_log, 0, "main").split("\n")
    assert lines[-1] == "the last line"
    assert lines[-2] == "noise 3 9999"
    assert len(lines) < 4000
    skipped = [int(one.replace(",", "")) for one in re.findall(r"([\d,]+) lines? skipped here", "\n".join(lines))]
    assert sum(skipped) + len([one for one in lines if one.startswith(("noise", "the last"))]) == 40_001
