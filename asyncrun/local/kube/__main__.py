"""
The server process of the embedded Kubernetes; started by `EmbeddedKube`, not by hand.

Reads one line of JSON from standard input (``options``, ``token``, ``control_token``, ``parent``), prints one line of
JSON (``url``, ``control``: a port, ``ca``) when it is ready, and ends when its standard input ends or its parent is
gone.
"""

from __future__ import annotations

import asyncio
import json
import os
import resource
import signal
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

from asyncrun.local.kube.certificate import make_certificate
from asyncrun.local.kube.control import ControlEndpoint
from asyncrun.local.kube.node_api import Node
from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.kube.scripted import Script, ScriptedNode
from asyncrun.local.kube.server import KubeServer
from asyncrun.local.kube.store import Store

_PARENT_CHECK = 1.0  # seconds; the end of standard input is the usual and faster sign


def main() -> None:
    """Run the server until its parent goes."""
    start = json.loads(sys.stdin.buffer.readline())
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 65_536)), hard))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole terminal; the parent decides
    with tempfile.TemporaryDirectory(prefix="asyncrun-kube-", ignore_cleanup_errors=True) as folder:
        asyncio.run(_serve(start, Path(folder)))


async def _serve(start: dict[str, Any], folder: Path) -> None:
    options = EmbeddedKubeOptions.from_json(start["options"])
    ended = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGTERM, ended.set)
    certificate, ca = make_certificate() if options.tls else (None, "")
    server = KubeServer(
        Store(history=options.history),
        make_node(options, folder),
        options,
        token=start["token"],
        certificate=certificate,
    )
    async with server:
        control = ControlEndpoint(server, start["control_token"])
        await control.start()
        try:
            threading.Thread(target=_end_with_parent, args=(start["parent"],), name="parent", daemon=True).start()
            ready = {"url": server.url, "control": control.port, "ca": ca}
            sys.stdout.write(json.dumps(ready) + "\n")
            sys.stdout.flush()
            await ended.wait()
        finally:
            await control.stop()


def make_node(options: EmbeddedKubeOptions, folder: Path) -> Node:
    """
    The node that the options ask for.

    :param folder: for its files.
    :raises TypeError: ``node_options`` has an unknown name.
    """
    if options.node == "scripted":
        return ScriptedNode(Script(**options.node_options))
    from asyncrun.local.kube.node import LocalNode, NodeOptions

    return LocalNode(folder, NodeOptions.from_dict(options.node_options))


def _end_with_parent(parent: int) -> None:
    """Ends the process when the parent closes our standard input, or dies while a fork of it still holds that open."""
    threading.Thread(target=_end_with_stdin, name="stdin", daemon=True).start()
    while os.getppid() == parent:
        time.sleep(_PARENT_CHECK)
    os.kill(os.getpid(), signal.SIGTERM)


def _end_with_stdin() -> None:
    os.read(sys.stdin.fileno(), 1)
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    main()
