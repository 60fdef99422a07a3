"""Metrics as they leave a triggerer: real triggers, Airflow's own stats, a real StatsD server."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import pytest
from airflow.sdk._shared.observability.metrics import stats
from airflow.triggers.base import TaskSuccessEvent

from asyncrun.clients.config import load_settings
from asyncrun.local.aws.options import Fault
from asyncrun.triggers.ecs import run_inline
from asyncrun.triggers.metrics.catalogue import CATALOGUE
from asyncrun.triggers.metrics.reporter import reporter
from asyncrun.triggers.registry import registry
from tests.support.lab import Lab, container, logging_to
from tests.support.triggers import call, event_of, trigger
from tests.triggers.conftest import TRIGGER_ID, TaskLogReader
from tests.triggers.metrics.conftest import HOST
from tests.triggers.metrics.statsd import StatsdServer

DOCS = Path(__file__).parents[3] / "docs" / "metrics.md"


async def run_of(lab: Lab, script: str) -> str:
    return str(await asyncio.to_thread(lab.run, container(script, **logging_to())))


async def last_sent() -> None:
    """The last metrics have left."""
    await reporter().finish()


@pytest.fixture
def every_second(settings: pytest.MonkeyPatch, loop_closed: None) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__METRICS_INTERVAL", "1")
    load_settings.cache_clear()


async def watched_until_sent(
    lab: Lab, statsd: StatsdServer, runs: str, go_on: Path, *, before: str = "true", after: str = "exit 0"
) -> None:
    """Watch a run that lasts until that metric has told of it, to its end."""
    arn = await run_of(lab, f"{before}; until test -e '{go_on}'; do sleep 0.1; done; {after}")
    watching = asyncio.create_task(event_of(trigger(TRIGGER_ID, arn)), name="trigger")
    async with asyncio.timeout(20):
        while 1 not in statsd.values(runs):  # noqa: ASYNC110 - what left is what counts
            await asyncio.sleep(0.1)
    await call(go_on.touch)
    await watching


@pytest.mark.usefixtures("every_second")
async def test_a_run_shows_in_the_metrics_of_its_triggerer(
    lab: Lab, task_log: TaskLogReader, statsd: StatsdServer, tmp_path: Path
) -> None:
    await watched_until_sent(
        lab, statsd, f"ecs.runs.{HOST}", tmp_path / "go on", before="echo one; echo two", after="exit 3"
    )
    await last_sent()
    assert max(statsd.values(f"ecs.watchers.{HOST}")) == 1
    assert statsd.values(f"ecs.runs.{HOST}")[-1] == statsd.values(f"ecs.watchers.{HOST}")[-1] == 0, "nothing is left"
    assert statsd.values("ecs.ended.failed") == [1]
    (lag,) = statsd.values("ecs.detection_lag")
    assert 0 <= lag < 3000
    container_lines, ours = 2, len(task_log.lines("asyncrun"))
    assert sum(statsd.values("logs.lines")) == container_lines + ours
    assert sum(statsd.values("logs.events")) == container_lines
    assert sum(statsd.values("calls.ecs-reads")) >= 2
    assert statsd.values(f"logs.backlog_bytes.{HOST}")[-1] == statsd.values(f"logs.backlog_lines.{HOST}")[-1] == 0
    kinds = {name.removeprefix("airflow.asyncrun."): kind for name, _, kind in statsd.received()}
    assert (kinds[f"ecs.round.{HOST}"], kinds["ecs.rounds"], kinds["ecs.detection_lag"]) == ("g", "c", "ms")


@pytest.mark.usefixtures("every_second")
async def test_where_tags_are_carried_they_tell_values_apart_and_names_do_not(
    lab: Lab, task_log: TaskLogReader, tagged_statsd: StatsdServer, tmp_path: Path
) -> None:
    await watched_until_sent(lab, tagged_statsd, f"ecs.runs,cluster=default,hostname={HOST}", tmp_path / "go on")
    await last_sent()
    assert tagged_statsd.values(f"ecs.ended,verdict=succeeded,hostname={HOST}") == [1]
    assert tagged_statsd.values(f"logs.streams_missing,region=us-east-1,group=_lab,hostname={HOST}")
    assert any(name.startswith("airflow.asyncrun.calls,api=ecs-reads,") for name, _, _ in tagged_statsd.received())


@pytest.mark.usefixtures("every_second")
async def test_throttled_answers_and_waiting_for_the_budget_show(
    lab: Lab, task_log: TaskLogReader, statsd: StatsdServer, settings: pytest.MonkeyPatch
) -> None:
    settings.setenv("AIRFLOW__ASYNCRUN__DESCRIBE_RATE", "2")
    load_settings.cache_clear()
    await asyncio.to_thread(lab.aws.control.add_faults, Fault("DescribeTasks", "throttle", count=3))
    await event_of(trigger(TRIGGER_ID, await run_of(lab, "sleep 2")))
    await last_sent()
    assert sum(statsd.values("calls_throttled.ecs-reads")) > 0
    assert sum(statsd.values("ecs.faults")) > 0
    assert sum(statsd.values("calls_waited.ecs-reads")) > 0


@pytest.mark.usefixtures("every_second")
async def test_a_backend_that_fails_or_is_slow_hurts_nobody_and_is_told_once(
    lab: Lab, task_log: TaskLogReader, statsd: StatsdServer, caplog: pytest.LogCaptureFixture
) -> None:
    class Broken:
        def __getattr__(self, name: str) -> Any:
            def fail(*args: object, **named: object) -> None:
                time.sleep(2)
                raise ZeroDivisionError("a broken backend")

            return fail

    stats.initialize(factory=Broken, export_legacy_names=True)  # type: ignore[arg-type]
    longest = 0.0

    async def measure() -> None:
        nonlocal longest
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            longest = max(longest, time.monotonic() - before)

    measuring = asyncio.create_task(measure(), name="measure")
    assert isinstance(await event_of(trigger(TRIGGER_ID, await run_of(lab, "sleep 3"))), TaskSuccessEvent)
    measuring.cancel()
    await asyncio.wait([measuring])
    await last_sent()
    assert longest < 1.5  # the event loop never waited for the backend
    told = [record for record in caplog.records if "Metrics of asyncrun could not be sent" in record.getMessage()]
    assert len(told) == 1
    assert "defect" not in task_log.said()


@pytest.mark.usefixtures("every_second")
async def test_a_worker_that_waits_sends_none(lab: Lab, task_log: TaskLogReader, statsd: StatsdServer) -> None:
    assert isinstance(await run_inline(trigger(TRIGGER_ID, await run_of(lab, "sleep 1.5"))), TaskSuccessEvent)
    assert statsd.received() == []


@pytest.mark.usefixtures("every_second")
async def test_without_metrics_in_airflow_there_is_no_task_for_them(lab: Lab, task_log: TaskLogReader) -> None:
    watching = asyncio.create_task(event_of(trigger(TRIGGER_ID, await run_of(lab, "sleep 2"))), name="trigger")
    async with asyncio.timeout(20):
        while not registry().statistics():  # noqa: ASYNC110 - no signal of ours
            await asyncio.sleep(0.02)
    await asyncio.sleep(0.05)
    assert "asyncrun metrics" not in {task.get_name() for task in asyncio.all_tasks()}
    await watching


def test_the_documentation_lists_every_metric() -> None:
    rows = [
        f"| `{one.name}` | {one.kind} | {one.unit} | {', '.join(one.tags) or '-'} | {one.meaning} |"
        for one in CATALOGUE
    ]
    assert [line for line in DOCS.read_text().splitlines() if line.startswith("| `asyncrun.")] == rows
