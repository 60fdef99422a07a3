"""Triggerers that die, end, or only lose their triggers, while containers run and their logs stream."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.aws import EmbeddedAws
from tests.airflow.support import RunDag, Since, Tasks, container_lines, said

PARTS = range(5)
STREAM = """exec python -u - <<'END'
import os, time
part = os.environ.get("PART", "0")
for number in range(%d):
    print(f"line {number} of part {part}")
    time.sleep(0.2)
print("done")
END"""


def streamed(lines: int, part: int) -> list[str]:
    return [*(f"line {number} of part {part}" for number in range(lines)), "done"]


def start_triggerer(airflow: LocalAirflow) -> str:
    name = airflow.start_triggerer().name
    airflow.wait_until(lambda: name in airflow.triggerers(), f"{name} at work", 60)
    return name


@contextmanager
def one_triggerer_left(airflow: LocalAirflow) -> Iterator[str]:
    """Gives the name of the triggerer at work; in the end all but the youngest are ended."""
    airflow.wait_until(lambda: len(airflow.triggerers()) == 1, "one triggerer at work", 60)
    [name] = airflow.triggerers()
    try:
        yield name
    finally:
        for one in list(airflow.triggerers())[:-1]:
            airflow.kill(one, signal.SIGCONT)
            airflow.kill(one, signal.SIGTERM)
        airflow.wait_until(lambda: len(airflow.triggerers()) == 1, "the others ended", 60)


def wait_until_watched_by(run: Tasks, name: str, parts: range) -> None:
    """Until all triggers are that triggerer's."""
    job = run.airflow.triggerers()[name]

    def owners() -> set[int | None]:
        return {run.ti("part", part).triggerer_id for part in parts}

    run.airflow.wait_until(lambda: owners() == {job}, f"all triggers on {name}", 60, now=owners)


def test_runs_survive_every_way_a_triggerer_can_die(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    """kill -9 of a runner, kill -9 of a supervisor, SIGTERM: one after the other, while five runs stream."""
    lines = 220
    since = Since(embedded_aws)
    with one_triggerer_left(airflow) as first:
        run = Tasks(airflow, embedded_aws, "e2e_several", run_dag("e2e_several", {"program": STREAM % lines}))
        run.wait_for_lines("part", PARTS)
        second = start_triggerer(airflow)
        airflow.kill_runner(first)
        wait_until_watched_by(run, second, PARTS)
        run.wait_for_lines("part", PARTS, "line 50 ")

        third = start_triggerer(airflow)
        airflow.kill(second, signal.SIGKILL)
        wait_until_watched_by(run, third, PARTS)
        run.wait_for_lines("part", PARTS, "line 100 ")

        fourth = start_triggerer(airflow)
        airflow.kill(third, signal.SIGTERM)
        wait_until_watched_by(run, fourth, PARTS)
        assert set(run.states().values()) == {"deferred"}, "the runs were over too soon to be a test"
        airflow.expect("e2e_several", run.run_id)

    assert (since.calls("RunTask"), since.calls("StopTask")) == (len(PARTS), 0)
    for part in PARTS:
        assert container_lines(run.logs("part", part)) == streamed(lines, part)
        assert run.result("part", part) == "done"
        assert run.ti("part", part).try_number == 1


def test_trigger_that_moves_while_its_old_triggerer_lives_stops_nothing(
    airflow: LocalAirflow, embedded_aws: EmbeddedAws, run_dag: RunDag
) -> None:
    """The supervisor hangs until another one takes its triggers; back again, it cancels them as if by a user."""
    lines, parts = 190, PARTS  # 38 s: on a busy machine the other triggerer needs half of that to start and take over
    since = Since(embedded_aws)
    with one_triggerer_left(airflow) as first:
        run = Tasks(airflow, embedded_aws, "e2e_several", run_dag("e2e_several", {"program": STREAM % lines}))
        run.wait_for_lines("part", parts)
        second = start_triggerer(airflow)
        airflow.kill(first, signal.SIGSTOP)
        wait_until_watched_by(run, second, parts)
        airflow.kill(first, signal.SIGCONT)
        for part in parts:
            airflow.wait_for_log("e2e_several", run.run_id, "part", "the container run was moved", map_index=part)
        arns = [run.arn("part", part) for part in parts]
        assert sorted(since.running(*arns)) == sorted(arns)
        airflow.expect("e2e_several", run.run_id)

    assert (since.calls("RunTask"), since.calls("StopTask")) == (len(parts), 0)
    for part in parts:
        assert container_lines(run.logs("part", part)) == streamed(lines, part)
        assert "Stopping ECS task" not in said(run.logs("part", part))
