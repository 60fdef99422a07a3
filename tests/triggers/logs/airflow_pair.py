"""
Both ends of Airflow's log channel, as Airflow builds them, in processes of their own; run as a script.

    airflow_pair.py triggerer|worker|console FILE

The child configures its logging as Airflow's own child processes do and emits records through our sink; the parent
reads them with Airflow's own reader and writes FILE.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from asyncrun.triggers.logs.channel import open_sink
from asyncrun.triggers.logs.records import Record

RECORDS = [
    Record(1_577_934_245_067, "info", "main", "[main] first\nsecond", 2),
    Record(1_577_934_245_068, "error", "side-car", "[side-car] 100% %s {x} \u2713", 1),
    Record(1_577_934_245_070, "debug", "main", "[main] details", 1),
    Record(1_577_934_245_072, "critical", "main", "", 1),
    Record(1_577_934_245_074, "warning", "main", "[main] token eyJhbGciOi.abc.def", 1),
    Record(1_577_934_245_076, "info", "main", "x" * 100_000, 1),
]


def child(trigger_id: int | None) -> None:
    import structlog

    sink = open_sink(trigger_id)

    async def emit() -> None:
        # As in a trigger: what is bound here must not reach the records of others.
        structlog.contextvars.bind_contextvars(trigger_id=99 if trigger_id is not None else "none")
        if trigger_id is None:
            structlog.contextvars.clear_contextvars()
        for record in RECORDS:
            await sink.emit([record])
            fill = sink.fill()
            assert (fill is None) == (trigger_id is None), fill

    asyncio.run(emit())
    structlog.get_logger("end").info("end of " + type(sink).__name__, **({"trigger_id": 7} if trigger_id else {}))


def pair(mode: str, file: Path) -> None:
    from airflow.sdk.execution_time import supervisor

    ours, theirs = socket.socketpair()
    if os.fork() == 0:
        ours.close()
        supervisor._configure_logs_over_json_channel(theirs.detach())
        child(7 if mode == "triggerer" else None)
        os._exit(0)
    theirs.close()
    gen, done = (_triggerer if mode == "triggerer" else _worker)(file)
    on_data, _ = supervisor.make_buffered_socket_reader(gen, on_close=lambda sock: None)
    while on_data(ours):
        pass
    ours.close()
    done()
    os.wait()


def _triggerer(file: Path) -> Any:
    from airflow.jobs.triggerer_job_runner import TriggererJobRunner, TriggerLoggingFactory, TriggerRunnerSupervisor

    assert TriggererJobRunner
    factory = TriggerLoggingFactory(log_path=str(file), ti=None)  # type: ignore[arg-type]
    this = SimpleNamespace(logger_cache={7: factory})
    return TriggerRunnerSupervisor._process_log_messages_from_subprocess(this), factory.close  # type: ignore[arg-type]


def _worker(file: Path) -> Any:
    import structlog
    from airflow.sdk.execution_time.supervisor import process_log_messages_from_subprocess
    from airflow.sdk.log import logging_processors

    out = file.open("wb")
    log = structlog.wrap_logger(structlog.BytesLogger(out), processors=logging_processors(json_output=True)).bind()
    return process_log_messages_from_subprocess((log,)), out.close


if __name__ == "__main__":
    if sys.argv[1] == "console":
        from airflow.sdk.log import configure_logging

        configure_logging()
        child(None)
    else:
        pair(sys.argv[1], Path(sys.argv[2]))
        for text in Path(sys.argv[2]).read_text().splitlines():
            print(json.dumps(json.loads(text)))
