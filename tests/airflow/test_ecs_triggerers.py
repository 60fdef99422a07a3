"""Triggerers that die, end, or only lose their triggers, while containers run and their logs stream."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from tests.airflow.support import RunDag, Since, Tasks, container_lines, said
from tests.airflow.triggerers import (
    PARTS,
    STREAM,
    one_triggerer_left,
    start_triggerer,
    streamed,
    wait_until_watched_by,
)  # fmt: skip


def check_the_end(run: Tasks, since: Since) -> None:
    """Every run launched once, never stopped, with every line once."""
    run.airflow.expect("e2e_several", run.run_id)
    assert (since.asked("RunTask"), since.asked("StopTask")) == (len(PARTS), 0)
    for part in PARTS:
        result = run.result("part", part)
        lines = int(result.split()[0])
        assert container_lines(run.logs("part", part)) == streamed(lines, part)
        assert result == f"{lines} lines"
        assert lines > 20
        assert run.ti("part", part).try_number == 1


@pytest.fixture
def streaming(airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag, tmp_path: Path) -> Callable[[], Tasks]:
    """Starts five runs that write lines until ``tmp_path / "told"`` is there; returns when all were heard of."""

    def start() -> Tasks:
        program = f"{STREAM}END" % (tmp_path / "told")
        run = Tasks(airflow, embedded_aws, "e2e_several", run_dag("e2e_several", {"program": program}))
        run.wait_for_lines("part", PARTS)
        return run

    return start


def test_runs_survive_a_triggerer_that_hangs_and_one_that_is_killed(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, streaming: Callable[[], Tasks], tmp_path: Path
) -> None:
    """
    A supervisor hangs until another one takes its triggers; back again, it cancels them as if by a user. Then the other
    one is killed (kill -9).
    """
    since = Since(embedded_aws)
    with one_triggerer_left(airflow) as first:
        run = streaming()
        second = start_triggerer(airflow)
        assert airflow.triggerer_runner(second).ppid() == airflow.component(second).pid
        airflow.kill(first, signal.SIGSTOP)
        wait_until_watched_by(run, second)
        airflow.kill(first, signal.SIGCONT)
        for part in PARTS:
            airflow.wait_for_log("e2e_several", run.run_id, "part", "the container run was moved", map_index=part)
        arns = [run.arn("part", part) for part in PARTS]
        assert sorted(since.running(*arns)) == sorted(arns)

        airflow.kill(second)
        assert airflow.component(second).wait() == -signal.SIGKILL
        wait_until_watched_by(run, first)
        (tmp_path / "told").touch()
        check_the_end(run, since)

    for part in PARTS:
        assert "Stopping ECS task" not in said(run.logs("part", part))


@pytest.mark.scale
def test_runs_survive_every_way_a_triggerer_can_die(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, streaming: Callable[[], Tasks], tmp_path: Path
) -> None:
    """kill -9 of a runner, kill -9 of a supervisor, SIGTERM: one after the other, while five runs stream."""
    since = Since(embedded_aws)
    with one_triggerer_left(airflow) as first:
        run = streaming()
        second = start_triggerer(airflow)
        airflow.kill_runner(first)
        wait_until_watched_by(run, second)
        run.wait_for_lines("part", PARTS, "line 50 ")

        third = start_triggerer(airflow)
        airflow.kill(second, signal.SIGKILL)
        wait_until_watched_by(run, third)
        run.wait_for_lines("part", PARTS, "line 100 ")

        fourth = start_triggerer(airflow)
        airflow.kill(third, signal.SIGTERM)
        wait_until_watched_by(run, fourth)
        (tmp_path / "told").touch()
        check_the_end(run, since)
