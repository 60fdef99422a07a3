"""What is left when the process that started an Airflow is killed. It is an Airflow of the test's own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import psutil

from tests.support.lab import until

HARNESS_DAGS = Path(__file__).parent / "dags"


def test_nothing_is_left_when_the_parent_is_killed(tmp_path: Path) -> None:
    script = tmp_path / "parent.py"
    script.write_text(
        "import sys, time\n"
        "from pathlib import Path\n"
        "from asyncrun.local.airflow import LocalAirflow, LocalAirflowOptions\n"
        "with LocalAirflow(LocalAirflowOptions((Path(sys.argv[1]),))) as airflow:\n"
        "    print(airflow.home, *[process.pid for process in airflow.processes()], flush=True)\n"
        "    time.sleep(600)\n"
    )
    with subprocess.Popen(
        [sys.executable, str(script), str(HARNESS_DAGS)], stdout=subprocess.PIPE, text=True
    ) as parent:
        assert parent.stdout is not None
        home, *pids = parent.stdout.readline().split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        assert len(processes) > 5
        parent.kill()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    # Removing the folder is the watchdog's last act; it is not our child any more, so its end cannot be waited for.
    until(Path(home).exists, lambda there: not there)
