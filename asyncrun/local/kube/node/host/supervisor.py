"""
One process per container: it starts the container's first process, writes its log, and ends with it.

A container ends with its first process, as everywhere; whatever is left of it then is killed, however far it ran away,
since this process is the one that orphans of it are given to. The same happens when the server is gone.
"""

# ruff: noqa: PTH123
# Paths are strings here: this runs once for every container.

from __future__ import annotations

import contextlib
import errno
import json
import os
import select
import signal
import socket
import time
from typing import Any

from . import crilog, execs, launch, linux, memory, mounts

_CHUNK = 1 << 16
_NEWS_EVERY = 0.01
_DRAIN = 2.0
_MEMORY_PAUSES = (0.02, 0.1)
_FALLBACK_LINES, _FALLBACK_BYTES = 80, 2048


class Supervisor:
    """
    Runs one container.

    :param link: to the server. Commands are single bytes: ``T`` and ``K`` for SIGTERM and SIGKILL; its end is a
        SIGKILL, too; ``X`` with four descriptors is a command to run (see `execs.attend`). News are JSON objects, one
        a line: ``started``; or ``failed`` and ``message``; ``log`` with the size of the log file and the place where
        its present part begins; ``exit`` with the code, ``oom``, ``at`` and ``message``.
    :param spec: ``argv``, ``env``, ``cwd``, ``root`` (empty directory, or None for no mounts of its own), ``mounts``,
        ``log``, ``log_limit``, ``memory`` (bytes or None), ``termination`` (``path``, ``fallback``, ``limit``).
    """

    def __init__(self, link: socket.socket, spec: dict[str, Any]) -> None:
        self._link, self._spec = link, spec
        self._log = crilog.CriLog(spec["log"], spec["log_limit"])
        self._pid = 0
        self._code: int | None = None
        self._ended_at = 0
        self._oom = False
        self._killed_by_term = False
        self._streams: set[int] = set()
        self._told, self._told_at = (0, 0), 0.0
        self._next_look = 0.0

    def run(self) -> None:
        """Return when the container has ended and that was told."""
        woken, wakes = os.pipe()
        os.set_blocking(wakes, False)
        os.set_blocking(woken, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
        if not self._start():
            return
        poll = select.poll()
        for fd in (woken, self._link.fileno(), *self._streams):
            poll.register(fd, select.POLLIN)
        while self._code is None:
            for fd, _ in poll.poll(self._pause() * 1000):
                if fd == woken:
                    os.read(woken, _CHUNK)
                    self._reap()
                elif fd == self._link.fileno():
                    self._obey(poll)
                elif not self._read(fd):
                    poll.unregister(fd)
            self._log.flush()
            self._tell_log()
            self._watch_memory()
        self._end()

    def _start(self) -> bool:
        if self._spec["root"] is not None:
            try:
                mounts.separate_processes()
            except OSError as error:
                why = f"this machine does not let us separate a container's processes: {error}"
                self._send(json.dumps({"failed": "create", "message": why}), wait=True)
                return False
        out, err = os.pipe(), os.pipe()
        errors, tell = os.pipe()
        self._pid = os.fork()
        if self._pid == 0:
            signal.set_wakeup_fd(-1)
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            launch.become(self._spec, out[1], err[1], tell)
        for fd in (out[1], err[1], tell):
            os.close(fd)
        self._streams = {out[0], err[0]}
        for fd in self._streams:
            os.set_blocking(fd, False)
        failed = b""
        while part := os.read(errors, _CHUNK):
            failed += part
        os.close(errors)
        if failed:
            os.waitpid(self._pid, 0)
            self._log.close()
            self._send(failed.decode(), wait=True)
            return False
        self._send(json.dumps({"started": self._pid, "at": time.time_ns()}), wait=True)
        return True

    # -- while it runs -------------------------------------------------------------------------------------------------

    def _pause(self) -> float:
        until = 60.0
        if self._spec["memory"]:
            until = self._next_look - time.monotonic()
        if self._told != (self._log.size, self._log.start):
            until = min(until, self._told_at + _NEWS_EVERY - time.monotonic())
        return max(0.0, until)

    def _read(self, fd: int) -> bool:
        try:
            data = os.read(fd, _CHUNK)
        except BlockingIOError:
            return True
        if data:
            self._log.feed(fd, data, time.time_ns())
            return True
        self._log.end(fd, time.time_ns())
        self._streams.discard(fd)
        os.close(fd)
        return False

    def _obey(self, poll: select.poll) -> None:
        try:
            commands, fds, _, _ = socket.recv_fds(self._link, 1, 4)
        except BlockingIOError:
            return
        except OSError:
            commands, fds = b"", []
        if not commands:
            poll.unregister(self._link.fileno())
            commands = b"K"
        if commands == b"X":
            with contextlib.suppress(OSError):  # the container's process numbers have ended with its first process
                self._attend(fds)
        elif commands == b"T" and not self._heeds_term():
            # Number 1 of a process namespace would never get it. As an ordinary process it dies of it.
            self._killed_by_term = True
            self._signal(self._pid, signal.SIGKILL)
        else:
            self._signal(self._pid, signal.SIGKILL if commands == b"K" else signal.SIGTERM)

    def _heeds_term(self) -> bool:
        """Whether its first process handles or ignores SIGTERM, or is no number 1."""
        if self._spec["root"] is None:
            return True
        masks = 0
        with contextlib.suppress(OSError), open(f"/proc/{self._pid}/status", "rb") as file:
            for line in file:
                if line.startswith((b"SigIgn:", b"SigCgt:")):
                    masks |= int(line.split()[1], 16)
        return bool(masks >> (signal.SIGTERM - 1) & 1)

    def _attend(self, fds: list[int]) -> None:
        """Have one more command run (``host/execs.py``)."""
        for fd in fds:
            os.set_inheritable(fd, False)
        try:
            child = os.fork() if len(fds) == 4 else -1
        except OSError:
            for fd in fds:
                os.close(fd)
            raise
        if child == 0:
            try:
                signal.set_wakeup_fd(-1)
                self._link.close()
                for fd in self._streams:
                    os.close(fd)
                execs.attend(socket.socket(fileno=fds[0]), fds[1:], self._pid)
            finally:
                os._exit(0)
        for fd in fds:
            os.close(fd)

    def _signal(self, pid: int, number: int) -> None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.kill(pid, number)

    def _reap(self) -> None:
        """Collect those that ended: the first process of the container, and orphans of it."""
        with contextlib.suppress(ChildProcessError):
            while (ended := os.waitpid(-1, os.WNOHANG))[0]:
                if ended[0] == self._pid:
                    self._ended_at = time.time_ns()
                    self._code = _exit_code(ended[1])
                    if self._killed_by_term and self._code == 128 + signal.SIGKILL:
                        self._code = 128 + signal.SIGTERM

    def _watch_memory(self) -> None:
        limit = self._spec["memory"]
        if limit and time.monotonic() >= self._next_look:
            victim, share = memory.excess(os.getpid(), limit)
            if victim:
                self._oom = True
                self._signal(victim, signal.SIGKILL)
            self._next_look = time.monotonic() + (_MEMORY_PAUSES[0] if share > 0.25 else _MEMORY_PAUSES[1])

    # -- the end -------------------------------------------------------------------------------------------------------

    def _end(self) -> None:
        self._kill_rest()
        self._drain()
        self._log.close()
        news = {"exit": self._code, "oom": self._oom, "at": self._ended_at, "message": self._message()}
        self._send(json.dumps({**news, "log": [self._log.size, self._log.start]}), wait=True)

    def _kill_rest(self) -> None:
        until = time.monotonic() + _DRAIN
        while time.monotonic() < until:
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(self._pid, signal.SIGKILL)
            for pid in memory.children(os.getpid()):
                self._signal(pid, signal.SIGKILL)
            try:
                if not os.waitpid(-1, os.WNOHANG)[0]:
                    time.sleep(0.002)
            except ChildProcessError:
                return

    def _drain(self) -> None:
        """Read what is still in the pipes. Their ends were closed by the death of all who held them."""
        until = time.monotonic() + _DRAIN
        while self._streams and (left := until - time.monotonic()) > 0:
            for fd in select.select(list(self._streams), [], [], left)[0]:
                self._read(fd)
        for fd in list(self._streams):
            self._log.end(fd, time.time_ns())

    def _message(self) -> str | None:
        """The termination message (trace m_termination_message); the kubelet reads the end of the file."""
        wanted = self._spec["termination"]
        data = b""
        with contextlib.suppress(OSError), open(wanted["path"], "rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - 4096))
            data = file.read(4096)
        if not data and wanted["fallback"] and self._code != 0:
            data = crilog.tail(self._spec["log"], _FALLBACK_LINES, _FALLBACK_BYTES)
        return data[: wanted["limit"]].decode("utf-8", "replace") or None

    # -- news ----------------------------------------------------------------------------------------------------------

    def _tell_log(self) -> None:
        now = (self._log.size, self._log.start)
        if now != self._told and time.monotonic() >= self._told_at + _NEWS_EVERY:
            if self._send(json.dumps({"log": now}), wait=False):
                self._told = now
            self._told_at = time.monotonic()

    def _send(self, text: str, *, wait: bool) -> bool:
        """Send one line; without ``wait`` only if it can be taken as a whole at once."""
        data = text.encode() + b"\n"
        self._link.setblocking(wait)
        try:
            if wait:
                self._link.sendall(data)
                return True
            sent = self._link.send(data)
            if sent < len(data):
                self._link.setblocking(True)
                self._link.sendall(data[sent:])
        except OSError as error:
            return error.errno not in (errno.EAGAIN, errno.EWOULDBLOCK)  # else nobody listens any more
        finally:
            self._link.setblocking(False)
        return True


def _exit_code(status: int) -> int:
    code = os.waitstatus_to_exitcode(status)
    return code if code >= 0 else 128 - code


def supervise(link: socket.socket) -> None:
    """Be the supervisor of the container whose specification comes first over ``link``."""
    linux.die_with_parent(signal.SIGKILL)
    linux.adopt_orphans()
    link.setblocking(True)
    text = b""
    while not text.endswith(b"\n"):
        part = link.recv(_CHUNK)
        if not part:
            return
        text += part
    Supervisor(link, json.loads(text)).run()
