"""An API server that cuts, forgets and is away: pods go on, their logs stay whole, and the log says what was met."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import Cluster, PodTasks, lines_of, told
from tests.airflow.support import RunDag

PARTS = range(5)
LINES = 60
PRINTS = f"""
number=0
while [ $number -lt {LINES} ]; do echo "line $number of part $PART"; number=$((number + 1)); sleep 0.2; done
echo $number > /airflow/xcom/return.json
"""
AWAY = 10.0  # s


@pytest.fixture(scope="module")
def kube(another_kube: Callable[..., EmbeddedKube]) -> EmbeddedKube:
    """A cluster behind the connection `unsteady`."""
    return another_kube("unsteady")


@pytest.fixture
def several(airflow: LocalAirflow, kube: EmbeddedKube, run_dag: RunDag) -> Callable[[], PodTasks]:
    """Starts five pods that write a line five times a second, for twelve seconds."""

    def start() -> PodTasks:
        conf = {"program": PRINTS, "cluster": "unsteady"}
        return PodTasks(airflow, Cluster(kube), "e2e_pod_several", run_dag("e2e_pod_several", conf))

    return start


def check_the_end(run: PodTasks, others: int = 0) -> None:
    """Each pod was created once, and lost and doubled no line."""
    run.expect()
    assert run.cluster.created() == len(PARTS) + others
    for part in PARTS:
        assert lines_of(run.logs("part", part)) == [f"line {number} of part {part}" for number in range(LINES)]
        assert run.result("part", part) == LINES
        assert run.ti("part", part).try_number == 1


def test_streams_that_are_cut_and_a_history_that_is_forgotten_cost_no_line(
    kube: EmbeddedKube, several: Callable[[], PodTasks]
) -> None:
    """Every watch and every followed log breaks every 2 s, and each watch after that is too old to go on (410)."""
    run = several()
    try:
        kube.control.cut("*", how="reset", every=2)
        kube.control.compact(every=0.7)
        run.expect()
    finally:
        kube.control.clear_faults()
    check_the_end(run)
    broken = [one.time for one in run.cluster.requests("watch pods")]
    assert len(broken) > 4
    assert all(after - before < 10 for before, after in itertools.pairwise(sorted(broken)))
    # The first one, and another one each time that the watch could not go on.
    assert len(run.cluster.requests("list pods")) >= 2


def test_an_api_server_that_is_away_fails_neither_launches_nor_running_pods(
    airflow: LocalAirflow, kube: EmbeddedKube, several: Callable[[], PodTasks], run_dag: RunDag
) -> None:
    """It refuses connections for ten seconds while five pods write, and one is being launched."""
    run = several()
    run.wait_for_lines("part", PARTS)
    kube.control.refuse(AWAY)
    conf = {"program": "echo late", "cluster": "unsteady"}
    late = PodTasks(airflow, Cluster(kube), "e2e_pod_run", run_dag("e2e_pod_run", conf))
    late.expect()
    check_the_end(run, others=1)
    assert lines_of(late.logs()) == ["late"]
    assert late.ti().try_number == 1
    assert "when it was asked to create pods in namespace 'airflow'. It is tried again in" in told(late.logs())
    for part in PARTS:
        said = told(run.logs("part", part))
        assert "The log of this pod cannot be read now; asyncrun goes on trying" in said
        assert "cannot be seen at the moment; the watching goes on" in said
        assert "can be seen again, after" in said
