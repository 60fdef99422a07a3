"""A log volume shared by triggerers that die, and what Airflow's own reader shows of it."""

from __future__ import annotations

import glob
import io
import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import structlog
from airflow.sdk._shared.logging.structlog import LoggerFactory, NamedBytesLogger
from airflow.sdk.log import logging_processors

TRIGGER_ID = 7
TI = SimpleNamespace(
    id="0199b3f2-0000-7000-8000-000000000001", dag_id="d", run_id="manual__2020[1]*", task_id="t", map_index=-1,
    try_number=1, context_carrier=None,
)  # fmt: skip
LOG = "dag_id=d/run_id=manual__2020[1]*/task_id=t/attempt=1.log"


class Supervisors:
    """Makes supervisors: processes that hold Airflow's end of a log channel."""

    def __init__(self) -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._control = ours
        command = [sys.executable, str(Path(__file__).with_name("supervisors.py")), str(theirs.fileno())]
        self._process = subprocess.Popen(command, pass_fds=[theirs.fileno()])
        theirs.close()
        assert ours.recv(100) == b"ready"

    def serve(self, channel: socket.socket, **told: Any) -> int:
        """Process id of a new supervisor."""
        socket.send_fds(self._control, [json.dumps(told).encode()], [channel.fileno()])
        return int(self._control.recv(100))

    def close(self) -> None:
        self._control.close()
        assert self._process.wait(20) == 0


@dataclass
class Volume:
    """
    :ivar secrets: what Airflow masks.
    """

    folder: Path
    supervisors: Supervisors
    secrets: list[str] = field(default_factory=list)

    @property
    def log(self) -> Path:
        return self.folder / LOG

    def file(self, job: int) -> Path:
        return self.log.with_name(f"{self.log.name}.trigger.{job}.log")

    @contextmanager
    def triggerer(self, job: int, *, starting: bool = True) -> Iterator[Triggerer]:
        """A triggerer with that job id, of which this process is the runner: its structlog leads to the supervisor."""
        theirs, ours = socket.socketpair()
        pid = self.supervisors.serve(
            theirs,
            folder=str(self.folder),
            files={TRIGGER_ID: f"{LOG}.trigger.{job}.log"},
            secrets=self.secrets,
        )
        theirs.close()
        file = os.fdopen(ours.detach(), "wb", buffering=0)
        saved = structlog.get_config()
        structlog.configure(
            logger_factory=LoggerFactory(NamedBytesLogger, io=file), processors=logging_processors(json_output=True)
        )
        if starting:
            structlog.get_logger("airflow.triggers").info("trigger t starting", trigger_id=TRIGGER_ID)
        try:
            yield Triggerer(pid, file)
        finally:
            structlog.configure(**saved)
            with suppress(OSError):
                file.close()
            until_gone(pid)

    def written(self, job: int) -> list[dict[str, Any]]:
        """The records of one file."""
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in self.file(job).read_text().splitlines()]
        return []

    def texts(self, job: int, logger: str = "main") -> list[str]:
        """The lines of a container in one file."""
        records = [one for one in self.written(job) if one["logger"] == logger]
        return [line for one in records for line in one["event"].split("\n")]

    def said(self, job: int) -> str:
        return "\n".join(self.texts(job, "asyncrun"))

    def shown(self, logger: str = "main") -> list[str]:
        """The lines of a container that a reader of the log sees."""
        return [
            line
            for one in read_by_airflow(self.log)
            if getattr(one, "logger", None) == logger
            for line in one.event.split("\n")
        ]


@dataclass
class Triggerer:
    pid: int
    file: io.RawIOBase

    def kill(self) -> None:
        """kill -9 of the supervisor."""
        os.kill(self.pid, signal.SIGKILL)


def until_gone(pid: int) -> None:
    deadline = time.monotonic() + 20
    with suppress(ProcessLookupError):
        while time.monotonic() < deadline:
            os.kill(pid, 0)
            time.sleep(0.005)
        raise AssertionError(f"supervisor {pid} is still there")


def read_by_airflow(log: Path) -> list[Any]:
    """All entries that Airflow's own reader shows of an attempt's files, without those that it says itself."""
    from airflow.utils.log import file_task_handler

    with ExitStack() as opened:  # as its _read_from_local, which leaves its files to the garbage collector
        paths = sorted(log.parent.glob(glob.escape(log.name) + "*"))
        files = [opened.enter_context(path.open(encoding="utf-8")) for path in paths if path.is_file()]
        return list(file_task_handler._interleave_logs(*map(file_task_handler._stream_lines_by_chunk, files)))


def merged(files: Sequence[Sequence[bytes]]) -> list[Any]:
    """The same of files that are not on a disk: each is a list of lines."""
    from airflow.utils.log import file_task_handler

    return list(file_task_handler._interleave_logs(*((line.decode() for line in file) for file in files)))
