"""Triggers as the triggerer runs them: real AWS calls to an embedded server, the real log channel, our settings."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import threading
from collections.abc import AsyncIterator, Iterator
from typing import Any

import pytest
import structlog
from airflow.sdk._shared.logging.structlog import LoggerFactory, NamedBytesLogger
from airflow.sdk.log import logging_processors

from asyncrun.clients.config import load_settings
from asyncrun.local.aws import EmbeddedAws, EmbeddedAwsOptions
from asyncrun.model.refs import AwsTarget
from tests.support.lab import QUICK, Lab
from tests.support.memory_aws import MemoryAws

TRIGGER_ID = 7
FAST = {
    "poll_interval": "0.1",
    "logs_poll_interval": "0.1",
    "logs_poll_idle": "0.2",
    "logs_quiet_period": "0.4",
    "logs_overlap": "2",
    "resume_hold": "0",
    "describe_rate": "20",
    "filter_logs_rate": "25",
    "get_logs_rate": "30",
    "reason_wait": "2",
    "watcher_linger": "0",
    "kill_grace": "20",
    "missing_grace": "1",
    "access_grace": "1",
}


@pytest.fixture(scope="session")
def shared_lab() -> Iterator[Lab]:
    """One embedded AWS for all tests of triggers."""
    with EmbeddedAws(EmbeddedAwsOptions(log_groups=("/lab",), delays=QUICK, flush_interval=0.1)) as aws:
        yield Lab(aws)
        assert aws.log_text() == ""


@pytest.fixture
def lab(shared_lab: Lab, monkeypatch: pytest.MonkeyPatch) -> Iterator[Lab]:
    """The embedded AWS, undisturbed; the SDK's own chain of credentials leads to it."""
    for name, value in shared_lab.aws.env().items():
        monkeypatch.setenv(name, value)
    control = shared_lab.aws.control
    control.calls(clear=True)
    yield shared_lab
    control.clear_faults()
    control.set_quotas({})
    control.set_policy(None)


@pytest.fixture
def settings(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    """Short times; more settings can be set through the returned monkeypatch before the trigger starts."""
    for name, value in FAST.items():
        monkeypatch.setenv(f"AIRFLOW__ASYNCRUN__{name.upper()}", value)
    load_settings.cache_clear()
    yield monkeypatch
    load_settings.cache_clear()


class TaskLogReader(threading.Thread):
    """The supervisor's end of the log channel: everything that any trigger of this process logged."""

    def __init__(self, end: socket.socket, file: Any) -> None:
        super().__init__(name="task log reader", daemon=True)
        self._end, self._file, self._data = end, file, bytearray()
        self._grown = threading.Condition()
        self._marks = 0
        self.start()

    def run(self) -> None:
        while part := self._end.recv(65536):
            with self._grown:
                self._data += part
                self._grown.notify()

    def records(self, logger: str | None = None) -> list[dict[str, Any]]:
        """Records so far, of one logger or all: everything written before this call has been read."""
        self._marks += 1
        mark = json.dumps({"mark": self._marks}).encode() + b"\n"
        self._file.write(mark)
        with self._grown:
            assert self._grown.wait_for(lambda: mark in self._data, 10)
            whole = bytes(self._data).decode().splitlines()
        records = [json.loads(line) for line in whole]
        return [one for one in records if "mark" not in one and (logger is None or one.get("logger") == logger)]

    def lines(self, logger: str) -> list[str]:
        """The lines that a container wrote, in order."""
        return [line for one in self.records(logger) for line in one["event"].split("\n")]

    async def shows(self, logger: str, line: str) -> None:
        """Wait until that line is there."""
        async with asyncio.timeout(20):
            while line not in self.lines(logger):  # noqa: ASYNC110 - the other side of a socket
                await asyncio.sleep(0.03)

    def said(self) -> str:
        """What asyncrun itself said."""
        return "\n".join(self.lines("asyncrun"))


@pytest.fixture
def task_log() -> Iterator[TaskLogReader]:
    """structlog as Airflow sets it up in the triggerer's runner, on a socket that is read."""
    saved = structlog.get_config()
    theirs, ours = socket.socketpair()
    file = os.fdopen(ours.detach(), "wb", buffering=0)
    structlog.configure(
        logger_factory=LoggerFactory(NamedBytesLogger, io=file), processors=logging_processors(json_output=True)
    )
    reader = TaskLogReader(theirs, file)
    yield reader
    structlog.configure(**saved)
    file.close()
    reader.join(10)
    theirs.close()


@pytest.fixture
async def loop_closed(no_leaked_tasks: None) -> AsyncIterator[None]:
    """Close what triggers share in this event loop, as the triggerer's end would."""
    from asyncrun.triggers.shutdown import close_loop

    yield
    await close_loop()


@pytest.fixture
async def memory(loop_closed: None) -> AsyncIterator[MemoryAws]:
    """An AWS in memory where the SDK's own credentials lead to, left by all at the test's end."""
    made = MemoryAws(AwsTarget(conn_id=None))
    yield made
    assert made.users == 0
