"""The local Airflow's own PostgreSQL, without an Airflow."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path
from tempfile import mkdtemp

import psutil
import pytest

from asyncrun.local.airflow import LocalAirflow, LocalAirflowError, LocalAirflowOptions, postgres
from tests.support.lab import until

needs_postgres = pytest.mark.skipif(postgres.missing() is not None, reason=str(postgres.missing()))

STARTS_A_SERVER = """
import sys, time
from pathlib import Path
from tempfile import mkdtemp
from asyncrun.local.airflow import postgres, watchdog
home = Path(mkdtemp(prefix="asyncrun-airflow-"))
guardian = watchdog.Watchdog("marker-of-a-test", home)
server = postgres.Postgres(home, home / "log", "marker-of-a-test")
server.start(guardian.guard)
print(home, *[process.pid for process in server.processes()], flush=True)
time.sleep(600)
"""


def shared_memory() -> set[str]:
    """Ids of the machine's segments of shared memory: PostgreSQL has one, which no kill -9 takes away."""
    return {line.split()[1] for line in Path("/proc/sysvipc/shm").read_text().splitlines()[1:]}


@needs_postgres
def test_nothing_is_left_of_it_when_the_parent_is_killed() -> None:
    with subprocess.Popen([sys.executable, "-c", STARTS_A_SERVER], stdout=subprocess.PIPE, text=True) as parent:
        assert parent.stdout is not None
        home, *pids = parent.stdout.readline().split()
        processes = [psutil.Process(int(pid)) for pid in pids]
        assert len(processes) > 3
        segment = (Path(home) / "postgres/data/postmaster.pid").read_text().splitlines()[6].split()[1]
        assert segment in shared_memory()
        parent.kill()
    _, alive = psutil.wait_procs(processes, timeout=20)
    assert [process for process in alive if process.status() != psutil.STATUS_ZOMBIE] == []
    until(Path(home).exists, lambda there: not there)
    assert segment not in shared_memory()


@needs_postgres
def test_a_server_that_ends_by_itself_is_told_with_its_last_words() -> None:
    # Not in pytest's own folder, which the server's user may not pass.
    home = Path(mkdtemp(prefix="asyncrun-airflow-"))
    try:
        server = postgres.Postgres(home, home / "log", "marker-of-a-test")
        server.start(lambda session: None)
        server.check_alive()
        postgres.stop(home)
        server.reap()
        with pytest.raises(LocalAirflowError, match=r"(?s)PostgreSQL ended .*received immediate shutdown request"):
            server.check_alive()
    finally:
        postgres.stop(home)
        shutil.rmtree(home)


def test_what_is_not_installed_is_named_with_how_to_install_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def start() -> None:
        with LocalAirflow(LocalAirflowOptions((tmp_path,), database="postgresql")):
            pass

    monkeypatch.setattr(postgres, "DRIVERS", {})
    monkeypatch.setattr(postgres, "_FOLDERS", ())
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LocalAirflowError, match=r"apt-get install postgresql`; or leave `database` at 'sqlite'"):
        start()
    monkeypatch.setattr(postgres, "DRIVERS", {"no_such_module": "its-package"})
    with pytest.raises(LocalAirflowError, match="pip install its-package`"):
        start()
