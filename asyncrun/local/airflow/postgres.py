"""A PostgreSQL of the local Airflow's own: the machine's programs, in the Airflow's folder, on a Unix socket only.

Nobody needs a password: the kernel tells the server which user of the machine is at the other end of the socket (peer
authentication), and only the one who started this Airflow is let in.
"""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asyncrun.local.airflow.environment import MARKER_VARIABLE
from asyncrun.local.airflow.errors import LocalAirflowError

if TYPE_CHECKING:
    import psutil

LOCAL_SETTINGS = """\
from asyncrun.local.airflow.inside import bind_log_server

bind_log_server()
"""
"""``airflow_local_settings`` of an Airflow on PostgreSQL: its engines are Airflow's own, as in production."""

USER, DATABASE = "airflow", "postgres"
"""Airflow's user there, and the database that `initdb` makes."""

SERVER_USER = "postgres"
"""The machine's user for whom the server runs when root started the Airflow: PostgreSQL refuses to run as root."""

DRIVERS = {"psycopg2": "psycopg2-binary", "asyncpg": "asyncpg"}
"""Modules with which Airflow talks to PostgreSQL, and the packages that have them."""

START_TIMEOUT = 60.0
"""Seconds for `initdb`, and again for the server's start; both take about one second on an idle machine."""

STOP_TIMEOUT = 10.0
"""Seconds for the server's end; it gives its own processes five before it kills them."""

_PORT = 5432
_LONGEST_SOCKET = 107  # bytes; the kernel's limit for the path of a Unix socket
# Where packages put the programs that are not for everyone's PATH: Debian's, and those of PostgreSQL's own for Red Hat.
_FOLDERS = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))
_STATUS_LINE = 7  # of postmaster.pid (PostgreSQL's pidfile.h)


def missing() -> str | None:
    """What has to be installed before a :class:`Postgres` can be started; None if nothing."""
    drivers = [package for module, package in DRIVERS.items() if find_spec(module) is None]
    if drivers:
        return f"PostgreSQL's drivers for Python are not installed: `pip install {' '.join(drivers)}`"
    if _programs() is None:
        return "PostgreSQL's server is not installed: on Debian and Ubuntu, `apt-get install postgresql`"
    return None


def _programs() -> Path | None:
    """The folder with `initdb` and `postgres`: of the PATH, else of the newest release that is installed."""
    on_path = shutil.which("initdb")
    found = [Path(on_path).resolve().parent] if on_path else []
    for base, pattern in _FOLDERS:
        found += sorted(Path(base).glob(pattern), key=_release, reverse=True)
    return next((one for one in found if all((one / name).is_file() for name in ("initdb", "postgres"))), None)


def _release(folder: Path) -> int:
    digits = "".join(filter(str.isdigit, folder.parent.name))
    return int(digits or 0)


@dataclass(frozen=True)
class _Places:
    """Where things are in the Airflow's folder."""

    home: Path

    @property
    def folder(self) -> Path:
        return self.home / "postgres"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def status(self) -> Path:
        return self.data / "postmaster.pid"


class Postgres:
    """The server of one local Airflow. It ends with :func:`stop`, which needs the folder only.

    :param home: AIRFLOW_HOME; already filled, since its folders are closed to others here
    :param log: file for the server's output
    :param marker: by which the processes of this Airflow are found
    :raises LocalAirflowError: PostgreSQL or its driver is not installed, or cannot be run here
    """

    def __init__(self, home: Path, log: Path, marker: str) -> None:
        if lacking := missing():
            raise LocalAirflowError(f"{lacking}; or leave `database` at 'sqlite'.")
        programs = _programs()
        assert programs is not None
        self._programs, self._places, self._log = programs, _Places(home), log
        # Nothing of the caller's PG... variables, which would lead to another server.
        self._environment = {"PATH": os.environ.get("PATH", os.defpath), "TZ": "UTC", MARKER_VARIABLE: marker}
        self._as_owner = _owner()
        self._process: subprocess.Popen[bytes] | None = None
        if len(f"{self._places.folder}/.s.PGSQL.{_PORT}".encode()) > _LONGEST_SOCKET:
            raise LocalAirflowError(f"{self._places.folder}: too long for the path of a Unix socket; set TMPDIR")

    def settings(self) -> dict[str, str]:
        """``AIRFLOW__...`` variables with which Airflow uses it."""
        url = f"postgresql+psycopg2://{USER}@/{DATABASE}?host={self._places.folder}&port={_PORT}"
        return {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN": url}

    def start(self, guard: Callable[[int], None]) -> None:
        """Make the server's files and start it; returns when its database, still empty, can be used.

        :param guard: is told the session of what is started, before anything is waited for
        :raises LocalAirflowError: it does not start; with its output
        """
        self._make_folder()
        self._initialize()
        options = {
            "listen_addresses": "",
            "unix_socket_directories": str(self._places.folder),
            "port": _PORT,
            # In files of the folder: in the machine's shared memory they would outlive a kill -9.
            "dynamic_shared_memory_type": "mmap",
        }
        arguments = [part for name, value in options.items() for part in ("-c", f"{name}={value}")]
        with self._log.open("ab") as output:
            self._process = self._popen("postgres", ["-D", str(self._places.data), *arguments], output)
        guard(self._process.pid)
        self._wait_ready()

    def _make_folder(self) -> None:
        folder = self._places.folder
        folder.mkdir(mode=0o700)
        if self._as_owner:
            # The server's user has to pass through the Airflow's folder, and must not look into the others in it.
            for other in self._places.home.iterdir():
                if other.is_dir():
                    other.chmod(0o700)
            self._places.home.chmod(0o711)
            self._give(folder)

    def _give(self, path: Path) -> None:
        if self._as_owner:
            os.chown(path, self._as_owner["user"], self._as_owner["group"])

    def _initialize(self) -> None:
        # C.UTF-8 and its like differ from machine to machine; Airflow needs no order of words.
        arguments = ["--username", USER, "--no-locale", "--encoding=UTF8", "--no-sync", "--no-instructions"]
        process = self._popen("initdb", ["-D", str(self._places.data), "--auth=reject", *arguments], subprocess.PIPE)
        try:
            output, _ = process.communicate(timeout=START_TIMEOUT)
        except BaseException:
            process.kill()
            process.communicate()
            raise
        if process.returncode:
            raise LocalAirflowError(f"initdb failed:\n{output.decode(errors='replace')[-4000:]}")
        user = pwd.getpwuid(os.getuid()).pw_name
        for name, text in {
            "pg_hba.conf": f"local all {USER} peer map=starter\n",
            "pg_ident.conf": f'starter "{user}" {USER}\n',
        }.items():
            (self._places.data / name).write_text(text)

    def _popen(self, program: str, arguments: list[str], output: Any) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [str(self._programs / program), *arguments],
            env=self._environment,
            cwd=self._places.folder,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            **self._as_owner,
        )

    def _wait_ready(self) -> None:
        end = time.monotonic() + START_TIMEOUT
        while not self._ready():
            self.check_alive()
            if time.monotonic() > end:
                raise LocalAirflowError(f"PostgreSQL was not ready within {START_TIMEOUT:g} s:\n{self._tail()}")
            time.sleep(0.05)

    def _ready(self) -> bool:
        with suppress(FileNotFoundError, IndexError):
            return self._places.status.read_text().splitlines()[_STATUS_LINE].strip() == "ready"
        return False

    def check_alive(self) -> None:
        """
        :raises LocalAirflowError: the server has ended; with its last lines
        """
        if self._process is not None and self._process.poll() is not None:
            raise LocalAirflowError(f"PostgreSQL ended with exit code {self._process.returncode}:\n{self._tail()}")

    def _tail(self) -> str:
        return "\n".join(self._log.read_text(errors="replace").splitlines()[-30:])

    def processes(self) -> list[psutil.Process]:
        """The server, and those that it has for its connections: each of these leads a session of its own."""
        return list(_family(self._places.home))

    def reap(self) -> None:
        """Take note of the server's end, which :func:`stop` brought about."""
        if self._process is not None:
            self._process.wait()


def _owner() -> dict[str, Any]:
    """Arguments of Popen by which a program runs for the server's user; none unless we are root.

    :raises LocalAirflowError: there is no such user
    """
    if os.getuid() != 0:
        return {}
    try:
        user = pwd.getpwnam(SERVER_USER)
    except KeyError:
        raise LocalAirflowError(
            f"PostgreSQL refuses to run as root, and this machine has no user {SERVER_USER!r} to run it as"
        ) from None
    return {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": ()}


def _family(home: Path) -> Iterator[psutil.Process]:
    import psutil

    places = _Places(home)
    with suppress(FileNotFoundError, IndexError, ValueError, psutil.Error):
        server = psutil.Process(int(places.status.read_text().splitlines()[0]))
        if str(places.data) in server.cmdline():
            yield server
            yield from server.children(recursive=True)


def stop(home: Path) -> None:
    """End the server of the Airflow in that folder, if there is one; a kill -9 would leave its shared memory behind.

    Works without the process that started it. What does not end within :data:`STOP_TIMEOUT` seconds is killed.
    """
    import psutil

    family = list(_family(home))
    with suppress(psutil.Error):
        for server in family[:1]:
            server.send_signal(signal.SIGQUIT)  # "immediate shutdown": nothing is to be saved
    _, alive = psutil.wait_procs(family, timeout=STOP_TIMEOUT)
    for process in alive:
        with suppress(psutil.Error):
            process.kill()
