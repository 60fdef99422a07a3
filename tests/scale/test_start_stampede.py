"""1,000 ECS triggers come to one real triggerer within 10 s, and their runs end within seconds of each other."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from pathlib import Path

import pytest

from asyncrun.model.ecs_watch import EcsTaskWatch
from asyncrun.model.refs import AwsTarget, EcsTaskRef
from benchmarks.standin import Control, Options, StandIn, TaskSpec
from tests.support.triggerer_lab import Work, run_triggerer

pytestmark = [pytest.mark.scale, pytest.mark.timeout(900)]

RUNS = 1000
HAND_OVER = 10.0  # s
LIFETIME = 150.0  # s
THRESHOLD = 30.0  # s; Airflow's triggerer_health_check_threshold


def test_a_thousand_that_start_within_ten_seconds_all_run_and_none_costs_the_heartbeat(tmp_path: Path) -> None:
    with StandIn(Options()) as standin:
        spec = TaskSpec(lifetime=LIFETIME, lines_per_second=0.1, startup=2.0)
        tasks = Control(standin.address).create(RUNS, spec, cluster="default", stagger=0.0)
        triggers = [("asyncrun.triggers.ecs.EcsTaskTrigger", {"watch": _watch(task)}) for task in tasks]
        work = Work(triggers=triggers, hand_over=HAND_OVER, limit=600.0)
        fared = run_triggerer(tmp_path, work, standin.environment() | _TOLD_OF_LONG_STEPS)
    started = _started(tmp_path)
    output = (tmp_path / "output.txt").read_text()
    blocked = [float(seconds) for seconds in re.findall(r"blocked for ([0-9.]+) s", output)]
    print(
        f"\n{fared}; the supervisor had all after {fared.all_running - fared.began:.1f} s, the last one started after "
        f"{started[-1] - fared.began:.1f} s, {fared.loading:.1f} s of it went into loading; "
        f"longest steps of the event loop {sorted(blocked)[-5:]} s"
    )
    assert fared.complete
    assert len(started) == RUNS, "each started, and once"
    assert fared.states == {"success": RUNS}
    assert fared.longest_gap < THRESHOLD


_TOLD_OF_LONG_STEPS = {"AIRFLOW__TRIGGERER__BLOCKED_MAIN_THREAD_WARNING_THRESHOLD": "0.05"}


def _watch(task: dict[str, str]) -> dict[str, object]:
    now = time.time()
    return EcsTaskWatch(
        target=AwsTarget(conn_id=None, region_name="us-east-1"),
        deferred_at=now,
        launched_at=now,
        ref=EcsTaskRef(cluster=task["cluster"], task_arn=task["arn"]),
        end_in_triggerer=True,
        push_result=False,
    ).to_dict()


def _started(home: Path) -> list[float]:
    """When each trigger said that it starts, seconds since the epoch."""
    found = []
    for file in (home / "logs").rglob("*.log"):
        for line in file.read_text().splitlines():
            record = json.loads(line)
            if str(record["event"]).endswith(" starting"):
                found.append(datetime.fromisoformat(record["timestamp"]).timestamp())
    return sorted(found)
