"""Triggerers that die, end, or only lose their triggers, while pods run and their logs stream."""

from __future__ import annotations

import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import Cluster, PodTasks, lines_of, told
from tests.airflow.support import RunDag
from tests.airflow.triggerers import (
    PARTS,
    STREAM,
    one_triggerer_left,
    start_triggerer,
    streamed,
    wait_until_watched_by,
)  # fmt: skip

# And hands over how many it wrote.
PROGRAM = f"""{STREAM}with open("/airflow/xcom/return.json", "w") as file:
    file.write(str(number))
END"""


class Streaming:
    """Five pods that write lines until they are told to end."""

    def __init__(self, airflow: LocalAirflow, cluster: Cluster, run_dag: RunDag, flag: Path) -> None:
        self.airflow, self._cluster, self._flag = airflow, cluster, flag
        self.run = PodTasks(
            airflow, cluster, "e2e_pod_several", run_dag("e2e_pod_several", {"program": PROGRAM % flag})
        )
        self.run.wait_for_lines("part", PARTS)

    def wait_until_watched_by(self, name: str) -> None:
        """Until all triggers are that triggerer's."""
        wait_until_watched_by(self.run, name, seconds=90)

    def check_the_end(self) -> None:
        """Every pod created once, deleted only after its end, with every line once and in order."""
        told_at = time.monotonic()
        self._flag.touch()
        run = self.run
        run.expect()
        assert self._cluster.created() == len(PARTS)
        names = [run.name("part", part) for part in PARTS]
        assert all(one.time > told_at for one in self._cluster.deletes(*names))
        for part in PARTS:
            lines = run.result("part", part)
            assert lines > 20
            assert lines_of(run.logs("part", part)) == streamed(lines, part)
            assert run.ti("part", part).try_number == 1
            assert "Stopping pod" not in told(run.logs("part", part))


@pytest.fixture
def streaming(
    airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag, tmp_path: Path
) -> Callable[[], Streaming]:
    return lambda: Streaming(airflow, Cluster(embedded_kube), run_dag, tmp_path / "told")


def test_pods_survive_a_triggerer_that_hangs_and_one_that_is_killed(
    airflow: LocalAirflow, streaming: Callable[[], Streaming]
) -> None:
    """
    A supervisor hangs until another one takes its triggers; back again, it cancels them as if by a user. Then the other
    one is killed (kill -9).
    """
    with one_triggerer_left(airflow) as first:
        pods = streaming()
        second = start_triggerer(airflow)
        airflow.kill(first, signal.SIGSTOP)
        pods.wait_until_watched_by(second)
        airflow.kill(first, signal.SIGCONT)
        for part in PARTS:
            airflow.wait_for_log(
                "e2e_pod_several", pods.run.run_id, "part", "the container run was moved", map_index=part
            )

        airflow.kill(second)
        assert airflow.component(second).wait() == -signal.SIGKILL
        pods.wait_until_watched_by(first)
        pods.check_the_end()


@pytest.mark.scale
def test_pods_survive_every_way_a_triggerer_can_die(airflow: LocalAirflow, streaming: Callable[[], Streaming]) -> None:
    """kill -9 of a runner, kill -9 of a supervisor, SIGTERM: one after the other, while five pods write."""
    with one_triggerer_left(airflow) as first:
        pods = streaming()
        second = start_triggerer(airflow)
        airflow.kill_runner(first)
        pods.wait_until_watched_by(second)
        pods.run.wait_for_lines("part", PARTS, "line 50 ")

        third = start_triggerer(airflow)
        airflow.kill(second, signal.SIGKILL)
        pods.wait_until_watched_by(third)
        pods.run.wait_for_lines("part", PARTS, "line 100 ")

        fourth = start_triggerer(airflow)
        airflow.kill(third, signal.SIGTERM)
        pods.wait_until_watched_by(fourth)
        pods.check_the_end()
