"""A real triggerer in a process of its own, with a database and, if wanted, remote logs: what tests see of it."""

from __future__ import annotations

import base64
import itertools
import json
import os
import secrets
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import attrs

from asyncrun.local.airflow import database

_ROOT = Path(__file__).resolve().parents[2]
DAG_ID, RUN_ID, TASK_ID = "ends", "manual", "run"


@attrs.define(kw_only=True)
class Work:
    """
    What to run. All times are seconds.

    The first trigger goes ahead of the others: with the first message that needs its database the supervisor makes a
    whole FastAPI application, which takes it seconds, and on a busy machine half a minute.

    :param triggers: class path and arguments of each.
    :param hand_over: time over which they are handed over; 0: all at once.
    :param settle: time that it then stands idle.
    :param hold: time that all run before the file ``go`` appears, which ends them.
    :param limit: after that the whole is given up.
    :param capacity: of the triggerer; 0: enough for all.
    """

    triggers: list[tuple[str, dict[str, Any]]]
    hand_over: float = 0.0
    settle: float = 2.0
    hold: float = 1.0
    limit: float = 600.0
    capacity: int = 0


@attrs.define(kw_only=True)
class Fared:
    """
    How it fared. Times are seconds since the epoch, durations seconds.

    :param beats: heartbeats in the database.
    :param told: of each message that told ends: when, how many, how long the supervisor took.
    :param events: of each row of events: when, how many, how long the supervisor took.
    :param turns: duration of each turn of the supervisor's loop.
    :param loaded: when, and how many triggers the supervisor had then.
    :param states: how many task instances ended in which state.
    """

    began: float = 0.0
    all_running: float = 0.0
    go: float = 0.0
    ended: float = 0.0
    complete: bool = False
    beats: list[float] = attrs.field(factory=list)
    told: list[tuple[float, int, float]] = attrs.field(factory=list)
    events: list[tuple[float, int, float]] = attrs.field(factory=list)
    turns: list[float] = attrs.field(factory=list)
    loaded: list[tuple[float, int]] = attrs.field(factory=list)
    loading: float = 0.0
    requests: dict[str, int] = attrs.field(factory=dict)
    states: dict[str, int] = attrs.field(factory=dict)

    @property
    def longest_gap(self) -> float:
        """Between two heartbeats, from the last one before ``began`` on, or between the last one and the end."""
        first = max(beat for beat in self.beats if beat <= self.began)
        beats = [*(beat for beat in self.beats if beat >= first), self.ended]
        return max(after - before for before, after in itertools.pairwise(beats))

    @property
    def ends(self) -> int:
        """That were told."""
        return sum(count for _, count, _ in self.told)

    def __str__(self) -> str:
        longest = max((took for _, _, took in self.told), default=0.0)
        most = max((count for _, count, _ in self.told), default=0)
        return (
            f"{self.ends} ends in {self.ended - self.go:.1f} s; longest time without a heartbeat "
            f"{self.longest_gap:.1f} s; "
            f"most ends in one message {most}, longest message {longest:.1f} s; states {self.states}; "
            f"requests {self.requests}"
        )


def run_triggerer(home: Path, work: Work, environment: Mapping[str, str]) -> Fared:
    """
    Run it to the end.

    :param home: an empty folder; its file ``go`` ends the triggers; logs are in ``logs``.
    :param environment: Airflow's and asyncrun's settings besides, as variables.
    :raises RuntimeError: the process failed; with its output.
    """
    home.mkdir(parents=True, exist_ok=True)
    variables = _environment(home, environment)
    database.create(home / "airflow.db", variables)
    (home / "work.json").write_text(json.dumps(attrs.asdict(work)))
    with (home / "output.txt").open("wb") as output:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.support.triggerer_process", str(home)],
            cwd=_ROOT, env=variables, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT,
        )  # fmt: skip
        try:
            code = process.wait(work.limit + 180)
        finally:
            process.kill()
            process.wait()
    if code != 0:
        raise RuntimeError(f"the triggerer ended with {code}:\n{(home / 'output.txt').read_text()[-8000:]}")
    return Fared(**json.loads((home / "fared.json").read_text()))


def remote_logs(url: str, bucket: str) -> dict[str, str]:
    """Settings by which Airflow's logs go to that S3."""
    connection = {
        "conn_type": "aws", "login": "test", "password": "test",
        "extra": {"endpoint_url": url, "region_name": "us-east-1"},
    }  # fmt: skip
    return {
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{bucket}/logs",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "logs",
        "AIRFLOW_CONN_LOGS": json.dumps(connection),
    }


def _environment(home: Path, given: Mapping[str, str]) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AIRFLOW", "_AIRFLOW", "AWS_"))}
    return {
        **kept,
        "AIRFLOW_HOME": str(home),
        "AIRFLOW__CORE__LOAD_EXAMPLES": "False",
        "AIRFLOW__CORE__FERNET_KEY": base64.urlsafe_b64encode(secrets.token_bytes(32)).decode(),
        "AIRFLOW__CORE__HOSTNAME_CALLABLE": "socket.gethostname",
        "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": f"sqlite:///{home / 'airflow.db'}",
        "AIRFLOW__DATABASE__CHECK_MIGRATIONS": "False",
        "AIRFLOW__LOGGING__BASE_LOG_FOLDER": str(home / "logs"),
        "AIRFLOW__USAGE_DATA_COLLECTION__ENABLED": "False",
        "NO_PROXY": "127.0.0.1,localhost",
        "no_proxy": "127.0.0.1,localhost",
        **given,
    }
