"""The local Airflow: four components, one folder, one end."""

from __future__ import annotations

import json
import os
import secrets
import signal
import tempfile
import time
from collections.abc import Iterable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Self

from asyncrun.local.airflow import database, inside, watchdog
from asyncrun.local.airflow.api import AirflowApi
from asyncrun.local.airflow.environment import LOOPBACK, Ports, Secrets, environment, settings
from asyncrun.local.airflow.errors import LocalAirflowError
from asyncrun.local.airflow.postgres import LOCAL_SETTINGS, Postgres
from asyncrun.local.airflow.problems import Problem, loop_blocks, scan
from asyncrun.local.airflow.processes import Component, Family, free_ports

if TYPE_CHECKING:
    import psutil

TRIGGERER = "triggerer"
HEALTHY = ("metadatabase", "scheduler", "dag_processor", "triggerer")


@dataclass(frozen=True)
class LocalAirflowOptions:
    """What the local Airflow runs, and how.

    :ivar dags_folders: folders with DAG files, each a bundle of its own; DAG ids must be unique among them
    :ivar env: further environment variables of all components (``AWS_*``, ``AIRFLOW_CONN_*``,
        ``AIRFLOW__ASYNCRUN__*``); they win over ours
    :ivar port: of API server and UI; a free one by default
    :ivar startup_timeout: seconds until all components must be healthy
    :ivar parallelism: tasks that run at the same time (worker processes)
    :ivar database: ``postgresql`` runs the machine's PostgreSQL, as in production; its server and its drivers must be
        installed
    """

    dags_folders: tuple[Path, ...]
    env: Mapping[str, str] = field(default_factory=dict, repr=False)
    port: int | None = None
    startup_timeout: float = 120
    parallelism: int = 8
    database: Literal["sqlite", "postgresql"] = "sqlite"


class LocalAirflow(AirflowApi):
    """A real Airflow (scheduler with LocalExecutor, DAG processor, API server, triggerer) as child processes, on
    loopback only.

    A blocking context manager: entering starts the components and returns once they are healthy; leaving kills them
    and removes
    everything they wrote. The same happens when this process dies. Not thread-safe.
    """

    def __init__(self, options: LocalAirflowOptions) -> None:
        if not options.dags_folders:
            raise ValueError("dags_folders: at least one folder with DAG files is needed")
        self.options = options
        api_port, worker_logs, trigger_logs = free_ports(3)
        self.ports = Ports(options.port or api_port, worker_logs, trigger_logs)
        self._secrets = Secrets()
        super().__init__(f"http://{LOOPBACK}:{self.ports.api}", "admin", self._secrets.password)
        self._family = Family(secrets.token_hex(16))
        self._home: Path | None = None
        self._postgres: Postgres | None = None
        self._environment: dict[str, str] = {}
        self._components: dict[str, Component] = {}
        self._triggerers = 0
        self._expected_dead: set[str] = set()
        self._exit = ExitStack()
        self.startup_seconds: dict[str, float] = {}
        """Seconds from the start until the database was there and until all components were healthy."""

    # --- life ---

    def __enter__(self) -> Self:
        with ExitStack() as stack:
            stack.callback(self._stop)
            self._start()
            stack.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop()

    def _start(self) -> None:
        begin = time.monotonic()
        self._prepare()
        self._create_database()
        self.startup_seconds["database"] = time.monotonic() - begin
        # The API server takes longest, so it goes first.
        for name, address in (("api-server", None), ("scheduler", LOOPBACK), ("dag-processor", None)):
            self._start_component(name, [name], address)
        self.start_triggerer()
        self.wait_ready(self.options.startup_timeout)
        self.startup_seconds["ready"] = time.monotonic() - begin

    def _prepare(self) -> None:
        """Fill the temporary AIRFLOW_HOME; from here on the watchdog answers for it."""
        self._home = Path(tempfile.mkdtemp(prefix="asyncrun-airflow-"))
        self._watchdog = watchdog.Watchdog(self._family.marker, self._home)
        for name in ("config", "logs", "components", "plugins", "tmp"):
            (self._home / name).mkdir()
        # Without a file every component writes Airflow's 147 KB of commented defaults, all at the same time.
        (self._home / "airflow.cfg").touch(mode=0o600)
        (self._home / "config" / "airflow_local_settings.py").write_text(inside.LOCAL_SETTINGS)
        passwords = self._home / "passwords.json"
        passwords.touch(mode=0o600)
        passwords.write_text(json.dumps({self.username: self.password}))
        folders = [folder.resolve() for folder in self.options.dags_folders]
        table = settings(self._home, folders, self.ports, self._secrets, self.options.parallelism)
        self._environment = environment(os.environ, self._home, table, self._family.marker, self.options.env)
        if self.options.database == "postgresql":
            (self._home / "config" / "airflow_local_settings.py").write_text(LOCAL_SETTINGS)
            log = self._home / "components" / "postgresql.log"
            self._postgres = Postgres(self._home, log, self._family.marker)
            self._environment |= {**self._postgres.settings(), **self.options.env}

    def _create_database(self) -> None:
        if self._postgres is None:
            database.create(self.home / "airflow.db", self._environment)
        else:
            self._postgres.start(self._guard)
            database.migrate(self.home, self._environment)

    def _stop(self) -> None:
        self.close_api()
        if self._home is None:
            return
        survivors = watchdog.clean_up(self._family, self._home)
        for component in self._components.values():
            if component.pid not in survivors:
                component.wait()
        if self._postgres is not None:
            self._postgres.reap()
            self._postgres = None
        self._watchdog.close()
        self._home = None
        if survivors:
            raise LocalAirflowError(f"processes of the local Airflow could not be killed: {survivors}")

    def _start_component(
        self, name: str, arguments: list[str], address: str | None, env: Mapping[str, str] | None = None
    ) -> Component:
        extra = {**({inside.ADDRESS_VARIABLE: address} if address else {}), **(env or {})}
        log = self.home / "components" / f"{name}.log"
        component = Component(name, arguments, {**self._environment, **extra}, self.home, log)
        self._components[name] = component
        self._guard(component.pid)
        self._expected_dead.discard(name)
        return component

    def _guard(self, session: int) -> None:
        self._family.sessions.add(session)
        self._watchdog.guard(session)

    def wait_ready(self, timeout: float = 120) -> None:
        """Wait until the API server answers and says that every component is healthy.

        :raises LocalAirflowError: a component ended; with the end of its output
        :raises NotReached: after `timeout` seconds
        """
        self.wait_until(self._healthy, "a healthy Airflow", timeout, now=lambda: self._components)
        self._warm_up()

    def _healthy(self) -> bool:
        import httpx

        try:
            health = self.health()
        except httpx.TransportError:
            return False
        return all(health.get(name) == "healthy" for name in HEALTHY)

    def _warm_up(self) -> None:
        """Make the API server build its Execution API now: that blocks all of it for 2.6 s, at whatever call comes
        first."""
        self._http.get("/execution/health")

    def check_alive(self) -> None:
        """Raise LocalAirflowError if a component ended that was not killed by :meth:`kill`, or the database did."""
        if self._postgres is not None:
            self._postgres.check_alive()
        for component in self._components.values():
            if not component.alive and component.name not in self._expected_dead:
                raise LocalAirflowError(
                    f"{component.name} ended with exit code {component.exit_code}; its last lines:\n{component.tail()}"
                )

    # --- facts ---

    @property
    def home(self) -> Path:
        """AIRFLOW_HOME: a temporary folder that is gone after the end."""
        if self._home is None:
            raise LocalAirflowError("the local Airflow is not running")
        return self._home

    @property
    def environment(self) -> Mapping[str, str]:
        """Environment of the components, for an `airflow` command of one's own."""
        return dict(self._environment)

    def component(self, name: str) -> Component:
        """`api-server`, `scheduler`, `dag-processor`, `triggerer`, `triggerer-2`, ..."""
        return self._components[name]

    def component_logs(self) -> dict[str, Path]:
        """The file with the output of each component, by name."""
        return {name: component.log for name, component in self._components.items()}

    def problems(self, ignore: Iterable[str] = ()) -> list[Problem]:
        """Records in the components' output that mean trouble: "database is locked", tracebacks, errors.

        :param ignore: regular expressions of expected records
        """
        return scan(self.component_logs(), ignore)

    def loop_blocks(self) -> list[float]:
        """Seconds of each time a triggerer complained that its event loop was blocked (its threshold is 0.2)."""
        outputs = [log for name, log in self.component_logs().items() if name.startswith(TRIGGERER)]
        return [seconds for log in outputs for seconds in loop_blocks(log.read_text(errors="replace"))]

    def processes(self) -> list[psutil.Process]:
        """Every process of this Airflow, task processes and reparented ones included, and its database's."""
        found = {process.pid: process for process in self._family.living()}
        found |= {process.pid: process for process in self._postgres.processes()} if self._postgres else {}
        return list(found.values())

    # --- breaking and mending ---

    def start_triggerer(self, env: Mapping[str, str] | None = None) -> Component:
        """Start one more triggerer; its name is ``triggerer``, then ``triggerer-2``, ...

        Each has a loopback address of its own: Airflow knows one port for all triggerers' log servers, and the log
        server of a killed
        triggerer may go on holding it.

        :param env: further environment variables of this one, such as a log folder of its own
        """
        self._triggerers += 1
        first = self._triggerers == 1
        name = TRIGGERER if first else f"{TRIGGERER}-{self._triggerers}"
        return self._start_component(name, ["triggerer"], _triggerer_address(name), env)

    def triggerer_runner(self, name: str = TRIGGERER) -> psutil.Process:
        """The triggerer's child process in which the triggers' event loop runs.

        :raises LocalAirflowError: there is none
        """
        for child in self.component(name).children():
            if not _serves_logs(child):
                return child
        raise LocalAirflowError(f"{name} has no trigger runner process")

    def kill(self, name: str, signum: signal.Signals = signal.SIGKILL, *, group: bool = False) -> None:
        """Send a signal to a component's main process (or its whole group) and, if it ends the component, expect it
        to be gone."""
        if signum in {signal.SIGKILL, signal.SIGTERM, signal.SIGINT}:
            self._expected_dead.add(name)
        self.component(name).kill(signum, group=group)

    def kill_runner(self, name: str = TRIGGERER) -> None:
        """Kill -9 the process in which the triggers run; their supervisor then ends itself, and that is expected.

        :raises LocalAirflowError: there is none
        """
        runner = self.triggerer_runner(name)
        self._expected_dead.add(name)
        runner.kill()

    def bury(self, name: str) -> None:
        """Kill what a dead component has left behind, as the end of its container would: after kill -9 of a
        triggerer's supervisor its log server lives on."""
        component = self.component(name)
        if component.alive:
            raise LocalAirflowError(f"{name} is still running")
        Family("none", {component.pid}).kill()
        self._family.sessions.discard(component.pid)
        self._watchdog.release(component.pid)

    def triggerers(self) -> dict[str, int]:
        """The living triggerers that have registered themselves with Airflow: the id of the job (as in
        ``TaskInstance.triggerer_id``) by name."""
        jobs = self.request("GET", "/jobs", params={"job_type": "TriggererJob", "limit": 100, "order_by": "id"})["jobs"]
        ids = {job["hostname"]: int(job["id"]) for job in jobs}
        living = (name for name in self._components if name.startswith(TRIGGERER) and self._components[name].alive)
        return {name: ids[address] for name in living if (address := _triggerer_address(name)) in ids}

    def restart(self, name: str) -> Component:
        """Start a component again that has ended; a triggerer comes back as a new one (see :meth:`start_triggerer`)."""
        if self.component(name).alive:
            raise LocalAirflowError(f"{name} is still running")
        if name.startswith(TRIGGERER):
            return self.start_triggerer()
        return self._start_component(name, [name], LOOPBACK if name == "scheduler" else None)


def _triggerer_address(name: str) -> str:
    """Its loopback address, by which Airflow knows it as a host."""
    return f"127.0.0.{name.rpartition('-')[2] if '-' in name else 1}"


def _serves_logs(process: psutil.Process) -> bool:
    return any("serve-logs" in part for part in process.cmdline())
