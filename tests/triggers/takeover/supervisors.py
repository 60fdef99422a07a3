"""
Airflow's own supervisors of triggerers, as far as task logs go; run as a script: ``supervisors.py FD``.

For each message on the socket FD, and the end of a log channel that comes with it, a process is forked that serves
this channel as the supervisor does, until the channel ends or somebody kills it.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import sys
from types import SimpleNamespace
from typing import Any


def serve(channel: socket.socket, told: dict[str, Any]) -> None:
    from airflow.jobs.triggerer_job_runner import TriggererJobRunner, TriggerLoggingFactory, TriggerRunnerSupervisor
    from airflow.sdk.execution_time import supervisor
    from airflow.sdk.log import mask_secret

    assert TriggererJobRunner
    os.environ["AIRFLOW__LOGGING__BASE_LOG_FOLDER"] = told["folder"]
    for secret in told["secrets"]:
        mask_secret(secret)

    def factory(name: str) -> Any:
        return TriggerLoggingFactory(log_path=name, ti=None)  # type: ignore[arg-type]

    factories = {int(number): factory(name) for number, name in told["files"].items()}
    this: Any = SimpleNamespace(logger_cache=factories)
    records = TriggerRunnerSupervisor._process_log_messages_from_subprocess(this)
    on_data, _ = supervisor.make_buffered_socket_reader(records, on_close=lambda sock: None)
    while on_data(channel):
        pass
    for one in factories.values():
        one.close()


def main(control: socket.socket) -> None:
    import airflow.jobs.triggerer_job_runner
    import airflow.sdk.execution_time.supervisor  # noqa: F401 - once, before forking

    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    control.send(b"ready")
    while True:
        message, descriptors, _, _ = socket.recv_fds(control, 1 << 20, 1)
        if not message:
            return
        pid = os.fork()
        if pid == 0:
            control.close()
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            serve(socket.socket(fileno=descriptors[0]), json.loads(message))
            os._exit(0)
        os.close(descriptors[0])
        control.send(str(pid).encode())


if __name__ == "__main__":
    main(socket.socket(fileno=int(sys.argv[1])))
