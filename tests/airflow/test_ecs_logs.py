"""The log as the REST API shows it: live, whole, in order, each line once."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Event, Thread
from typing import Any

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from asyncrun.local.demo.setup import LOG_GROUP
from tests.airflow.support import RunDag, Tasks, boto, container_lines, worker_runs

PARTS = 20
LINES = 100
# Bursts of equal lines and of lines within one millisecond, and the last line right before the end.
PRINTS = """exec python -u - <<'END'
import os, time
part = os.environ.get("PART", "0")
print("I am", os.environ.get("WHO", ""))
for number in range(%d):
    print("again and again" if number %% 10 < 3 else f"line {number} of part {part} \\u00fcber")
    if number %% 10 == 9:
        time.sleep(%s)
print(f"last line of part {part}", flush=True)
END"""
LIVE = """exec python -u - <<'END'
import time
for number in range(40):
    print(("ERROR " if number % 10 == 9 else "") + f"line {number}")
    time.sleep(0.4)
END"""


def printed(part: int, who: str) -> list[str]:
    lines = ["again and again" if number % 10 < 3 else f"line {number} of part {part} über" for number in range(LINES)]
    return [f"I am {who}", *lines, f"last line of part {part}"]


@pytest.fixture(scope="module")
def fan_outs(airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag) -> tuple[Tasks, Tasks]:
    """Two times twenty mapped tasks: with many lines each, and with one line right before the end."""
    programs = (PRINTS % (LINES, 0.3), 'echo "only line of $PART"')
    many, one = [
        Tasks(airflow, embedded_aws, "e2e_mapped", run_dag("e2e_mapped", {"program": program})) for program in programs
    ]
    for run in (many, one):
        airflow.expect("e2e_mapped", run.run_id, timeout=150)
    return many, one


def test_mapped_runs_lose_and_double_no_line(fan_outs: tuple[Tasks, Tasks]) -> None:
    """Twenty at a time, with templated overrides: also the fan-out by `expand`."""
    run, _ = fan_outs
    assert len(run.states()) == PARTS
    for part in range(PARTS):
        records = run.logs("part", part)
        assert container_lines(records) == printed(part, f"part[{part}] of e2e_mapped")
        assert worker_runs(records) == 1
        assert run.result("part", part) == f"last line of part {part}"
    assert len({run.arn("part", part) for part in range(PARTS)}) == PARTS


def test_last_line_right_before_the_end_is_never_missing(fan_outs: tuple[Tasks, Tasks]) -> None:
    _, run = fan_outs
    for part in range(PARTS):
        assert container_lines(run.logs("part", part)) == [f"only line of {part}"]
        assert run.result("part", part) == f"only line of {part}"


def test_lines_appear_within_three_seconds_of_being_readable(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    runs = [Tasks(airflow, embedded_aws, "e2e_run", run_dag("e2e_run", {"program": LIVE})) for _ in range(3)]
    for run in runs:
        airflow.wait_for("e2e_run", run.run_id, "run", {"deferred"})
    readable: dict[tuple[str, str], float] = {}
    events: dict[tuple[str, str], dict[str, Any]] = {}
    shown: dict[tuple[str, str], float] = {}
    streams = {f"ecs/main/{run.arn('run').rpartition('/')[2]}": run.run_id for run in runs}
    with polling(embedded_aws, streams, readable, events):
        open_runs = list(runs)
        while open_runs:
            for run in list(open_runs):
                deferred = run.ti("run").state == "deferred"
                records = run.logs("run")
                now = time.monotonic()
                if not deferred:  # what appears from now on was not shown live
                    open_runs.remove(run)
                    continue
                for line in container_lines(records):
                    shown.setdefault((run.run_id, line), now)
    assert len(readable) == 3 * 40
    missing = readable.keys() - shown.keys()
    assert not missing, f"never shown while deferred: {sorted(missing)}"
    delays = sorted(shown[key] - readable[key] for key in readable)
    figures = f"{len(delays)} lines: median {statistics.median(delays):.2f} s, longest {delays[-1]:.2f} s"
    print(figures)
    assert delays[-1] < 3, figures

    for run in runs:
        for record in (one for one in run.logs("run") if one.logger == "main"):
            event = events[run.run_id, record.event.split("\n")[0]]
            assert record.timestamp is not None
            assert abs(record.timestamp.timestamp() - event["timestamp"] / 1000) <= 0.1
            assert record.level == ("error" if record.event.startswith("ERROR") else "info")


@contextmanager
def polling(
    aws: EmbeddedAws,
    streams: dict[str, str],
    readable: dict[tuple[str, str], float],
    events: dict[tuple[str, str], dict[str, Any]],
) -> Iterator[None]:
    """Notes when each event became readable by FilterLogEvents, in a thread of its own."""
    logs, over = boto(aws, "logs"), Event()

    def poll() -> None:
        while not over.wait(0.2):
            for stream, run_id in streams.items():
                try:
                    pages = logs.get_paginator("filter_log_events").paginate(
                        logGroupName=LOG_GROUP, logStreamNames=[stream]
                    )
                    found = [event for page in pages for event in page["events"]]
                except logs.exceptions.ResourceNotFoundException:
                    continue  # the stream appears with its first flush
                now = time.monotonic()
                for event in found:
                    readable.setdefault((run_id, event["message"]), now)
                    events[run_id, event["message"]] = event

    thread = Thread(target=poll, name="poll CloudWatch")
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()
