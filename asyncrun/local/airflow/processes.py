"""Processes of the local Airflow: starting one, finding all of them, ending them."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from asyncrun.local.airflow.environment import LOOPBACK, MARKER_VARIABLE

if TYPE_CHECKING:
    import psutil


def free_ports(count: int) -> list[int]:
    """That many different TCP ports which are free on loopback now."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind((LOOPBACK, 0))
        return [each.getsockname()[1] for each in sockets]


class Component:
    """One started Airflow component: a process group of its own, with its output in a file."""

    def __init__(
        self, name: str, arguments: Sequence[str], environment: Mapping[str, str], cwd: Path, log: Path
    ) -> None:
        self.name = name
        self.log = log
        with log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "airflow", *arguments],
                env=dict(environment),
                cwd=cwd,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                # Out of reach of the terminal's Ctrl-C, which would reach children before their supervisor.
                start_new_session=True,
            )

    def __repr__(self) -> str:
        return f"<Component {self.name} pid={self.pid} exit_code={self.exit_code}>"

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while the process runs; negative when a signal ended it."""
        return self._process.poll()

    @property
    def alive(self) -> bool:
        return self.exit_code is None

    def kill(self, signum: signal.Signals = signal.SIGKILL, *, group: bool = False) -> None:
        """Send a signal to the component's main process, or to its whole process group; nothing if it is gone."""
        with suppress(ProcessLookupError):
            if group:
                os.killpg(self.pid, signum)
            elif self.alive:
                os.kill(self.pid, signum)

    def wait(self, timeout: float = 30) -> int:
        """The exit code. Raises subprocess.TimeoutExpired after `timeout` seconds."""
        return self._process.wait(timeout)

    def children(self) -> list[psutil.Process]:
        """All living descendants."""
        import psutil

        with suppress(psutil.NoSuchProcess):
            return psutil.Process(self.pid).children(recursive=True)
        return []

    def tail(self, lines: int = 30) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@dataclass
class Family:
    """All processes of one local Airflow, however they were reparented.

    They are known by session (each component starts one; a component that sets its process title overwrites the
    environment that others can read) or by a marker in the environment (a task may start programs in sessions of its
    own).
    """

    marker: str
    sessions: set[int] = field(default_factory=set)

    def living(self) -> list[psutil.Process]:
        import psutil

        found = []
        for process in psutil.process_iter():
            with suppress(psutil.Error, OSError):
                if self._is_ours(process) and process.status() != psutil.STATUS_ZOMBIE:
                    found.append(process)
        return found

    def _is_ours(self, process: psutil.Process) -> bool:
        if os.getsid(process.pid) in self.sessions:
            return True
        return process.environ().get(MARKER_VARIABLE) == self.marker

    def kill(self, timeout: float = 10) -> list[int]:
        """Kill all of them, until none is left; returns the pids that survived `timeout` seconds.

        More than one round, because a process can start a child between the look and the kill.
        """
        import psutil

        end = time.monotonic() + timeout
        while left := self.living():
            for process in left:
                with suppress(psutil.Error):
                    process.kill()
            psutil.wait_procs(left, timeout=0.5)
            if time.monotonic() > end:
                return [process.pid for process in self.living()]
        return []
