"""The server process of the embedded AWS; started by `EmbeddedAws`, not by hand.

Reads one line of JSON from standard input (``options``, ``token``, ``parent``), prints one line of JSON (``port``) when
it is ready, and ends when its standard input ends or its parent is gone.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
import uuid
from pathlib import Path
from typing import Any

from asyncrun.local.aws.awslogs import LogPump
from asyncrun.local.aws.ecs import EcsApi
from asyncrun.local.aws.gate import Gate
from asyncrun.local.aws.logs import LogsApi
from asyncrun.local.aws.options import EmbeddedAwsOptions
from asyncrun.local.aws.process import MemoryWatch, kill_marked
from asyncrun.local.aws.runner import Machine

_PARENT_CHECK = 1.0  # seconds; the end of standard input is the usual and faster sign


def main() -> None:
    """Runs the server until its parent goes."""
    start = json.loads(sys.stdin.buffer.readline())
    options = EmbeddedAwsOptions.from_json(start["options"])
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    mark = uuid.uuid4().hex
    directory = Path(tempfile.mkdtemp(prefix="asyncrun-aws-"))
    lock = threading.RLock()
    machine = Machine(options, LogsApi(options, lock), LogPump(options.flush_interval), directory, mark)
    guardian = subprocess.Popen(
        [sys.executable, "-m", "asyncrun.local.aws.guardian", mark, str(directory)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        start_new_session=True,
    )
    signal.signal(signal.SIGTERM, _exit)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    try:
        server = _build(machine, lock, start["token"])
        threading.Thread(target=_end_with_parent, args=(start["parent"],), name="parent", daemon=True).start()
        sys.stdout.write(json.dumps({"port": server.server_port}) + "\n")
        sys.stdout.flush()
        server.serve_forever()
    finally:
        machine.closing.set()
        kill_marked(mark)
        assert guardian.stdin is not None
        guardian.stdin.close()
        guardian.wait()


def _build(machine: Machine, lock: threading.RLock, token: str) -> Any:
    from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
    from werkzeug.serving import make_server

    from asyncrun.local.aws.definitions import backend

    options, logs = machine.options, machine.logs
    ecs = EcsApi(machine, lock)
    MemoryWatch(ecs.memory_limits, ecs.out_of_memory, options.memory_check_interval)
    for cluster in options.clusters:
        backend(options.region).create_cluster(cluster)
    for group in options.log_groups:
        logs.create_group(options.region, group)
    moto = DomainDispatcherApplication(create_backend_app)
    gate = Gate(options, moto, ecs, logs, lock, token=token)
    return make_server("127.0.0.1", options.port, gate, threaded=True, request_handler=MotoRequestHandler)


def _exit(*_: object) -> None:
    signal.signal(signal.SIGTERM, signal.SIG_IGN)  # a second sign must not interrupt the cleaning up
    raise SystemExit(0)


def _end_with_parent(parent: int) -> None:
    """Ends the process when the parent closes our standard input, or dies while a fork of it still holds that open."""
    threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_stdin() -> None:
    sys.stdin.buffer.read()
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
