"""
The process that forks a supervisor for each container, and that outlives the server long enough to clean up.

Started as ``python -I -S -c ... FOLDER`` by ``node/processes.py`` with one end of a socket as its standard input. Each
message is one byte and a descriptor: the supervisor's own link to the server. When the server is gone, however it
ended, everything below here is killed and the folder is removed.
"""

from __future__ import annotations

import contextlib
import gc
import os
import select
import shutil
import signal
import socket
import sys
import time
import traceback

from . import linux, memory, supervisor


class ForkServer:
    """
    :param requests: where the requests come from.
    :param folder: what is removed at the end.
    """

    def __init__(self, requests: socket.socket, folder: str) -> None:
        self._requests, self._folder = requests, folder
        self._supervisors: set[int] = set()
        self._woken, self._wakes = os.pipe()

    def run(self) -> None:
        """Return when the server has gone and all was cleaned up."""
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        for fd in (self._woken, self._wakes):
            os.set_blocking(fd, False)
        signal.set_wakeup_fd(self._wakes, warn_on_full_buffer=False)
        linux.adopt_orphans()
        gc.collect()
        gc.freeze()  # what was imported is never copied by a fork's garbage collection
        while self._serve():
            pass
        self._clean_up()

    def _serve(self) -> bool:
        ready, _, _ = select.select([self._requests.fileno(), self._woken], [], [])
        if self._woken in ready:
            os.read(self._woken, 1 << 16)
            self._reap()
        if self._requests.fileno() in ready:
            try:
                data, fds, _, _ = socket.recv_fds(self._requests, 1, 1)
            except ConnectionError:
                return False
            if not data:
                return False
            for fd in fds:
                os.set_inheritable(fd, False)  # what comes over a socket is inheritable, and a container would have it
                self._fork(fd)
        return True

    def _fork(self, fd: int) -> None:
        try:
            pid = os.fork()
        except OSError:
            os.close(fd)  # the server sees the end of the link, and says that the container could not be created
            return
        if pid:
            os.close(fd)
            self._supervisors.add(pid)
            return
        code = 1
        try:
            signal.set_wakeup_fd(-1)
            for one in (self._woken, self._wakes):
                os.close(one)
            self._requests.close()
            for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
                signal.signal(number, signal.SIG_DFL)
            os.setsid()  # a terminal's Ctrl-C is not the containers' business
            supervisor.supervise(socket.socket(fileno=fd))
            code = 0
        except Exception:  # noqa: BLE001 - the top of this process; the server sees the link's end
            traceback.print_exc()
        finally:
            os._exit(code)

    def _reap(self) -> None:
        """Collect supervisors, and kill what one that was killed has left to us."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                self._supervisors.discard(ended[0])
        for pid in memory.children(os.getpid()):
            if pid not in self._supervisors:
                _kill(pid)

    def _clean_up(self) -> None:
        # The supervisors have lost their links, too, and kill their containers; this is for those who cannot.
        until = time.monotonic() + 2.0
        while time.monotonic() < until and memory.children(os.getpid()):
            self._reap()
            time.sleep(0.01)
        for pid in self._supervisors:
            _kill(pid)
        until = time.monotonic() + 2.0
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < until:
                self._supervisors.clear()
                self._reap()
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    time.sleep(0.01)
        shutil.rmtree(self._folder, ignore_errors=True)


def _kill(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.kill(pid, signal.SIGKILL)


def main() -> None:
    """Serve."""
    requests = socket.socket(fileno=os.dup(0))
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    ForkServer(requests, sys.argv[1]).run()
