"""
The embedded Kubernetes, with played pods that write and end when they are told to.

``python -m benchmarks.airflow.pod_server`` is started by ``containers.Pods`` in place of ``asyncrun.local.kube``.
"""

from __future__ import annotations

import re
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from asyncrun.local.kube import __main__ as server
from asyncrun.local.kube.node_api import Node
from asyncrun.local.kube.options import EmbeddedKubeOptions
from asyncrun.local.kube.scripted import ScriptedNode

_LABEL = re.compile(r"(?P<label>.*-\d{4})(?:-[^-]+)?$")  # a pod's name: the operators append a random part


class HeldNode(ScriptedNode):
    """Its pods run in silence until the signal; their script says 0 lines and an end far away."""

    async def fault(self, name: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """
        ``release`` with ``begin``, ``rate`` and ``ends`` by label: lines from `begin` on (seconds since the epoch), and
        the end. Of what runs and was not released; tells how many that were. Else as of its base.
        """
        if name != "release":
            return await super().fault(name, arguments)
        released = 0
        for played in self._pods.values():
            end = arguments["ends"].get(label_of(played.truth()["name"]))
            # Its one log has no line yet, so that nobody can have seen the script that is replaced here.
            if end is not None and not any(log.size() for log in played.logs.values()):
                _release(played, arguments["begin"], end, arguments["rate"])
                released += 1
        return {"released": released}


def _release(played: Any, begin: float, end: float, rate: float) -> None:
    for log in played.logs.values():
        log._script = replace(log._script, lines=int((end - begin) * rate))  # noqa: SLF001 - see the report of issue 5
        log._started = begin  # noqa: SLF001
    names, inits = list(played.logs), 0
    played._after(end - time.time(), lambda: played._finish(names, inits))  # noqa: SLF001


def label_of(pod: str) -> str:
    """What its operator was given as its name."""
    found = _LABEL.match(pod)
    return found["label"] if found else pod


def _make_node(options: EmbeddedKubeOptions, folder: Path) -> Node:  # noqa: ARG001 - as the one that it stands for
    return HeldNode()


if __name__ == "__main__":
    server.make_node = _make_node
    server.main()
