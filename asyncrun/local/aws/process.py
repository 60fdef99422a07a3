"""A container as a local process: its environment, its signals, its end, and its memory."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable
from pathlib import Path

MARK = "ASYNCRUN_EMBEDDED_AWS"
"""Environment variable that marks every container process, so that the guardian finds them after a crash."""


class ContainerProcess:
    """One running container: a process in a session and process group of its own.

    A container ends with its first process, as with Docker: what is left of its group is killed then. Unlike in a
    container, that process is not number 1 of its namespace, so it need not install a handler to die of SIGTERM.

    :param argv: program and arguments.
    :param env: the container's own variables; the rest of the environment is clean.
    :param home: working directory and HOME.
    :param on_exit: called with the exit code (128 + signal, if one ended it), in a thread of this container.
    :raises OSError: if the program cannot be started.
    """

    def __init__(
        self, argv: list[str], env: dict[str, str], home: Path, mark: str, on_exit: Callable[[int], None]
    ) -> None:
        self._process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            cwd=home,
            env=_environment(env, home, mark),
            start_new_session=True,
        )
        assert self._process.stdout is not None
        self.pid = self._process.pid
        self.output = os.dup(self._process.stdout.fileno())
        self._process.stdout.close()
        self._on_exit = on_exit

    def watch(self) -> None:
        """Starts the thread that waits for the end."""
        threading.Thread(target=self._wait, name=f"container-{self.pid}", daemon=True).start()

    def _wait(self) -> None:
        code = self._process.wait()
        self._kill_group()
        self._on_exit(code if code >= 0 else 128 - code)

    def terminate(self) -> None:
        """SIGTERM to the first process, as `docker stop` does."""
        self._process.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL to the whole group."""
        if self._process.returncode is None:
            self._kill_group()

    def _kill_group(self) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(self.pid, signal.SIGKILL)


def _environment(env: dict[str, str], home: Path, mark: str) -> dict[str, str]:
    # `python` in a container is the interpreter that runs the server.
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])
    return {"PATH": path, "HOME": str(home), "LANG": "C.UTF-8", **env, MARK: mark}


class MemoryWatch:
    """Measures the resident memory of process trees and reports those above their limit.

    Pages that processes of one tree share are counted for each (there is no cgroup). One pass over all processes of the
    machine serves all containers; the watch takes at most a twentieth of one core.

    :param limits: gives the process ids to watch, each with its limit in MiB.
    :param on_excess: called with the process id.
    :param interval: shortest seconds between two passes.
    """

    def __init__(self, limits: Callable[[], dict[int, int]], on_excess: Callable[[int], None], interval: float) -> None:
        self._limits, self._on_excess, self._interval = limits, on_excess, interval
        threading.Thread(target=self._run, name="memory", daemon=True).start()

    def _run(self) -> None:
        pause = self._interval
        while True:
            time.sleep(pause)
            began = time.thread_time()
            limits = self._limits()
            if limits:
                for pid, used in tree_memory(limits.keys()).items():
                    if used > limits[pid] << 20:
                        self._on_excess(pid)
            pause = max(self._interval, 20 * (time.thread_time() - began))


def tree_memory(roots: Iterable[int]) -> dict[int, int]:
    """Resident bytes of the process tree under each of the ``roots`` (process ids) that lives."""
    import psutil

    wanted = set(roots)
    parents: dict[int, int] = {}
    resident: dict[int, int] = {}
    for process in psutil.process_iter(["ppid", "memory_info"]):
        info = process.info
        parents[process.pid] = info["ppid"] or 0
        resident[process.pid] = info["memory_info"].rss if info["memory_info"] else 0
    totals: dict[int, int] = {}
    for pid, used in resident.items():
        ancestor, steps = pid, 0
        while ancestor and ancestor not in wanted and steps < 64:
            ancestor, steps = parents.get(ancestor, 0), steps + 1
        if ancestor in wanted:
            totals[ancestor] = totals.get(ancestor, 0) + used
    return totals


def kill_marked(mark: str) -> None:
    """SIGKILL to every process that carries ``mark`` in its environment."""
    import psutil

    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            if process.environ().get(MARK) == mark:
                process.kill()
