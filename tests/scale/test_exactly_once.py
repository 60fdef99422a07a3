"""
Every line once, in order, as the REST endpoint shows it: over triggerers that die at random moments, several in a row.

It prints what it counted. ``ASYNCRUN_KILLS`` is how many kills of each kind each test makes (default 1),
``ASYNCRUN_KILLS_SEED`` the seed of the moments (default: a random one, printed), ``ASYNCRUN_KILLS_REPORT`` a file to
which the figures are added; ``ASYNCRUN_KILLS_THRESHOLD`` after how many seconds a triggerer is believed to be dead
(default 12; Airflow's is 30, and that is right for a machine that has much other work to do).

Where that is too short for the machine, triggers move away from a triggerer that lives. With S3 each of the two then
uploads its file, and Airflow reads one after the other, not side by side (3.3.2): lines of such runs may show twice,
beyond some 3,700 records. They are counted apart.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions
from asyncrun.local.aws import EmbeddedAws
from asyncrun.local.kube import EmbeddedKube
from tests.scale.dags.kills import PAIRS, RUNS, is_pair
from tests.support.dying import MOVED, Figures, Part, Stage, kinds_in_random_order
from tests.support.writing import BURST, Writers

pytestmark = [pytest.mark.scale, pytest.mark.airflow]

KILLS = int(os.environ.get("ASYNCRUN_KILLS", "1"))
SEED = int(os.environ.get("ASYNCRUN_KILLS_SEED", str(random.randrange(10**6))))
REPORT = os.environ.get("ASYNCRUN_KILLS_REPORT")
KILLS_IN_A_ROUND = 10
LINES_A_SECOND = 200
IN_A_ROW = 0.4  # of all kills come within 2 s of the take-over before
PATIENCE = 240  # s; on a machine that has other work to do
BUCKET = "task-logs"

SETTINGS = {
    "AIRFLOW__TRIGGERER__JOB_HEARTBEAT_SEC": "1",
    "AIRFLOW__TRIGGERER__TRIGGERER_HEALTH_CHECK_THRESHOLD": os.environ.get("ASYNCRUN_KILLS_THRESHOLD", "12"),
}


@contextmanager
def started(tmp_path: Path, settings: dict[str, str], *, s3: bool = False) -> Iterator[LocalAirflow]:
    """An Airflow, an ECS and a cluster of the test's own."""
    from asyncrun.local.demo.run import AIRFLOW_SETTINGS
    from asyncrun.local.demo.setup import AWS_OPTIONS, prepare_cluster

    with EmbeddedAws(AWS_OPTIONS) as aws, EmbeddedKube() as kube:
        prepare_account(aws)
        cluster = prepare_cluster(kube, tmp_path / "kubeconfig")
        remote = remote_logging(aws) if s3 else {}
        env = {**aws.env(), **cluster, **AIRFLOW_SETTINGS, **SETTINGS, **remote, **settings}
        with LocalAirflow(
            LocalAirflowOptions((Path(__file__).parent / "dags",), env=env, startup_timeout=PATIENCE)
        ) as airflow:
            airflow._http.timeout = PATIENCE
            airflow.dags_ready(["kills_ecs", "kills_pod"], PATIENCE)
            yield airflow


def prepare_account(aws: EmbeddedAws) -> None:
    """Register the task definitions of one and of two containers, and make the bucket."""
    import boto3

    from asyncrun.local.demo.setup import example_task_definition, register_example_task_definition

    register_example_task_definition(aws.client_options())
    definition = example_task_definition(aws.options.region)
    [main] = definition["containerDefinitions"]
    helper = {**main, "name": "helper", "essential": False}  # it ends first
    pair = {**definition, "family": "asyncrun-pair", "containerDefinitions": [main, helper]}
    boto3.client("ecs", **aws.client_options()).register_task_definition(**pair)
    boto3.client("s3", **aws.client_options()).create_bucket(Bucket=BUCKET)


def remote_logging(aws: EmbeddedAws) -> dict[str, str]:
    """Task logs go to S3 when a worker's or a trigger's part of them ends."""
    extra = {"endpoint_url": aws.endpoint_url, "region_name": aws.options.region}
    connection = {"conn_type": "aws", "login": "embedded", "password": "embedded", "extra": extra}
    return {
        "AIRFLOW_CONN_REMOTE_LOGS": json.dumps(connection),
        "AIRFLOW__LOGGING__REMOTE_LOGGING": "True",
        "AIRFLOW__LOGGING__REMOTE_BASE_LOG_FOLDER": f"s3://{BUCKET}/logs",
        "AIRFLOW__LOGGING__REMOTE_LOG_CONN_ID": "remote_logs",
    }


class Play:
    """Rounds of new runs, and of kills while they write."""

    def __init__(self, airflow: LocalAirflow, stage: Stage, chance: random.Random, folder: Path) -> None:
        self._airflow, self._stage, self._chance, self._folder = airflow, stage, chance, folder

    def rounds(self, count: int) -> Figures:
        """Kill so many triggerers of each kind."""
        kinds = kinds_in_random_order(self._chance, count)
        self._stage.start()
        for begin in range(0, len(kinds), KILLS_IN_A_ROUND):
            self._round(kinds[begin : begin + KILLS_IN_A_ROUND], self._folder / f"round-{begin}")
            if REPORT:
                Path(f"{REPORT}.now").write_text(self._stage.figures.text("so far"))
        return self._stage.figures

    def _round(self, kinds: list[str], folder: Path) -> None:
        # A container writes a burst, and pauses.
        writers = Writers(folder, BURST * 2 * (RUNS + PAIRS) / LINES_A_SECOND)
        parts = self._begin(folder)
        began = time.monotonic()
        for kind in kinds:
            self._pause()
            self._stage.kill_one(kind, parts)
            if self._chance.random() < 0.5:
                self._stage.look(parts)
        time.sleep(2 + self._chance.random() * 3)
        self._stage.look(parts)
        self._stage.figures.seconds += time.monotonic() - began
        self._end(parts, writers)
        for dag_id, run_id in sorted({(part.dag_id, part.run_id) for part in parts}):
            self._airflow.expect(dag_id, run_id, timeout=PATIENCE)
        self._stage.count(parts, writers)

    def _begin(self, folder: Path) -> list[Part]:
        parts = []
        for backend, container in (("ecs", "main"), ("pod", "base")):
            run_id = self._airflow.trigger_dag(f"kills_{backend}", {"folder": str(folder)})
            for index in range(RUNS):
                names = (container, "helper") if is_pair(index) else (container,)
                parts.append(Part(backend, f"kills_{backend}", run_id, index, names))
        for part in parts:
            self._airflow.wait_for_log(
                part.dag_id, part.run_id, "part", f"{part.backend}-{part.map_index}-",
                map_index=part.map_index, timeout=PATIENCE,
            )  # fmt: skip
        return parts

    def _end(self, parts: list[Part], writers: Writers) -> None:
        """Helpers first: the end of the main container ends the run, and what helpers write then is not waited for."""
        writers.end("helper")
        helpers = [part.written_as("helper") for part in parts if "helper" in part.containers]
        self._airflow.wait_until(lambda: all(map(writers.has_ended, helpers)), "the helpers' end", PATIENCE)
        time.sleep(0.5)  # their last line comes after that
        for container in ("main", "base"):
            writers.end(container)

    def _pause(self) -> None:
        if self._chance.random() < IN_A_ROW:
            self._stage.figures.in_a_row += 1
            time.sleep(self._chance.random() * 2)
        else:
            time.sleep(2 + self._chance.random() * 6)


def judge(
    figures: Figures,
    title: str,
    capsys: pytest.CaptureFixture[str],
    *,
    in_order: bool = True,
    moved_may_double: bool = False,
) -> None:
    """
    Print the figures; nothing may be lost or doubled, nor, with ``in_order``, out of order.

    :param moved_may_double: not for runs that moved away from a triggerer that lived.
    """
    text = figures.text(f"{title}, seed {SEED}")
    with capsys.disabled():
        print(f"\n{text}")
    if REPORT:
        with Path(REPORT).open("a") as file:
            file.write(text + "\n")
    assert figures.kills == 3 * KILLS
    assert {"ecs", "pod"} <= set(figures.end), "some runs did not move"
    for counts in (figures.end, figures.meanwhile):
        for backend, count in counts.items():
            assert count.lost == 0, f"{backend}: {count}: {count.examples}"
            if not (moved_may_double and backend.endswith(MOVED)):
                assert count.doubled == 0, f"{backend}: {count}: {count.examples}"
                assert count.disordered == 0 or not in_order, f"{backend}: {count}"


@pytest.mark.timeout(3 * PATIENCE + 180 * KILLS)
def test_no_line_is_lost_or_doubled_where_triggerers_share_a_disk(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)
    with started(tmp_path, {}) as airflow:
        figures = Play(airflow, Stage(airflow, chance), chance, tmp_path / "writers").rounds(KILLS)
    judge(figures, "one disk, log_takeover = replay", capsys)


@pytest.mark.timeout(3 * PATIENCE + 180 * KILLS)
def test_no_line_is_lost_or_doubled_where_each_triggerer_has_a_disk_and_logs_go_to_s3(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    chance = random.Random(SEED)

    def disk() -> Path:
        made = tmp_path / "disks" / f"{len(list((tmp_path / 'disks').iterdir()))}"
        made.mkdir()
        return made

    (tmp_path / "disks").mkdir()
    with started(tmp_path, {}, s3=True) as airflow:
        figures = Play(airflow, Stage(airflow, chance, disk), chance, tmp_path / "writers").rounds(KILLS)
    title = "a disk for each triggerer, remote logging to S3, log_takeover = replay"
    judge(figures, title, capsys, moved_may_double=True)


@pytest.mark.timeout(3 * PATIENCE + 180 * KILLS)
def test_no_line_is_lost_or_doubled_where_triggerers_go_on_in_one_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """
    Files that continue one another: Airflow's reader keeps the order of some 2,500 records, and the log says so.
    """
    chance = random.Random(SEED)
    with started(tmp_path, {"AIRFLOW__ASYNCRUN__LOG_TAKEOVER": "continue"}) as airflow:
        figures = Play(airflow, Stage(airflow, chance), chance, tmp_path / "writers").rounds(KILLS)
    judge(figures, "one disk, log_takeover = continue", capsys, in_order=False)
