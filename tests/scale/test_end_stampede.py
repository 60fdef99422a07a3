"""
1,000 runs end in the same second in a real triggerer that uploads each one's log to S3, 0.2 s each.

Airflow's own supervisor, with its database, its heartbeat and its uploads. About six minutes.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.slow_s3 import BUCKET, SlowS3, slow_s3
from tests.support.triggerer_lab import Fared, Work, remote_logs, run_triggerer

pytestmark = [pytest.mark.scale, pytest.mark.timeout(1200)]

THRESHOLD = 30.0  # s; Airflow's triggerer_health_check_threshold and runner_health_check_threshold
UPLOAD = 0.2  # s
LINES = 3
_MODULE = "tests.support.ending_trigger"


def _ended(home: Path, runs: int, s3: SlowS3, kind: str = "EndingTrigger") -> Fared:
    """Half of ours resume their task, half end it. The first one is always ours."""
    triggers: list[tuple[str, dict[str, Any]]] = []
    for number in range(runs):
        watch = {"number": number, "lines": LINES, "go": str(home / "go"), "in_triggerer": number % 2 == 0}
        triggers.append((f"{_MODULE}.{kind if number else 'EndingTrigger'}", {"watch": watch}))
    fared = run_triggerer(home, Work(triggers=triggers, limit=900.0), remote_logs(s3.url, BUCKET))
    print(f"\n{runs} runs ({kind}): {fared}")
    return fared


def _assert_complete(fared: Fared, runs: int) -> None:
    assert fared.complete
    assert fared.states == {"scheduled": runs // 2, "success": runs // 2}


def _assert_every_log_is_there(s3: SlowS3, runs: int) -> None:
    """Ours: Airflow's own "Trigger fired event" and "trigger completed" come after the upload where the log is slow."""
    names = s3.names()
    assert len(names) == runs
    seen = set()
    for name in names:
        said = [json.loads(line)["event"] for line in s3.read(name).splitlines()]
        ended = next(event for event in said if event.endswith(" has ended"))
        number = int(ended.split()[1])
        seen.add(number)
        expected = [f"line {line} of run {number}" for line in range(LINES)]
        assert [event for event in said if event.startswith("line ")] == expected
        assert said.index(ended) > said.index(expected[-1])
    assert seen == set(range(runs))


def test_a_thousand_ends_leave_the_triggerer_its_heartbeat_and_every_log_is_uploaded(tmp_path: Path) -> None:
    with slow_s3(tmp_path / "s3", UPLOAD) as s3:
        fared = _ended(tmp_path / "airflow", 1000, s3)
        _assert_complete(fared, 1000)
        _assert_every_log_is_there(s3, 1000)
    assert fared.longest_gap < THRESHOLD
    assert max(took for _, _, took in fared.told) < THRESHOLD


def test_without_pacing_fewer_ends_cost_it_the_heartbeat(tmp_path: Path) -> None:
    """Triggers that end as upstream's do, for comparison; and because it shows that the others can fail."""
    with slow_s3(tmp_path / "s3", UPLOAD) as s3:
        fared = _ended(tmp_path / "airflow", 180, s3, "PlainTrigger")
    assert fared.complete
    assert fared.longest_gap > THRESHOLD


def test_slow_uploads_are_survived(tmp_path: Path) -> None:
    with slow_s3(tmp_path / "s3", 2.0) as s3:
        fared = _ended(tmp_path / "airflow", 20, s3)
        _assert_complete(fared, 20)
        _assert_every_log_is_there(s3, 20)
    assert fared.longest_gap < THRESHOLD


def test_refused_uploads_are_survived(tmp_path: Path) -> None:
    with slow_s3(tmp_path / "s3", -1) as s3:
        fared = _ended(tmp_path / "airflow", 6, s3)
        _assert_complete(fared, 6)
        assert s3.names() == []
    assert fared.longest_gap < THRESHOLD
