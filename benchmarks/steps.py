"""How long each step of an event loop takes, whose it was, and how much of it was garbage collection."""

from __future__ import annotations

import asyncio
import gc
import time
from asyncio import events
from collections.abc import Callable
from typing import Any

import msgspec

_NOTED = 0.001  # s; shorter steps are not looked at
_AIRFLOWS = ("TriggerRunner.arun", "TriggerCommsDecoder._reader_loop", "TriggerRunner.block_watchdog")
"""Airflow's own coroutines in its triggerer: making triggers, reading what the supervisor sends, telling what fired."""


class Worst(msgspec.Struct):
    """
    Of the steps since the last report, in seconds.

    :param step: the longest one, whosoever it was; ``step_cpu``: CPU time of the loop's thread in it (much less: the
        machine was busy with others); ``step_gc``: garbage collection in it; ``step_who``: its coroutine or callback.
    :param own: the longest step that was not one of Airflow's own coroutines, garbage collection taken off.
    :param airflow: the longest step of those, garbage collection taken off.
    :param most_cpu: the most CPU time of the loop's thread in any step: on a busy machine worth more than its length.
    :param gc: the longest garbage collection, which stops every thread, wherever it was.
    """

    step: float = 0.0
    step_cpu: float = 0.0
    step_gc: float = 0.0
    step_who: str = ""
    own: float = 0.0
    own_who: str = ""
    airflow: float = 0.0
    most_cpu: float = 0.0
    gc: float = 0.0


class Steps:
    """
    Times the steps of all event loops of this process, from ``install`` on.

    A step is one callback of the loop: a task's run from one ``await`` that waits to the next.
    """

    def __init__(self) -> None:
        self.worst = Worst()
        self._collecting = 0.0
        self._began = 0.0

    def install(self) -> None:
        """Costs one or two microseconds for each step. Until the process ends."""
        gc.callbacks.append(self._told_of_collection)
        run: Callable[[Any], None] = events.Handle._run  # noqa: SLF001 - there is no public way
        timed, clock, cpu_clock = self._timed, time.perf_counter, time.thread_time

        def run_timed(handle: Any) -> None:
            collected, callback = self._collecting, handle._callback  # noqa: SLF001
            used, began = cpu_clock(), clock()
            run(handle)
            took = clock() - began
            if took > _NOTED:
                timed(callback, took, cpu_clock() - used, self._collecting - collected)

        events.Handle._run = run_timed  # type: ignore[method-assign,assignment]  # noqa: SLF001

    def report(self) -> Worst:
        """Since the last report."""
        told, self.worst = self.worst, Worst()
        return told

    def _timed(self, callback: Any, took: float, cpu: float, collected: float) -> None:
        worst, who, own = self.worst, "", took - collected
        worst.most_cpu = max(worst.most_cpu, cpu)
        if took > worst.step:
            worst.step, worst.step_cpu, worst.step_gc = took, cpu, collected
            worst.step_who = who = _name(callback)
        if own > worst.own or own > worst.airflow:
            who = who or _name(callback)
            if who in _AIRFLOWS:
                worst.airflow = max(worst.airflow, own)
            elif own > worst.own:
                worst.own, worst.own_who = own, who

    def _told_of_collection(self, phase: str, _: dict[str, int]) -> None:
        if phase == "start":
            self._began = time.perf_counter()
        else:
            took = time.perf_counter() - self._began
            self._collecting += took
            self.worst.gc = max(self.worst.gc, took)


def _name(callback: Any) -> str:
    task = getattr(callback, "__self__", None)
    if not isinstance(task, asyncio.Task):
        return str(getattr(callback, "__qualname__", callback))[:80]
    coroutine = task.get_coro()
    return str(getattr(coroutine, "__qualname__", coroutine))[:80]
