"""The log of pods as the REST API shows it: live, whole, in order, each line once."""

from __future__ import annotations

import statistics
import time
from pathlib import Path

import pytest

from asyncrun.local.airflow import LocalAirflow
from asyncrun.local.kube import EmbeddedKube
from tests.airflow.pod_support import Cluster, PodTasks, lines_of, told
from tests.airflow.support import RunDag, worker_runs

PARTS = 20
LINES = 100
# Bursts of equal lines and of lines within one millisecond, and the last line right before the end.
PRINTS = """exec python -u - <<'END'
import os, time
part = os.environ["PART"]
for number in range(%d):
    print("again and again" if number %% 10 < 3 else f"line {number} of part {part} \\u00fcber")
    if number %% 10 == 9:
        time.sleep(0.3)
with open("/airflow/xcom/return.json", "w") as file:
    file.write('{"part": %%s}' %% part)
print(f"last line of part {part}", flush=True)
END"""
# Each line tells when it was written; they begin once somebody looks.
LIVE = """exec python -u - <<'END'
import os, time
print("ready")
while not os.path.exists("%s"):
    time.sleep(0.1)
for number in range(40):
    print(("ERROR " if number %% 10 == 9 else "") + f"line {number} written at {time.time():.3f}")
    time.sleep(0.4)
END"""


def printed(part: int) -> list[str]:
    lines = ["again and again" if number % 10 < 3 else f"line {number} of part {part} über" for number in range(LINES)]
    return [*lines, f"last line of part {part}"]


def written_at(line: str) -> float:
    """Seconds since the epoch."""
    return float(line.rpartition(" ")[2])


@pytest.fixture(scope="module")
def mapped(airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag) -> PodTasks:
    """Twenty pods with four containers each that write lines, and the one that hands the XCom over."""
    run_id = run_dag("e2e_pod_mapped", {"program": PRINTS % LINES})
    run = PodTasks(airflow, Cluster(embedded_kube), "e2e_pod_mapped", run_id)
    run.expect(timeout=200)
    assert run.cluster.created() == PARTS
    return run


def test_twenty_pods_lose_and_double_no_line_and_keep_their_order(mapped: PodTasks) -> None:
    assert len(mapped.states()) == PARTS
    for part in range(PARTS):
        records = mapped.logs("part", part)
        assert lines_of(records) == printed(part)
        assert lines_of(records, "prepare") == [f"preparing {part}", "prepared", "prepared"]
        helper = [line for number in range(10) for line in (f"helper line {number}", "again")]
        assert lines_of(records, "helper") == [*helper, "helper ends"]
        proxy = lines_of(records, "proxy")
        assert proxy == ["proxy starts", *(f"proxy line {number}" for number in range(len(proxy) - 2)), "proxy ends"]
        assert len(proxy) > 10
    assert len({mapped.uid("part", part) for part in range(PARTS)}) == PARTS


def test_success_ends_in_the_triggerer_and_its_xcom_is_there(mapped: PodTasks) -> None:
    for part in range(PARTS):
        records = mapped.logs("part", part)
        assert worker_runs(records) == 1, "a worker was needed for the end"
        assert "A success will end in the triggerer" in told(records)
        assert mapped.result("part", part) == {"part": part}
        assert "airflow-xcom-sidecar" not in {record.logger for record in records}, "what it hands over is no log"
        assert mapped.keys("part", part) == {"return_value", "pod_name", "pod_namespace"}


def test_init_containers_and_sidecars_come_before_and_around_the_base_container(mapped: PodTasks) -> None:
    for part in range(PARTS):
        order = [record.logger for record in mapped.logs("part", part)]
        assert max(i for i, name in enumerate(order) if name == "prepare") < order.index("base")
        assert order.index("proxy") < order.index("base")


def test_lines_appear_within_two_seconds_of_being_written(
    airflow: LocalAirflow, embedded_kube: EmbeddedKube, run_dag: RunDag, tmp_path: Path
) -> None:
    cluster, conf = Cluster(embedded_kube), {"program": LIVE % (tmp_path / "told")}
    runs = [PodTasks(airflow, cluster, "e2e_pod_run", run_dag("e2e_pod_run", conf)) for _ in range(3)]
    for run in runs:
        run.wait_for_lines(text="ready")
    (tmp_path / "told").touch()
    shown: dict[tuple[str, str], float] = {}
    open_runs = list(runs)
    while open_runs:
        for run in list(open_runs):
            deferred = run.ti().state == "deferred"
            records = run.logs()
            now = time.time()
            if not deferred:  # what appears from now on was not shown live
                open_runs.remove(run)
                continue
            for line in lines_of(records)[1:]:
                shown.setdefault((run.run_id, line), now)
    written = {(run.run_id, line) for run in runs for line in lines_of(run.logs())[1:]}
    assert len(written) == 3 * 40
    assert not written - shown.keys(), f"never shown while deferred: {sorted(written - shown.keys())}"
    delays = sorted(shown[run_id, line] - written_at(line) for run_id, line in written)
    figures = f"{len(delays)} lines: median {statistics.median(delays):.2f} s, longest {delays[-1]:.2f} s"
    print(figures)
    assert delays[-1] < 2, figures

    for run in runs:
        for record in (one for one in run.logs() if one.logger == "base" and one.event != "ready"):
            assert record.timestamp is not None
            assert abs(record.timestamp.timestamp() - written_at(record.event.split("\n")[0])) <= 0.1
            assert record.level == ("error" if record.event.startswith("ERROR") else "info")
