"""A trigger of the harness's own: looks, from inside of the triggerer, at what other triggers cost."""

from __future__ import annotations

import asyncio
import gc
import json
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Protocol

from airflow.triggers.base import BaseTrigger, TriggerEvent

from benchmarks.profile_cpu import CpuLook
from benchmarks.profile_memory import GarbageLook, MemoryLook
from benchmarks.profile_steps import StepsLook, kind

_LOOK = 0.1  # s between two looks for an order


class Look(Protocol):
    """One way of looking."""

    def begin(self) -> None:
        """The idle triggerer; what comes from here on is the runs'."""

    def end(self, runs: int) -> dict[str, Any]:
        """What was seen since the beginning."""


_LOOKS: dict[str, type[Look]] = {"memory": MemoryLook, "garbage": GarbageLook, "cpu": CpuLook, "steps": StepsLook}


class Probe(BaseTrigger):
    """
    Carries out orders: the harness makes a file ``begin`` or ``end-<name>``, and finds ``<name>.json``.

    :param folder: of orders and reports.
    :param what: ``memory``, ``garbage``, ``cpu`` or ``steps``: one at a time, since each distorts the others.
    """

    def __init__(self, folder: str, what: str) -> None:
        super().__init__()
        self.folder, self.what = folder, what

    def serialize(self) -> tuple[str, dict[str, Any]]:
        """As every trigger."""
        return f"{type(self).__module__}.Probe", {"folder": self.folder, "what": self.what}

    async def run(self) -> AsyncIterator[TriggerEvent]:
        """Never ends by itself."""
        look, folder = _LOOKS[self.what](), Path(self.folder)
        while True:
            await asyncio.sleep(_LOOK)
            _obey(folder, look)
        yield TriggerEvent({})


def _obey(folder: Path, look: Look) -> None:
    for order in sorted(folder.glob("*.order")):
        verb, _, runs = order.read_text().partition(" ")
        if verb == "begin":
            look.begin()
        else:
            report = look.end(int(runs)) | {"loop": _tasks(), "heap": len(gc.get_objects()), "at": time.time()}
            (folder / f"{verb}.json").write_text(json.dumps(report))
        order.unlink()


def _tasks() -> dict[str, Any]:
    """Tasks by kind, and timers of the loop."""
    loop = asyncio.get_running_loop()
    kinds: dict[str, int] = {}
    for task in asyncio.all_tasks():
        one = kind(task.get_name())
        kinds[one] = kinds.get(one, 0) + 1
    timers = [one for one in getattr(loop, "_scheduled", ()) if not one.cancelled()]
    return {"tasks": kinds, "timers": len(timers), "scheduled": len(getattr(loop, "_scheduled", ()))}
