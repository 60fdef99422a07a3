"""One more process in a container that runs."""

# ruff: noqa: PTH116
# Paths are strings here, as everywhere in this package.

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import socket
from typing import Any, NoReturn

from . import launch, linux

_CHUNK = 1 << 16
_NAMESPACES = (("user", linux.CLONE_NEWUSER), ("mnt", linux.CLONE_NEWNS))

# This process is one of the container's, and may be hit by what is sent to all of them.
_MEANT_FOR_OTHERS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGQUIT)


def attend(link: socket.socket, streams: list[int], container: int) -> None:
    """
    Run a command in a container, and tell how it ends. In a process of its own, a child of the container's supervisor.

    :param link: to the server: the specification comes first (``argv``, ``env``, ``cwd``); then any byte, or its end,
        is a SIGKILL. News are ``started`` or ``failed`` and ``message``, then ``exit``.
    :param streams: what are to be its standard streams.
    :param container: process id of the container's first process.
    """
    linux.die_with_parent(signal.SIGKILL)
    for number in _MEANT_FOR_OTHERS:
        signal.signal(number, signal.SIG_IGN)
    link.setblocking(True)
    text = b""
    while not text.endswith(b"\n"):
        part = link.recv(_CHUNK)
        if not part:
            return
        text += part
    errors, tell = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(json.loads(text), streams, container, tell)
    for fd in (*streams, tell):
        os.close(fd)
    failed = b""
    while part := os.read(errors, _CHUNK):
        failed += part
    if failed:
        os.waitpid(pid, 0)
        _send(link, failed)
        return
    _send(link, json.dumps({"started": pid}).encode())
    _send(link, json.dumps({"exit": _wait(link, pid)}).encode())


def _send(link: socket.socket, text: bytes) -> None:
    with contextlib.suppress(OSError):  # nobody listens any more
        link.sendall(text + b"\n")


def _wait(link: socket.socket, pid: int) -> int:
    woken, wakes = os.pipe()
    os.set_blocking(wakes, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(wakes, warn_on_full_buffer=False)
    waiting = [woken, link.fileno()]
    while True:
        # The signal may have come before there was anything to wake: hence the look first.
        ended, status = os.waitpid(pid, os.WNOHANG)
        if ended:
            code = os.waitstatus_to_exitcode(status)
            return code if code >= 0 else 128 - code
        ready = select.select(waiting, [], [], 1.0)[0]
        if woken in ready:
            os.read(woken, _CHUNK)
        if link.fileno() in ready:
            waiting.remove(link.fileno())
            with contextlib.suppress(ProcessLookupError, PermissionError):
                os.killpg(pid, signal.SIGKILL)


def _become(spec: dict[str, Any], streams: list[int], container: int, errors: int) -> NoReturn:
    try:
        for number in _MEANT_FOR_OTHERS:
            signal.signal(number, signal.SIG_DFL)
        os.setsid()
        linux.die_with_parent(signal.SIGKILL)
        for target, fd in enumerate(streams):
            os.dup2(fd, target, inheritable=True)
        _join(container)
        launch.change_directory(spec["cwd"])
        launch.execute(spec)
    except launch.CannotStart as error:
        os.write(errors, json.dumps({"failed": "exec", "message": str(error)}).encode())
    except (OSError, ValueError) as error:
        os.write(errors, json.dumps({"failed": "exec", "message": str(error)}).encode())
    finally:
        os._exit(127)


def _join(container: int) -> None:
    """Enter the namespaces of that process that are not ours already."""
    joined = []
    for name, flag in _NAMESPACES:
        with contextlib.suppress(FileNotFoundError):
            theirs = os.open(f"/proc/{container}/ns/{name}", os.O_RDONLY)
            if os.fstat(theirs).st_ino != os.stat(f"/proc/self/ns/{name}").st_ino:
                joined.append((theirs, flag))
    if joined:
        root = os.open(f"/proc/{container}/root", os.O_RDONLY)
        for fd, flag in joined:
            linux.setns(fd, flag)
        os.fchdir(root)
        os.chroot(".")
