"""`ServerProcess`: an embedded server, from the outside. Its other half is the ``__main__`` of each server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
from typing import IO, Any


class EmbeddedServerError(RuntimeError):
    """The server process could not be started; the message holds what it wrote."""


class ServerProcess:
    """
    A Python module that runs as a process of its own and is told what to do by one line of JSON.

    It answers with one line of JSON when it is ready, and ends when its standard input is closed.

    :param module: run with ``python -m``.
    :param title: what it is, for messages.
    :param start_timeout: seconds until it must be ready.
    """

    def __init__(self, module: str, title: str, start_timeout: float) -> None:
        self._module, self._title, self._start_timeout = module, title, start_timeout
        self._process: subprocess.Popen[bytes] | None = None
        self._errors: IO[bytes] | None = None

    @property
    def pid(self) -> int | None:
        """The server's process id, while it runs."""
        return self._process.pid if self._process is not None else None

    def start(self, order: dict[str, Any]) -> dict[str, Any]:
        """
        Start it and return its answer.

        :param order: what to do; ``parent``, the process whose death ends it, is added.
        :raises EmbeddedServerError: it ends or is not ready in time.
        """
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - stop() closes it
        self._process = subprocess.Popen(
            [sys.executable, "-m", self._module],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            start_new_session=True,
        )
        try:
            return self._hand_shake(self._process, {**order, "parent": os.getpid()})
        except BaseException:
            self.stop()
            raise

    def _hand_shake(self, process: subprocess.Popen[bytes], order: dict[str, Any]) -> dict[str, Any]:
        assert process.stdin is not None
        assert process.stdout is not None
        timer = threading.Timer(self._start_timeout, process.kill)
        timer.daemon = True
        timer.start()
        try:
            process.stdin.write(json.dumps(order).encode() + b"\n")
            process.stdin.flush()
            line = process.stdout.readline()
        except BrokenPipeError:
            line = b""
        finally:
            timer.cancel()
        if not line:
            process.wait()
            raise EmbeddedServerError(f"The embedded {self._title} did not start:\n{self.log_text()[-4000:]}")
        ready: dict[str, Any] = json.loads(line)
        return ready

    def log_text(self) -> str:
        """What the running server wrote to its standard error output: tracebacks, if it has a defect."""
        if self._errors is None:
            return ""
        return os.pread(self._errors.fileno(), 1 << 20, 0).decode(errors="replace")

    def stop(self) -> None:
        """End the server and its containers; may be called twice."""
        process, self._process = self._process, None
        if process is not None:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.close()
            try:
                process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
            process.stdout.close()
        if self._errors is not None:
            self._errors.close()
            self._errors = None
